"""Reads on what a LoRA was trained, from its ``ss_*`` metadata: which folders, and what is said of them alone."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loratui_protocol import kohya
from loratui_protocol.foreign_settings import Settings, is_off, shown
from loratui_protocol.subsets import SUBSET_KEYS

_OF_DATASETS: Mapping[str, str] = {
    "batch_size_per_device": "train_batch_size",
    "resolution": "resolution",
    "enable_bucket": "enable_bucket",
    "min_bucket_reso": "min_bucket_reso",
    "max_bucket_reso": "max_bucket_reso",
    "bucket_no_upscale": "bucket_no_upscale",
}
MAX_JSON_CHARS = 1 << 20
_FOLDERS = 3


class OfDatasets(Settings):
    """Takes what the metadata says of datasets."""

    _path: Path
    """The LoRA's own."""

    def _tell_dataset(self) -> None:
        folders = json_of(self._left.get("dataset_dirs"))
        listed = (
            [
                f"{shown(name)} ({shown(each.get('img_count', '?'))} pictures)"
                for name, each in list(folders.items())[:_FOLDERS]
                if isinstance(each, dict)
            ]
            if isinstance(folders, dict)
            else []
        )
        of = f"; it was trained on {', '.join(listed)}" if listed else ""
        self._refuse(
            "config.missing_key",
            f"train_data_dir is missing: a LoRA doesn't say where its pictures are{of}",
            f'{self._how()} train_data_dir = "…"',
        )

    def _take_first_dataset(self) -> None:
        """Take what a training with a dataset_config says of its first dataset, where it says it of all otherwise."""
        listed = json_of(self._left.get("datasets"))
        if not isinstance(listed, list) or not listed or not isinstance(listed[0], dict):
            return
        for name, key in _OF_DATASETS.items():
            value = listed[0].get(name)
            if value is not None and name not in self._left:
                self.values[key] = value
        self._take_first_subset([each for one in listed if isinstance(one, dict) for each in _list(one.get("subsets"))])
        if len(listed) > 1:
            self._warn(
                "config.imported",
                f"the LoRA was trained with {len(listed)} datasets; resolution and batch are those of the first",
                "write [[datasets]] for settings of their own",
            )

    def _take_first_subset(self, subsets: list[Any]) -> None:
        """Take what is said of the first folder alone, and tell where others are otherwise."""
        folders = [each for each in subsets if isinstance(each, dict) and is_off(each.get("is_reg"))]
        for key in (key for key in (*SUBSET_KEYS, *kohya.UNSUPPORTED) if folders and key not in self._left):
            value = folders[0].get(key)
            if value is None or value == "":
                continue
            if key not in SUBSET_KEYS:
                self._leave_out(key, value)
                continue
            self.values[key] = value
            if any(each.get(key) != value for each in folders):
                what = f"{key} = {shown(value)} is that of the first folder; the LoRA was trained with others, too"
                self._warn("config.imported", what, "write [[datasets]] for settings of their own")

    def _leave_out(self, name: str, value: Any) -> None:
        """Tell of a setting that is not supported, if it asks for something."""
        default, meaning = kohya.UNSUPPORTED[name]
        if is_off(value) or str(value) == str(default):
            self._idle.append(name)
        else:
            self._warn(
                "config.imported",
                f"ss_{name} = {shown(value)} is left out: it asks for {meaning}",
                "nothing can be done: the LoRA was trained so",
            )

    def _how(self) -> str:
        return f"run `loratui convert {shlex.quote(str(self._path))} --to native -o my.toml`, and write there"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def json_of(written: Any) -> Any:
    """Return what JSON within the metadata says; None: it is none, or too long."""
    if not isinstance(written, str) or len(written) > MAX_JSON_CHARS:
        return None
    try:
        return json.loads(written)
    except (ValueError, RecursionError):
        return None
