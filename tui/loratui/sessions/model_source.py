"""Where a machine has a run's base model from: it travels from here, or is downloaded there."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from loratui_protocol.base_model import BUILTIN_PREFIX
from loratui_protocol.errors import ModelError
from loratui_protocol.inputs import ModelKind, ModelSource, is_sha256
from loratui_protocol.safetensors_header import PICKLED_SUFFIXES

_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(@[A-Za-z0-9._/-]+)?")
_HTTPS = "https://"
_SAFETENSORS = ".safetensors"
_IN_QUERY = re.compile(r"(?i)(api[_-]?)?(key|token)|auth|password|secret")
_SHA256_FRAGMENT = "sha256="


def model_source(name: str, hub_url: str) -> ModelSource | None:
    """Return where another machine downloads the base model from, None where it travels from this one.

    Raises:
        ModelError: it is an address that is not https, or one with a secret in it.
    """
    if name.startswith("http://"):
        raise ModelError(
            f"{name} is no https address: anyone on the way could change the model",
            fix="write https://",
            code="model.address",
        )
    if name.startswith(_HTTPS):
        name, sha256 = _with_hash(name)
        last = re.sub(r"[^A-Za-z0-9._-]", "-", urlsplit(name).path.rstrip("/").rpartition("/")[2])[:80].strip(".-")
        file_name = last if last.endswith(_SAFETENSORS) else f"{last or 'model'}{_SAFETENSORS}"
        return ModelSource(kind=ModelKind.HTTPS, name=file_name, address=name, sha256=sha256, hub_url=hub_url)
    if name.startswith(BUILTIN_PREFIX) or Path(name).exists() or not _is_hub_id(name):
        return None
    hub_id, _, revision = name.partition("@")
    return ModelSource(
        kind=ModelKind.HUB, name=hub_id.partition("/")[2], address=hub_id, revision=revision, hub_url=hub_url
    )


def is_downloaded(name: str) -> bool:
    """Return whether another machine downloads the base model; errors as in ``model_source``."""
    return model_source(name, "") is not None


def _is_hub_id(name: str) -> bool:
    # A relative path looks like one, but no model on a hub is called like a file.
    return _HUB_ID.fullmatch(name) is not None and not name.lower().endswith((_SAFETENSORS, *PICKLED_SUFFIXES))


def _with_hash(address: str) -> tuple[str, str]:
    """Return the address alone, and the SHA-256 that was written behind it: ``https://…#sha256=…``."""
    parts = urlsplit(address)
    secret = next((key for key, _ in parse_qsl(parts.query) if _IN_QUERY.fullmatch(key)), "")
    if secret:
        raise ModelError(
            f"the address of the base model has a secret in it ({secret}=…), which would be written into the run",
            fix="leave it out, and give --ask-token: the host shows the token to that server, and keeps it nowhere",
            code="model.address",
        )
    sha256 = parts.fragment.removeprefix(_SHA256_FRAGMENT).lower()
    if parts.fragment and (not parts.fragment.startswith(_SHA256_FRAGMENT) or not is_sha256(sha256)):
        raise ModelError(
            "what stands behind the # of the base model's address is no SHA-256",
            fix="write https://…/model.safetensors#sha256=<64 hex digits>, or nothing",
            code="model.address",
        )
    return parts._replace(fragment="").geturl(), sha256
