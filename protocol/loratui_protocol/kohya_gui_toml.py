"""Reads TOML of kohya's GUI: what it hands to sd-scripts, with keys of its own beside sd-scripts', or what it saves."""

from collections.abc import Iterator, Mapping
from typing import Any

from loratui_protocol.kohya_gui import EARLY_STOPS, OfGui
from loratui_protocol.kohya_gui_names import GUI_ONLY, KNOWN, RENAMED

_SIGNS = frozenset(
    {
        *("LoRA_type", "LyCORIS_preset", "noise_offset_type", "lr_warmup", "max_resolution", "model_list", "lowvram"),
        *("sdxl_no_half_vae", "sdxl_cache_text_encoder_outputs", "additional_parameters", *EARLY_STOPS),
    }
)
"""Keys of the GUI alone, by one of which its TOML is known."""
_OF_SD_SCRIPTS = "network_module"
"""What the GUI's own files don't have, and what it hands to sd-scripts always has."""
_INSTEAD: Mapping[str, tuple[str, ...]] = {
    **{name: (key,) for name, key in RENAMED.items()},
    "epoch": ("max_train_epochs", "max_train_steps"),
    "lr_warmup": ("lr_warmup_steps",),
}
"""Keys of the GUI, and those of sd-scripts that count in their place."""
_NOTHING = frozenset({*GUI_ONLY, "LoRA_type", "noise_offset_type"}) - KNOWN
"""What sd-scripts doesn't know of what the GUI hands to it."""


def is_saved_by_gui(tables: Mapping[str, Any]) -> bool:
    """Return whether all of the file is the GUI's own, under its names."""
    names = dict(flat(tables))
    return bool(_SIGNS & names.keys()) and _OF_SD_SCRIPTS not in names and "datasets" not in tables


def flat(tables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the keys of all sections."""
    for name, content in tables.items():
        if isinstance(content, dict):
            yield from content.items()
        else:
            yield name, content


class HandedToSdScripts(OfGui):
    """Takes the GUI's own keys out of what it hands to sd-scripts, where they have no effect."""

    def __init__(self, tables: Mapping[str, Any], text: str) -> None:
        super().__init__(dict(flat(tables)), text)
        self.tables = dict(tables)
        """What is left of the file's."""

    def read(self) -> None:
        """Fill ``tables`` and ``findings``; a file that is not the GUI's stays as it is."""
        if not _SIGNS & self._left.keys() or _OF_SD_SCRIPTS not in self._left:
            return
        instead = {name for name, keys in _INSTEAD.items() if any(key in self._left for key in keys)}
        for name in EARLY_STOPS:
            self._take_early_stop(name)
        self._pass_over(_NOTHING | (instead - KNOWN))
        if not self._left.get("additional_parameters"):
            self._pass_over(["additional_parameters"])
        self.tables = {
            name: {key: value for key, value in content.items() if key in self._left}
            if isinstance(content, dict)
            else content
            for name, content in self.tables.items()
            if isinstance(content, dict) or name in self._left
        }
        self._tell_idle()
