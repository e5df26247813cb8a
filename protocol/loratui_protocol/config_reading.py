"""Takes each key of a parsed config to a value of the right type, a finding, or a problem that refuses the config."""

import ast
import difflib
import math
import re
import types
import typing
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from loratui_protocol import kohya
from loratui_protocol.config import KEYS, TrainingConfig
from loratui_protocol.config_checks import BLOCKS, NETWORK_ARGS
from loratui_protocol.config_evaluate import Evaluate
from loratui_protocol.config_mends import SIZE, WANTED, Mends, all_names, right_name
from loratui_protocol.config_paths import absolute
from loratui_protocol.config_told import as_written
from loratui_protocol.config_write import toml_value
from loratui_protocol.harmless import MAX_INT
from loratui_protocol.optimizers import ARGUMENTS, LR_SCHEDULERS, OPTIMIZERS, Argument
from loratui_protocol.sample_prompts import MAX_SIDE_PX, MIN_SIDE_PX, read_prompt
from loratui_protocol.special_files import check_no_special

_MAX_SHOWN_CHARS = 40


def _field_types() -> dict[str, tuple[type, ...]]:
    hints = typing.get_type_hints(TrainingConfig)
    return {
        key: tuple(typing.get_args(hints[key])) if isinstance(hints[key], types.UnionType) else (hints[key],)
        for key in KEYS
    }


TYPES = _field_types()


