"""Where a machine has a run's models from: they travel from here, or are downloaded there."""

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from loratui_protocol.base_model import BUILTIN_PREFIX
from loratui_protocol.errors import ModelError
from loratui_protocol.inputs import ModelKind, ModelPurpose, ModelSource, is_sha256
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
    return None if name.startswith(BUILTIN_PREFIX) else hub_source(name, hub_url)


def is_downloaded(name: str) -> bool:
    """Return whether another machine downloads the base model; errors as in ``model_source``."""
    return model_source(name, "") is not None


def hub_source(name: str, hub_url: str, purpose: ModelPurpose = ModelPurpose.BASE) -> ModelSource | None:
    """Return where a hub has a model, None where something is there under this name, or it is no hub id."""
    if Path(name).exists() or not _is_hub_id(name):
        return None
    hub_id, _, revision = name.partition("@")
    return ModelSource(
        kind=ModelKind.HUB,
        name=hub_id.partition("/")[2],
        purpose=purpose,
        address=hub_id,
        revision=revision,
        hub_url=hub_url,
    )


def token_source(model: ModelSource | None, features: Sequence[ModelSource]) -> ModelSource | None:
    """Return the model whose server a token is for, the base model where it is downloaded; None: none is."""
    return next(iter([model] if model is not None else features), None)


def token_for(source: ModelSource, token: str, owner: ModelSource | None) -> str:
    """Return the token for a model's server if it is that of its ``owner``, too: no other is shown it."""
    return token if owner is not None and server_of(source) == server_of(owner) else ""


def server_of(source: ModelSource) -> str:
    """Return the server that a model comes from, as the agent names it."""
    parts = urlsplit(source.address if source.address.startswith(_HTTPS) else source.hub_url)
    # A token is kept for this very server: its port counts where it is not the usual one.
    return f"{parts.hostname or ''}{f':{parts.port}' if parts.port not in (None, 443) else ''}"


def taken_for_hub_id(name: str, folder: Path) -> str:
    """Return why what is taken for a hub's may be a mistyped path from ``folder``; empty where nothing says so."""
    parent = folder / name.partition("/")[0]
    return f"{parent} is there, and has no {name.partition('/')[2]}" if parent.is_dir() else ""


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
