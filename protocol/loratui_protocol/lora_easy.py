"""Reads what LoRA Easy Training Scripts saves: sd-scripts' keys, two tables deep, and the subsets of one dataset."""

from collections.abc import Mapping
from typing import Any

from loratui_protocol.foreign_settings import Settings, is_off

_ARGUMENTS = ("args", "dataset_args")
"""The tables that a section has: keys of the training, and those of its dataset."""
_LISTS = ("network_args", "optimizer_args", "lr_scheduler_args")
_IDLE = frozenset(
    {"train_mode", "save_toml", "save_toml_location", "save_tag_occurrence", "tag_file_location", "tag_occurrence"}
)
"""What is about the program's own files."""
_RENAMED: Mapping[str, str] = {"batch_size": "train_batch_size"}


def is_lora_easy(tables: Mapping[str, Any]) -> bool:
    """Return whether parsed TOML is a file of that program."""
    return any(name.endswith("_args") and _sections(content) for name, content in tables.items())


def _sections(content: Any) -> list[dict[str, Any]]:
    if not isinstance(content, dict):
        return []
    return [content[name] for name in _ARGUMENTS if isinstance(content.get(name), dict)]


class LoraEasy(Settings):
    """Reads one file."""

    program = "LoRA Easy Training Scripts"

    def __init__(self, tables: Mapping[str, Any], text: str) -> None:
        given: dict[str, Any] = {}
        for name, content in tables.items():
            if sections := _sections(content):
                for section in sections:
                    given |= section
                given |= {key: value for key, value in content.items() if key not in _ARGUMENTS}
            elif content != {}:
                given[name] = content
        super().__init__(given, text)

    def read(self) -> None:
        """Fill ``values``, ``findings`` and ``problems``."""
        self._pass_over(_IDLE)
        self._take_subsets()
        sdxl = self._take("sdxl")
        if sdxl is not None:
            self.claims_sdxl = not is_off(sdxl)
        self.values["network_module"] = "networks.lora"
        for name in _LISTS:
            given = self._take(name)
            if isinstance(given, dict) and given:
                self.values[name] = [f"{key}={value}" for key, value in given.items()]
            elif given:
                self.values[name] = given
        share = self._take("warmup_ratio")
        if not is_off(share) and "lr_warmup_steps" not in self._left:
            self._set("lr_warmup_steps", share, "warmup_ratio")
        if type(side := self._left.get("resolution")) is int:
            self._left["resolution"] = [side, side]
        self._drop_unset()
        for name in list(self._left):
            self._set(_RENAMED.get(name, name), self._left.pop(name), name)
        self._tell_idle()

    def _take_subsets(self) -> None:
        """Take the folders, each of which has a name for the program's window."""
        subsets = self._take("subsets")
        if isinstance(subsets, list) and all(isinstance(each, dict) for each in subsets):
            listed = [{key: value for key, value in each.items() if key != "name"} for each in subsets]
            self.values["datasets"] = [{"subsets": listed}]
        elif subsets is not None:
            self._refuse("config.type", "subsets is no list of tables", "write [[subsets]] with an image_dir")
