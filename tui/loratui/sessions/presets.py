"""The presets there are, those of the user first; a finished run can become one."""

import os
import re
from dataclasses import fields
from importlib.resources import files
from pathlib import Path

from loratui.domain.preset_text import preset_text
from loratui.domain.presets import ALL, BASES, Choice, Preset, composed, parse_preset
from loratui.settings import Settings
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import parse_config
from loratui_protocol.dataset import scan_config
from loratui_protocol.errors import DatasetError, StorageError, UsageError
from loratui_protocol.plan import plan

SHIPPED = ("first-run", "face", "character", "style", "object")
_COMMON = "common"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}")
_OF_ONE_RUN = (
    "train_data_dir",
    "reg_data_dir",
    "conditioning_data_dir",
    "datasets",
    "network_weights",
    "dim_from_weights",
    "output_dir",
    "output_name",
    "trigger_word",
    "training_comment",
    "metadata_title",
    "metadata_description",
    "metadata_tags",
    "rights_statement",
    "stop_at_epoch",
    "num_cpu_threads",
    "max_train_steps",
    "max_train_epochs",
    "save_every_n_epochs",
    "sample_every_n_epochs",
)
"""What belongs to its pictures and names, and what is reckoned anew for others."""
_EXPOSURES_AROUND = 0.2


def all_presets(preferences: Settings) -> list[Preset]:
    """Return the user's presets and those that come with loratui; errors as in ``parse_preset``."""
    own = sorted(folder_of_own(preferences).glob("*.toml"))
    return [_own(path) for path in own] + [shipped(name) for name in SHIPPED]


def folder_of_own(preferences: Settings) -> Path:
    """Return where the user's presets lie."""
    return preferences.config_dir / "presets"


def shipped(name: str) -> Preset:
    """Return a preset that comes with loratui."""
    return parse_preset(name, (files("loratui.presets") / f"{name}.toml").read_text("utf-8"))


def settings_of(name: str, base: str, preferences: Settings) -> dict[str, Choice]:
    """Return what a preset sets for a kind of base model, with what all have in common.

    Raises:
        UsageError: there is no such preset.
        ConfigError: it can't be read.
    """
    path = folder_of_own(preferences) / f"{name}.toml"
    if _NAME.fullmatch(name) and path.is_file():
        return composed([_own(path)], base)
    if name not in SHIPPED:
        raise UsageError(f"there is no preset {name!r}", fix="loratui new --list shows them all", code="preset.unknown")
    return composed([shipped(_COMMON), shipped(name)], base)


def default_model(base: str) -> str:
    """Return the base model of a kind that is taken where none is named."""
    return str(composed([shipped(_COMMON)], base)["pretrained_model_name_or_path"].value)


def preset_of_run(name: str, run_name: str, config_toml: str) -> Preset:
    """Return a run's settings as a preset: without its pictures and names, its length as exposures.

    Raises:
        UsageError: its datasets have settings of their own, which a preset has no place for.
        ConfigError: its config can't be read.
    """
    config = parse_config(config_toml, Path.cwd()).config
    if config.datasets:
        raise UsageError(
            f"{run_name} has [[datasets]] with settings of their own, which a preset has no place for",
            fix="copy its config instead",
            code="preset.datasets",
        )
    defaults = {each.name: each.default for each in fields(TrainingConfig)}
    set_in_run = {
        key: value
        for key, default in defaults.items()
        if key not in _OF_ONE_RUN and (value := getattr(config, key)) != default and value not in (None, {}, ())
    }
    for key in ("network_args", "optimizer_args"):
        if key in set_in_run:
            set_in_run[key] = [f"{arg}={_written(value)}" for arg, value in set_in_run[key].items()]
    if config.trigger_word:
        prompts = [prompt.replace(config.trigger_word, "{trigger}") for prompt in config.sample_prompts]
        set_in_run |= {"sample_prompts": prompts} if prompts else {}
    table = {key: Choice(value) for key, value in {**_length(config), **set_in_run}.items()}
    return Preset(name=name, about=f"As the run {run_name} was trained", tables={ALL: table}, is_own=True)


def save_own(preset: Preset, preferences: Settings) -> Path:
    """Write a preset of the user's and return its file.

    Raises:
        UsageError: the name is taken, or can't be one.
        StorageError: it can't be written.
    """
    if not _NAME.fullmatch(preset.name) or preset.name in (*SHIPPED, *BASES, _COMMON):
        raise UsageError(
            f"{preset.name!r} can't be the name of a preset of yours",
            fix="take letters, digits, - and _, and none of the names that come with loratui",
            code="preset.name",
        )
    path = folder_of_own(preferences) / f"{preset.name}.toml"
    write_new(path, preset_text(preset))
    return path


def write_new(path: Path, text: str) -> None:
    """Write a file in one piece where there is none.

    Raises:
        UsageError: there is one.
        StorageError: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise StorageError(
            f"{path} can't be written: {error.strerror or error}", fix="choose another folder", code="disk.unwritable"
        ) from error


def check_free(path: Path) -> None:
    """Refuse, before anything is asked, what could not be written in the end; errors as in ``write_new``."""
    if os.path.lexists(path):
        raise _exists(path)


def _exists(path: Path) -> UsageError:
    return UsageError(f"{path} is there already, and stays as it is", fix="choose another name", code="usage.exists")


def _own(path: Path) -> Preset:
    try:
        return parse_preset(path.stem, path.read_text("utf-8"), is_own=True)
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} can't be read: {error}", fix="remove it", code="preset.unreadable") from error


def _length(config: TrainingConfig) -> dict[str, object]:
    """Return how long a run was: in exposures where its pictures are still here, else as its config says it."""
    try:
        exposures = plan(config, scan_config(config).pictures).exposures_per_picture
    except DatasetError:
        if config.max_train_epochs is not None:
            return {"max_train_epochs": config.max_train_epochs}
        return {"max_train_steps": config.max_train_steps}
    least, most = exposures * (1 - _EXPOSURES_AROUND), exposures * (1 + _EXPOSURES_AROUND)
    return {"exposures": [round(least, 1), round(exposures, 1), round(most, 1)]}


def _written(value: object) -> str:
    return ",".join(map(repr, value)) if isinstance(value, tuple) else repr(value)