class Reading(Mends, Evaluate):
    """Turns the tables of one file into values, findings and problems."""

    keys: tuple[str, ...] = tuple(key for key in KEYS if key != "datasets")
    types = TYPES

    def __init__(self, text: str, base: Path) -> None:
        super().__init__(text)
        self.values: dict[str, Any] = {}
        self._base = base

    def read(self, tables: dict[str, Any], *, has_datasets: bool = False) -> None:
        """Fill ``values``, ``findings`` and ``problems`` from what ``tomllib`` has parsed, but for the datasets."""
        if self._is_no_config(all_names(tables)):
            return
        flat = self._flatten(tables)
        for key, value in self._settle(flat, has_datasets=has_datasets).items():
            self._take(key, value)
        wanted = (("pretrained_model_name_or_path", "builtin:tiny"), ("train_data_dir", "dataset"))
        # What is tried out alone was trained already, on pictures that may be anywhere.
        for key, example in wanted[:1] if has_datasets or self.values.get("evaluate_loras") else wanted:
            if key not in self.values and not any(problem.what.startswith(key) for problem in self.problems):
                also = "; a file of datasets alone is named in a training config, as its dataset_config"
                fix = f'add {key} = "{example}"{also if has_datasets else ""}'
                self._refuse("config.missing_key", f"{key} is missing", fix)
        self._supply(self.values)

    def _flatten(self, tables: dict[str, Any]) -> dict[str, Any]:
        """Return keys under their right names, once each; the last of several wins, as in sd-scripts."""
        flat: dict[str, Any] = {}
        seen: Counter[str] = Counter()
        meant = self._misspelt(all_names(tables))
        for name, content in tables.items():
            for written, value in content.items() if isinstance(content, dict) else ((name, content),):
                key = meant.get(written) or right_name(written)
                place = (written, seen[written])
                seen[written] += 1
                if key in flat:
                    self._warn(
                        "config.duplicate_key",
                        f"{key} is set more than once; the last one counts{self._where(written)}",
                        f"keep one {key}",
                        fixable=self._correct(key, "", f"{key} stands further down again, and the last one counts"),
                    )
                self.places[key] = place
                if written in kohya.CERTAIN:
                    self._warn(
                        "config.kohya_name",
                        f"{written} is read as {key}",
                        f"write {key}: {kohya.MISNAMED[written]}",
                        fixable=self._correct(key, f"{key} = {toml_value(value)}", f"was {written}"),
                    )
                if written in meant:
                    self._read_as(key, written, value)
                flat[key] = value
        return flat

    def _take(self, key: str, value: Any) -> None:
        if key in kohya.WITHOUT_EFFECT:
            if value not in (False, "", 0):
                self._warn(
                    "config.without_effect",
                    f"{key} has no effect: {kohya.WITHOUT_EFFECT[key]}",
                    "remove the line",
                    fixable=self._correct(key, "", f"no effect here: {kohya.WITHOUT_EFFECT[key]}"),
                )
        elif key in kohya.UNSUPPORTED:
            default, meaning = kohya.UNSUPPORTED[key]
            if value not in (default, False, 0, "", []):
                self._refuse(
                    "config.unsupported",
                    f"{key}{self._where(key)} asks for what is not supported: {meaning}",
                    f"remove {key}",
                )
        elif key not in self.keys:
            self._unknown(key)
        elif isinstance(value, str) and "\0" in value:
            self._refuse("config.value", f"{key}{self._where(key)} holds a NUL character", f"write {key} without it")
        else:
            value = self._meant(key, value)
            reader = getattr(self, f"_read_{key}", None)
            read = reader(value) if reader else self._scalar(key, value)
            if read is not None:
                self.values[key] = self._path(key, read)

    # --- values -------------------------------------------------------------------------------------------------------

    def _scalar(self, key: str, value: Any) -> Any:
        """Return the value if it is of the key's type, None if it is unset or refused."""
        accepted = self.types[key]
        if value == "" and types.NoneType in accepted:
            return None
        if type(value) in accepted and _is_in_range(value):
            return value
        if type(value) is int and abs(value) > MAX_INT:
            self._refuse("config.value", f"{key}{self._where(key)} is out of range", f"write a smaller {key}")
            return None
        if type(value) is int and float in accepted:
            return float(value)
        if bool in accepted and type(value) is int and value in (0, 1):
            self._warn(
                "config.flag",
                f"{key} = {value} is read as {toml_value(bool(value))}",
                f"write {key} = {toml_value(bool(value))}",
                fixable=self._correct(key, f"{key} = {toml_value(bool(value))}", f"was {value}"),
            )
            return bool(value)
        wanted = next(cls for cls in accepted if cls in WANTED)
        self._wrong_type(key, value, WANTED[wanted], as_written(value, wanted))
        return None

    def _read_resolution(self, value: Any) -> tuple[int, int] | None:
        sides = value
        if isinstance(value, str):
            sides = (
                [int(side) for side in value.split(",")]
                if re.fullmatch(r"\s*\d{1,9}\s*(,\s*\d{1,9}\s*)?", value)
                else None
            )
        elif type(value) is int:
            sides = [value]
            self._warn(
                "config.resolution_form",
                f"resolution = {value} is read as {value}x{value}",
                f'write resolution = "{value},{value}": sd-scripts stops at an integer',
                fixable=self._correct(
                    "resolution", f'resolution = "{value},{value}"', "sd-scripts stops at an integer"
                ),
            )
        if (
            isinstance(sides, list)
            and len(sides) in (1, 2)
            and all(type(side) is int and abs(side) < MAX_INT for side in sides)
        ):
            return sides[0], sides[-1]
        self._wrong_type("resolution", value, SIZE, "[512, 512]")
        return None

    def _read_optimizer_type(self, value: Any) -> str | None:
        return self._spelling("optimizer_type", value or next(iter(OPTIMIZERS)), OPTIMIZERS)

    def _read_lr_scheduler(self, value: Any) -> str | None:
        return self._spelling("lr_scheduler", value, LR_SCHEDULERS)

    def _spelling(self, key: str, value: Any, known: Iterable[str]) -> str | None:
        text = self._scalar(key, value)
        return {name.lower(): name for name in known}.get(text.lower(), text) if isinstance(text, str) else None

    def _read_optimizer_args(self, value: Any) -> dict[str, Any] | None:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            example = '["weight_decay=0.01", "betas=0.9,0.99"]'
            self._wrong_type("optimizer_args", value, f"a list of texts, as {example}", example)
            return None
        return dict(read for item in value if (read := self._optimizer_arg(item)))

    def _optimizer_arg(self, item: str) -> tuple[str, Argument] | None:
        name, _, written = (part.strip() for part in item.partition("="))
        if name not in ARGUMENTS:
            close = difflib.get_close_matches(name, ARGUMENTS, n=1)
            fix = f"did you mean {close[0]}?" if close else f"known are {', '.join(ARGUMENTS)}"
            self._refuse("config.unknown_key", f"optimizer_args has an unknown argument {name!r}", fix)
            return None
        try:
            value = ast.literal_eval(written)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            value = None
        wanted = ARGUMENTS[name]
        if float in wanted and type(value) in (int, float):
            return name, float(value)
        if bool in wanted and type(value) is bool:
            return name, value
        if (
            tuple in wanted
            and isinstance(value, tuple)
            and [type(beta) in (int, float) for beta in value] == [True] * 2
        ):
            return name, tuple(map(float, value))
        examples = {float: f"{name}=0.01", bool: f"{name}=True", tuple: f"{name}=0.9,0.99"}
        example = next(examples[kind] for kind in examples if kind in wanted)
        self._refuse("config.type", f"optimizer_args has {item!r}, which is no value of {name}", f'write "{example}"')
        return None

    def _read_text_encoder_lr(self, value: Any) -> float | tuple[float, float] | None:
        # sd-scripts takes a list, one rate per text encoder. SD 1.x has one, SDXL two.
        rate = value[0] if isinstance(value, list) and len(value) == 1 else value
        if isinstance(rate, list) and len(rate) == 2 and all(type(each) in (int, float) for each in rate):
            return float(rate[0]), float(rate[1])
        return typing.cast("float | None", self._scalar("text_encoder_lr", rate))

    def _read_lr_warmup_steps(self, value: Any) -> int | float | None:
        return self._steps("lr_warmup_steps", value)

    def _read_lr_decay_steps(self, value: Any) -> int | float | None:
        return self._steps("lr_decay_steps", value)

    def _steps(self, key: str, value: Any) -> int | float | None:
        if type(value) is float and value >= 1 and value.is_integer():
            self._warn(
                "config.warmup_form",
                f"{key} = {value} is read as {int(value)} steps",
                f"write {key} = {int(value)}: sd-scripts takes a float as a share of all steps",
                fixable=self._correct(key, f"{key} = {int(value)}", "sd-scripts takes a float as a share of all steps"),
            )
            return int(value)
        return typing.cast("int | float | None", self._scalar(key, value))

    def _read_network_args(self, value: Any) -> dict[str, float | tuple[float, ...]] | None:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            example = '["conv_dim=8", "conv_alpha=4"]'
            self._wrong_type("network_args", value, f"a list of texts, as {example}", example)
            return None
        found: dict[str, float | tuple[float, ...]] = {}
        for item in value:
            name, _, written = (part.strip() for part in item.partition("="))
            if name in kohya.UNSUPPORTED_NETWORK_ARGS:
                meaning = kohya.UNSUPPORTED_NETWORK_ARGS[name]
                what = f"network_args has {name}, which asks for what is not supported: {meaning}"
                self._refuse("config.unsupported", what, f"remove {name}")
                continue
            if name not in NETWORK_ARGS:
                close = difflib.get_close_matches(name, NETWORK_ARGS, n=1)
                known = ", ".join(NETWORK_ARGS)
                fix = f"did you mean {close[0]}?" if close else f"remove it: {known} are what is supported"
                self._refuse("config.unsupported", f"network_args has {name!r}, which is not supported", fix)
                continue
            try:
                found[name] = tuple(map(float, written.split(","))) if name in BLOCKS else float(written)
            except ValueError:
                self._refuse("config.type", f"network_args has {item!r}, which is no number", f'write "{name}=8"')
        return found

    def _read_lr_scheduler_args(self, value: Any) -> tuple[str, ...] | None:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            # sd-scripts wants the rules as a literal of Python, in quotes.
            return tuple(re.sub(r"""^(\s*step_rules\s*=\s*)(['"])(.*)\2\s*$""", r"\1\3", item) for item in value)
        self._wrong_type("lr_scheduler_args", value, "a list of texts", '["step_rules=1:100,0.1"]')
        return None

    def _read_min_snr_gamma(self, value: Any) -> float | None:
        if value in (0, "") and type(value) is not bool:
            return None  # sd-scripts takes 0 as off
        return typing.cast("float | None", self._scalar("min_snr_gamma", value))

    def _read_save_last_n_epochs(self, value: Any) -> int | None:
        return self._newest("save_last_n_epochs", value)

    def _read_save_last_n_steps(self, value: Any) -> int | None:
        return self._newest("save_last_n_steps", value)

    def _newest(self, key: str, value: Any) -> int | None:
        if type(value) is int and value == 0:
            # kohya's GUI writes it for unset; sd-scripts itself would remove what it has just written.
            self._warn(
                "config.keeps_all",
                f"{key} = 0 is read as unset: all files stay",
                f"remove {key}",
                fixable=self._correct(key, "", "0 is read as unset: all files stay"),
            )
            return None
        return typing.cast("int | None", self._scalar(key, value))

    def _read_caption_extension(self, value: Any) -> str | None:
        extension = self._scalar("caption_extension", value)
        if extension and not extension.startswith("."):
            self._warn(
                "config.caption_extension",
                f"caption_extension {extension!r} is read as '.{extension}'",
                f'write caption_extension = ".{extension}"',
                fixable=self._correct(
                    "caption_extension", f"caption_extension = {toml_value(f'.{extension}')}", "it begins with a dot"
                ),
            )
            return f".{extension}"
        return typing.cast("str | None", extension)

    def _read_sample_prompts(self, value: Any) -> tuple[str, ...] | None:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            self._warn_of_options(value, "sample_prompts")
            return tuple(value)
        if not isinstance(value, str):
            self._wrong_type("sample_prompts", value, "a list of texts or the path of a text file", '["a cat"]')
            return None
        path = self._here("sample_prompts", value)
        return None if path is None else self._prompt_file(absolute(path, self._base)) if path else ()

    def _prompt_file(self, path: str) -> tuple[str, ...] | None:
        if path.lower().endswith((".toml", ".json")):
            self._refuse(
                "config.unsupported",
                f"sample_prompts names {path}; prompts in TOML or JSON are not supported",
                "name a text file with one prompt a line, options behind it",
            )
            return None
        try:
            check_no_special(Path(path))
            lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as error:
            self._refuse(
                "config.value",
                f"sample_prompts names {path}, which can't be read ({type(error).__name__})",
                'name a UTF-8 text file with one prompt a line, or write sample_prompts = ["a cat"]',
            )
            return None
        written = tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
        self._warn_of_options(written, path)
        return written

    def _warn_of_options(self, lines: Iterable[str], where: str) -> None:
        idle = [option for line in lines for option in read_prompt(line)[1]]
        if idle:
            named = ", ".join(repr(option[:_MAX_SHOWN_CHARS]) for option in dict.fromkeys(idle))
            self._warn(
                "config.prompt_options",
                f"{named} in {where} has no effect, and is no part of the prompt",
                f"remove it: known are --n (negative prompt), --w and --h ({MIN_SIDE_PX} to {MAX_SIDE_PX} pixels), "
                "--d (seed), --s (steps) and --l (guidance)",
            )


def _is_in_range(value: Any) -> bool:
    return abs(value) <= MAX_INT if type(value) is int else type(value) is not float or math.isfinite(value)
