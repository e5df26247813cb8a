"""Base models that many configs name: what kind they are of, and under which name those are that have moved."""

import re
from collections.abc import Mapping

from loratui_protocol.architecture import SD1, SDXL, Architecture

_SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
_KINDS: Mapping[str, Architecture] = {
    _SD15: SD1,
    "CompVis/stable-diffusion-v1-4": SD1,
    "stabilityai/stable-diffusion-xl-base-1.0": SDXL,
    "cagliostrolab/animagine-xl-4.0": SDXL,
}
_MOVED = {"runwayml/stable-diffusion-v1-5": _SD15}
"""Removed in August 2024; the new place has the same files."""
_SMALL_FILE = "v1-5-pruned-emaonly.safetensors"
_SAME_FILES = ("v1-5-pruned.safetensors", "v1-5-pruned.ckpt", "v1-5-pruned-emaonly.ckpt")
"""Of 7.7 GB, with every weight of the UNet twice, or pickles; to train with, the small one has all."""
_WHOLE_FILES = ("v1-5-pruned", "sd_xl_base_1.0")
"""How the files begin that are all of a model, in the places of ``_KINDS``."""
LARGE_GB, SMALL_GB = 7.7, 4.27
"""Of what is larger than needed, and of the small file."""
_LARGE = re.compile(r"(?:^|.*[/\\])v1-5-pruned\.(?:safetensors|ckpt)(?:[?#].*)?")
_PAGE = re.compile(r"https://(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)/?")
_FILE = re.compile(
    r"https://(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)/(?:blob|resolve|raw)/([^/?#]+)/([^?#]+)(.*)"
)


def known_architecture(name: str) -> Architecture | None:
    """Return the kind of a base model that is known by its hub id, or by the address of its file there."""
    file = _FILE.fullmatch(name)
    if file is None:
        return _KINDS.get(name.partition("@")[0])
    return _KINDS.get(_MOVED.get(file[1], file[1])) if file[3].startswith(_WHOLE_FILES) else None


def smaller_instead(name: str) -> str | None:
    """Return the address of what serves as well as a file that is known to be large; None: it is none, or it is meant.

    ``name`` is a path or an address. A SHA-256 behind it names that very file.
    """
    if "#" in name or not _LARGE.fullmatch(name):
        return None
    return f"https://huggingface.co/{_SD15}/resolve/main/{_SMALL_FILE}"


def current_address(name: str) -> str:
    """Return a hub id or an https address as it has to be written to get there; what is right stays as it is.

    What was removed is named where it is now, a model's page on the hub by its id, and a file's page by the file.
    A SHA-256 behind the address names one file, which is not replaced by a smaller one then.
    """
    hub_id, at, revision = name.partition("@")
    if hub_id in _MOVED:
        return f"{_MOVED[hub_id]}{at}{revision}"
    page, file = _PAGE.fullmatch(name), _FILE.fullmatch(name)
    if page:
        return _MOVED.get(page[1], page[1])
    if file is None:
        return name
    hub_id, revision, path, rest = file.groups()
    if hub_id in _MOVED and path in _SAME_FILES and "#" not in rest:
        path = _SMALL_FILE
    return f"https://huggingface.co/{_MOVED.get(hub_id, hub_id)}/resolve/{revision}/{path}{rest}"
