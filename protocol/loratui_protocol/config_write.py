"""Writes a training config as our sectioned TOML file, under kohya's key names."""

import json
from collections.abc import Mapping
from dataclasses import fields

from loratui_protocol.config import KEYS, SECTIONS, TrainingConfig


def to_toml(config: TrainingConfig) -> str:
    """Return the config as our sectioned file; unset values are left out."""
    lines: list[str] = []
    for section, (first, last) in SECTIONS.items():
        lines.append(f"[{section}]")
        for key in KEYS[KEYS.index(first) : KEYS.index(last) + 1]:
            value = getattr(config, key)
            if key in ("optimizer_args", "network_args"):
                value = [f"{name}={_argument(given)}" for name, given in value.items()]
            if value is not None:
                lines.append(f"{key} = {toml_value(value)}")
        lines.append("")
    for dataset in config.datasets:
        lines += ["[[datasets]]", *_settings(dataset.settings), ""]
        for subset in dataset.subsets:
            own = {f.name: getattr(subset, f.name) for f in fields(subset) if f.name != "settings"}
            lines += ["[[datasets.subsets]]", *_settings({**own, **subset.settings}), ""]
    return "\n".join(lines)


def _settings(settings: Mapping[str, object]) -> list[str]:
    """Return a dataset's or a subset's lines; what it unsets for itself is written as an empty text."""
    names = {"train_batch_size": "batch_size"}
    return [f"{names.get(key, key)} = {toml_value('' if value is None else value)}" for key, value in settings.items()]


def toml_value(value: object) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, which TOML wants escaped and JSON does not.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    return repr(value)


def _argument(value: float | bool | tuple[float, ...]) -> str:
    return ",".join(map(repr, value)) if isinstance(value, tuple) else repr(value)
