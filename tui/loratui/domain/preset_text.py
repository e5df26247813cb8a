"""Writes settings as TOML for people to read: each under its section, with its reason above it. Pure."""

import textwrap
from collections.abc import Mapping, Sequence

from loratui.domain.presets import ALL, Choice, Preset
from loratui_protocol.config import KEYS, SECTIONS
from loratui_protocol.config_write import toml_value

_COLUMNS = 110


def config_text(heading: Sequence[str], choices: Mapping[str, Choice]) -> str:
    """Return a training config; ``heading`` is said at its top."""
    lines = _comment("\n".join(heading))
    for section, (first, last) in SECTIONS.items():
        keys = [key for key in KEYS[KEYS.index(first) : KEYS.index(last) + 1] if key in choices]
        if keys:
            lines += ["", f"[{section}]"]
        for key in keys:
            lines += _comment(choices[key].reason) + _lines(key, choices[key].value)
    return "\n".join([*lines, ""])


def preset_text(preset: Preset) -> str:
    """Return a preset as a file that can be read again."""
    lines = [f"about = {toml_value(preset.about)}"]
    for table in sorted(preset.tables, key=lambda name: name != ALL):
        lines += ["", f"[{table}]"]
        for key, choice in preset.tables[table].items():
            lines += _comment(choice.reason) + _lines(key, choice.value)
    return "\n".join([*lines, ""])


def _comment(text: str) -> list[str]:
    # Every line is a comment, whatever is in it.
    return [f"# {line}".rstrip() for part in text.splitlines() for line in textwrap.wrap(part, _COLUMNS) or [""]]


def _lines(key: str, value: object) -> list[str]:
    whole = f"{key} = {toml_value(value)}"
    if isinstance(value, (list, tuple)) and len(whole) > _COLUMNS:
        return [f"{key} = [", *(f"    {toml_value(item)}," for item in value), "]"]
    return [whole]
