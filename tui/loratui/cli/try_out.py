"""``test``: try LoRA files out where a training would run; what is drawn, takes and costs is said before."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.train import train
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_edit import with_value
from loratui_protocol.config_file import parse_config, read_config, to_toml
from loratui_protocol.config_write import toml_value
from loratui_protocol.errors import ConfigError, UsageError
from loratui_protocol.ids import new_id
from loratui_protocol.safetensors_header import read_header

_OF_OPTIONS = {
    "base": "pretrained_model_name_or_path",
    "data": "train_data_dir",
    "trigger": "trigger_word",
    "size": "resolution",
    "name": "output_name",
    "class_word": "evaluate_class_word",
    "prompts": "evaluate_prompts",
    "weights": "evaluate_weights",
    "seeds": "evaluate_seeds",
    "together": "evaluate_together",
    "dino": "evaluate_dino",
    "clip": "evaluate_clip",
}


def test(arguments: Arguments) -> int:
    """Judge the files, as a run of its own."""
    config = try_out_config(arguments)
    # A run is of a file. Here all paths in it are whole, so it may lie anywhere.
    path = settings.load().state_dir / "tests" / f"{new_id()}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_toml(config), "utf-8")
    arguments.configs, arguments.config = [path], path
    try:
        return train(arguments)
    finally:
        # The run, if there is one, has its own copy.
        path.unlink(missing_ok=True)


def try_out_config(arguments: Arguments) -> TrainingConfig:
    """Return what is to be drawn, as a config that trains nothing; what isn't said is as in ``--like`` or the files.

    Raises:
        UsageError: a file is missing, or the base model is not named.
        ConfigError, ModelError: a value is impossible, or the first file is none.
    """
    loras = list(dict.fromkeys(each.absolute() for each in arguments.loras))
    missing = next((each for each in loras if not each.is_file()), None)
    if missing is not None:
        raise UsageError(f"there is no file {missing}", fix="correct its path", code="usage.path")
    typed = {key: getattr(arguments, option) for option, key in _OF_OPTIONS.items()}
    given = {key: str(value) if isinstance(value, Path) else value for key, value in typed.items() if value is not None}
    if arguments.like is None and arguments.base is None:
        what = "which base model the files are for is not said"
        raise UsageError(what, fix="add --base MODEL, or --like CONFIG", code="usage.base")
    text = "" if arguments.like is None else to_toml(_judged_like(arguments.like, loras, arguments.data))
    values = {**({} if arguments.like else _of_file(loras[0])), **given}
    values |= {"evaluate_loras": [str(each) for each in loras], "evaluate_checkpoints": 0}
    values.setdefault("output_name", loras[0].stem)
    for key, value in values.items():
        text = with_value(text, key, toml_value(value))
    try:
        return parse_config(text, Path.cwd()).config
    except ConfigError as error:
        raise _as_typed(error) from error


def _as_typed(error: ConfigError) -> ConfigError:
    """Return what is wrong as of the options: there is no file with such lines."""
    what = re.sub(r" \(line \d+\)", "", error.what)
    option = next((option for option, key in _OF_OPTIONS.items() if re.match(rf"{key}\b", what)), "")
    said = f"--{option.replace('_', '-')}: " if option else ""
    return ConfigError(f"{said}{what}", fix=error.fix, code=error.code)


def _judged_like(path: Path, loras: Sequence[Path], data: Path | None) -> TrainingConfig:
    """Return the config of the training without what nothing is compared with, and would be sent all the same."""
    config = read_config(path).config
    datasets = []
    # Other pictures to compare with take the place of all of its own.
    for dataset in config.datasets if data is None else ():
        subsets = tuple(subset for subset in dataset.subsets if not subset.is_reg)
        datasets += [replace(dataset, subsets=subsets)] if subsets else []
    return replace(
        config,
        evaluate_loras=tuple(map(str, loras)),
        evaluate_checkpoints=0,
        datasets=tuple(datasets),
        reg_data_dir=None,
        network_weights=None,
        dim_from_weights=False,
    )


def _of_file(lora: Path) -> dict[str, Any]:
    """Return what a file says of how it is called, and of the size that it was trained at."""
    said = read_header(lora).metadata
    values = {"trigger_word": said.get("modelspec.trigger_phrase"), "resolution": said.get("modelspec.resolution")}
    return {key: value.replace("x", ",") if key == "resolution" else value for key, value in values.items() if value}
