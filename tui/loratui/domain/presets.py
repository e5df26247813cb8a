"""Presets: settings with their reasons, in tables for all base models and for each kind of them. Pure.

The comment above a key is its reason. Keys are those of a training config, and those in ``AIMS``, which a config has no
word for: what they come to depends on the pictures.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loratui_protocol.errors import ConfigError

ALL = "all"
BASES = ("sd15", "sdxl", "sdxl-anime")
"""Kinds of base models that presets differ in."""
AIMS = ("exposures", "steps", "smoke_steps")
MODEL_KEY = "pretrained_model_name_or_path"
_MAX_CHARS = 1 << 18


@dataclass(frozen=True, slots=True)
class Choice:
    """A value, and why it is that; no reason: nobody gave one."""

    value: Any
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A file of settings. ``is_own``: it was saved from a run, and stands for itself."""

    name: str
    about: str = ""
    tables: Mapping[str, Mapping[str, Choice]] = field(default_factory=dict)
    is_own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What a preset wants of a run with any number of pictures; each range: at least, at most."""

    exposures: float
    exposures_range: tuple[float, float]
    steps_range: tuple[int, int]
    smoke_steps: int | None = None
    """Where it stops for somebody to look; None: it does not."""


def parse_preset(name: str, text: str, *, is_own: bool = False) -> Preset:
    """Return the preset in a file.

    Raises:
        ConfigError: it is no preset.
    """
    # The names of the bases are part of the command line, which loads no training config.
    from loratui_protocol.config import KEYS

    try:
        content = tomllib.loads(text[:_MAX_CHARS])
    except tomllib.TOMLDecodeError as error:
        raise _refused(name, f"it is no TOML: {error}") from error
    reasons = _reasons(text)
    tables: dict[str, dict[str, Choice]] = {}
    for table, keys in content.items():
        if table == "about":
            continue
        if table not in (ALL, *BASES) or not isinstance(keys, dict):
            raise _refused(name, f"{table!r} is none of {', '.join((ALL, *BASES))}")
        unknown = [key for key in keys if key not in (*KEYS, *AIMS)]
        if unknown:
            raise _refused(name, f"{unknown[0]!r} is no key of a training config")
        tables[table] = {key: Choice(value, reasons.get((table, key), "")) for key, value in keys.items()}
    return Preset(name=name, about=str(content.get("about", "")), tables=tables, is_own=is_own)


def composed(presets: Sequence[Preset], base: str) -> dict[str, Choice]:
    """Return the settings for a kind of base model; of a key in several tables the last one counts."""
    return {
        key: choice for each in presets for table in (ALL, base) for key, choice in each.tables.get(table, {}).items()
    }


def aim_of(choices: Mapping[str, Choice]) -> Aim | None:
    """Return what the settings aim at, None where they say it in steps or epochs themselves.

    Raises:
        ConfigError: it is written in another form.
    """
    if "exposures" not in choices:
        return None
    try:
        least, aimed, most = choices["exposures"].value
        steps = choices["steps"].value if "steps" in choices else (1, 1_000_000)
        smoke_steps = choices["smoke_steps"].value if "smoke_steps" in choices else None
        aim = Aim(
            exposures=float(aimed),
            exposures_range=(float(least), float(most)),
            steps_range=(int(steps[0]), int(steps[1])),
            smoke_steps=None if smoke_steps is None else int(smoke_steps),
        )
    except (TypeError, ValueError, IndexError) as error:
        raise ConfigError(
            "a preset's aim can't be read",
            fix="write exposures = [least, aimed at, most], steps = [least, most], smoke_steps = 300",
            code="preset.aim",
        ) from error
    return aim


def epochs_for(aim: Aim, exposures_per_epoch: float, steps_per_epoch: int) -> int:
    """Return how many epochs show each picture as often as is aimed at.

    Where that is too few steps or too many, exposures give way as far as their range goes.
    """
    least, most = aim.exposures_range
    wanted = aim.exposures
    steps = wanted / exposures_per_epoch * steps_per_epoch
    if steps < aim.steps_range[0]:
        wanted = min(most, wanted * aim.steps_range[0] / steps)
    elif steps > aim.steps_range[1]:
        wanted = max(least, wanted * aim.steps_range[1] / steps)
    return max(1, round(wanted / exposures_per_epoch))


def _reasons(text: str) -> dict[tuple[str, str], str]:
    """Return the comment that stands right above each key, by table and key."""
    found: dict[tuple[str, str], str] = {}
    table, comment = "", list[str]()
    for line in map(str.strip, text.splitlines()):
        if line.startswith("#"):
            comment.append(line.removeprefix("#").strip())
            continue
        if line.startswith("[") and line.endswith("]"):
            table = line.strip("[]")
        elif "=" in line and comment:
            found[table, line.partition("=")[0].strip()] = "\n".join(comment)
        comment = []
    return found


def _refused(name: str, why: str) -> ConfigError:
    return ConfigError(
        f"the preset {name} can't be read: {why}", fix="loratui new --list shows those that can", code="preset.invalid"
    )
