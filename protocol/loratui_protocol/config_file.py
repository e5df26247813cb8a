"""Reads and writes training configs as TOML: our sectioned file and sd-scripts' ``--config_file``.

Section names don't matter, as in sd-scripts. What sd-scripts swallows in silence (a misspelt key, a number in
quotes) is an error here, and what it swallows with a meaning that is certain is corrected and reported.
"""

import math
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_advice import advice
from loratui_protocol.config_datasets import read_datasets
from loratui_protocol.config_reading import Reading
from loratui_protocol.config_told import Correction, Problem
from loratui_protocol.config_write import to_toml
from loratui_protocol.errors import ConfigError
from loratui_protocol.findings import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A config that can be trained, what there is to say about it, and the text it came from."""

    config: TrainingConfig
    findings: tuple[Finding, ...]
    text: str
    corrections: tuple[Correction, ...] = ()
    """How the text is to be written for what it was read as."""
    claims_sdxl: bool | None = None
    """Whether the file says that the base model is an SDXL one; None: it doesn't say."""


def read_config(path: Path) -> Loaded:
    """Return the config in a TOML file; its relative paths count from the file's folder.

    Raises:
        ConfigError: the file can't be read, or what it says can't be trained; every problem is named at once.
    """
    if path.suffix.lower() == ".json":
        raise ConfigError(
            f"{path} is JSON; only TOML configs are read so far",
            fix="save the settings as a kohya training_config.toml and give that file",
            code="config.unsupported",
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not UTF-8 text (byte {error.start})", fix="save the file as UTF-8", code="config.syntax"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{path} can't be read: {error.strerror or error}",
            fix="give the path of a training_config.toml",
            code="config.missing",
        ) from error
    return parse_config(text, path.resolve().parent)


def parse_config(text: str, base: Path) -> Loaded:
    """Return the config in ``text``; relative paths count from ``base``. Errors as in ``read_config``."""
    tables = _parse(text)
    reading, listed = Reading(text, base), read_datasets(tables, text, base)
    reading.read(tables, has_datasets=listed.are_listed)
    if problems := [*reading.problems, *listed.problems]:
        raise _refusal(problems)
    sizes = [each.settings["resolution"] for each in listed.datasets if "resolution" in each.settings]
    if sizes and len(sizes) == len(listed.datasets) and "resolution" not in reading.values:
        # Samples are drawn at it.
        reading.values["resolution"] = max(sizes, key=math.prod)
    config = TrainingConfig(**reading.values, datasets=listed.datasets)
    return Loaded(
        config=config,
        findings=(*reading.findings, *listed.findings, *advice(config)),
        text=text,
        corrections=tuple(reading.corrections),
        claims_sdxl=reading.claims_sdxl,
    )


def _parse(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        lines = text.splitlines()
        wrong = lines[int(found[1]) - 1] if found and int(found[1]) <= len(lines) else ""
        fix = "correct the line; text stands in quotes, true and false in small letters"
        if "\\" in wrong:
            fix = "write the path in single quotes ('C:\\data') or with forward slashes"
        raise ConfigError(f"the config is no TOML: {error}", fix=fix, code="config.syntax") from error


def _refusal(problems: list[Problem]) -> ConfigError:
    """Return one error for all problems, under the code of the first."""
    if len(problems) == 1:
        return ConfigError(problems[0].what, fix=problems[0].fix, code=problems[0].code)
    return ConfigError(
        f"{len(problems)} problems:" + "".join(f"\n  [{problem.code}] {problem.what}" for problem in problems),
        fix="; ".join(dict.fromkeys(problem.fix for problem in problems)),
        code=problems[0].code,
    )


__all__ = ["Loaded", "parse_config", "read_config", "to_toml"]
