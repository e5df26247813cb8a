"""The settings of ``install``: where the programs are that draw with LoRAs, for whom that isn't found by itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loratui.setting import Setting, path

A1111, FORGE, COMFYUI = "a1111", "forge", "comfyui"
NAMES: Mapping[str, str] = {A1111: "A1111", FORGE: "Forge", COMFYUI: "ComfyUI"}
"""The programs, and what they are called."""
_KEYS = {ui: f"install.{ui}" for ui in NAMES}


def _folder(text: str) -> Path | None:
    """Return a folder of this machine, or None where none is named."""
    return path(text) if text.strip() else None


INSTALL = tuple(
    Setting(
        key=key,
        meaning=f"folder of {NAMES[ui]} on this machine, for loratui install; by default it is looked for",
        read=_folder,
        default=lambda: "",
    )
    for ui, key in _KEYS.items()
)


def folders_of(values: Mapping[str, Any]) -> dict[str, Path]:
    """Return where programs are, as far as the settings say it."""
    return {ui: values[key] for ui, key in _KEYS.items() if values[key] is not None}
