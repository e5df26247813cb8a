"""Under which licence the base model is, where it says so itself or is known by name: it is never made up."""

import re
from pathlib import Path

from loratui_protocol.known_models import current_address
from loratui_protocol.safetensors_header import read_header

_OPENRAIL_M = "CreativeML Open RAIL-M"
_KNOWN = {
    "builtin:tiny": "apache-2.0",
    "stable-diffusion-v1-5/stable-diffusion-v1-5": _OPENRAIL_M,
    "CompVis/stable-diffusion-v1-4": _OPENRAIL_M,
    "stabilityai/stable-diffusion-xl-base-1.0": "CreativeML Open RAIL++-M",
    "cagliostrolab/animagine-xl-4.0": "CreativeML Open RAIL++-M",
}
_ON_HUB = re.compile(r"https://huggingface\.co/([\w.-]+/[\w.-]+)/")
_CARD = re.compile(r"\A---\n(.*?)^---$", re.DOTALL | re.MULTILINE)
_LICENSE = re.compile(r"^license:[ \t]*[\"']?([^\s\"'\[\]]+)[\"']?[ \t]*$", re.MULTILINE)
_MAX_CHARS = 500
_MAX_CARD_BYTES = 1 << 20


def base_license(path: Path, address: str = "") -> str:
    """Return the licence of the model in a folder or file; empty: unknown.

    ``address`` is the hub id or https address that it was fetched from, if it was.
    """
    said = _in_header(path) if path.is_file() else _in_card(path / "README.md")
    return said if 0 < len(said) <= _MAX_CHARS else _of_address(address)


def _in_header(path: Path) -> str:
    return read_header(path).metadata.get("modelspec.license", "").strip()


def _in_card(path: Path) -> str:
    """Return what the model card of a diffusers folder says; ``other`` says nothing."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_CARD_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    card = _CARD.match(text.replace("\r\n", "\n"))
    found = card and _LICENSE.search(card[1])
    return "" if not found or found[1] in ("other", "unknown") else found[1]


def _of_address(address: str) -> str:
    current = current_address(address)
    on_hub = _ON_HUB.match(current)
    return _KNOWN.get(on_hub[1] if on_hub else current.partition("@")[0], "")
