"""A config against another: the file on the disk, a preset, or what an earlier run was trained with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui.domain import formatting
from loratui.domain.base_kinds import SD1
from loratui.domain.preset_text import config_text
from loratui.domain.presets import AIMS, BASES, MODEL_KEY, Choice
from loratui.sessions.base_kind import kind_told_here
from loratui.sessions.config_form import FORM_KEYS, written
from loratui.sessions.presets import all_presets, settings_of
from loratui.settings import Settings
from loratui.store import Store
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import parse_config

_ASIDE = ("pretrained_model_name_or_path", "train_data_dir", "output_name", "trigger_word")
"""What no preset says."""


@dataclass(frozen=True, slots=True)
class Other:
    """What a config can be held against. ``kind`` is "preset" or "run"; ``name`` a run's id, or a preset's name."""

    kind: str
    name: str
    title: str
    about: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A key that differs, as people write its values; empty: unset."""

    key: str
    here: str
    there: str


def others(preferences: Settings) -> list[Other]:
    """Return all there is to compare with: presets first, then runs, the newest first; errors as ``all_presets``."""
    found = [Other("preset", preset.name, preset.name, preset.about) for preset in all_presets(preferences)]
    if preferences.database.exists():
        with Store(preferences.database) as store:
            runs = sorted((run for run in store.runs() if run.config_toml), key=lambda run: -run.created_ts)
        found += [
            Other("run", run.id, run.name, f"{run.state}, {formatting.day_and_time(run.created_ts)}") for run in runs
        ]
    return found


def differences(config: TrainingConfig, other: Other, preferences: Settings) -> list[Difference]:
    """Return the keys that differ, in their order; of a preset only those that it sets.

    Raises:
        ConfigError, UsageError, StorageError: the other one can't be read any more.
    """
    if other.kind == "preset":
        there, keys = _of_preset(config, other.name, preferences)
    else:
        with Store(preferences.database) as store:
            there, keys = parse_config(store.run(other.name).config_toml, Path.cwd()).config, FORM_KEYS
    found = [
        Difference(key, written(getattr(config, key)), written(getattr(there, key)))
        for key in keys
        if getattr(config, key) != getattr(there, key)
    ]
    if other.kind == "run" and config.datasets != there.datasets:
        found.append(Difference("datasets", _counted(config), _counted(there)))
    return found


def _of_preset(config: TrainingConfig, name: str, preferences: Settings) -> tuple[TrainingConfig, Sequence[str]]:
    """Return a preset as a config with this one's model, pictures and names, and the keys that it sets."""
    choices = {key: choice for key, choice in settings_of(name, _base(config), preferences).items() if key not in AIMS}
    keys = [key for key in FORM_KEYS if key in choices and key not in _ASIDE]
    if prompts := choices.get("sample_prompts"):
        trigger = config.trigger_word or ""
        choices["sample_prompts"] = Choice([str(each).replace("{trigger}", trigger) for each in prompts.value])
    own: dict[str, Any] = {MODEL_KEY: config.pretrained_model_name_or_path, "train_data_dir": "pictures"}
    text = config_text((), {**choices, **{key: Choice(value) for key, value in own.items()}})
    return parse_config(text, Path.cwd()).config, keys


def _base(config: TrainingConfig) -> str:
    """Return the base model's kind as presets call it; where nobody knows it here, the kind that most train on."""
    return BASES[0] if kind_told_here(config.pretrained_model_name_or_path) is SD1 else "sdxl"


def _counted(config: TrainingConfig) -> str:
    number = len(config.datasets)
    return f"{number} dataset{'s' if number > 1 else ''}" if number else ""
