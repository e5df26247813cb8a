"""Reads training configs: our sectioned TOML, sd-scripts' ``--config_file``, and what ``foreign`` knows.

Section names don't matter, as in sd-scripts. What sd-scripts swallows in silence (a misspelt key, a number in
quotes) is an error here, and what it swallows with a meaning that is certain is corrected and reported.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_advice import advice
from loratui_protocol.config_datasets import ReadDatasets, read_datasets
from loratui_protocol.config_reading import Reading
from loratui_protocol.config_told import Correction, Problem
from loratui_protocol.config_write import to_toml
from loratui_protocol.errors import ConfigError
from loratui_protocol.findings import Finding
from loratui_protocol.foreign import Foreign, of_toml, tables
from loratui_protocol.foreign_text import parse_toml

_MOST_TOLD = 50
"""Of the problems of one file."""


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


@dataclass(frozen=True, slots=True)
class Partial:
    """What a file says that may not be enough to train."""

    kind: str
    """As in ``Foreign``."""
    values: dict[str, Any]
    """By our keys, all of the right types."""
    findings: tuple[Finding, ...]
    problems: tuple[Problem, ...]


def read_config(path: Path) -> Loaded:
    """Return the config in a file, of whatever program; its relative paths count from the file's folder.

    Raises:
        ConfigError: the file can't be read, or what it says can't be trained; every problem is named at once.
    """
    return _loaded(tables(path), path.resolve().parent)


def parse_config(text: str, base: Path) -> Loaded:
    """Return the config in ``text``, which is TOML; paths count from ``base``. Errors as in ``read_config``."""
    return _loaded(of_toml(parse_toml(text), text), base)


def read_partial(path: Path) -> Partial:
    """Return what a file says, whatever is missing in it; paths count from the file's folder.

    Raises:
        ConfigError: the file can't be read, or is no config.
    """
    return _partial(tables(path), path.resolve().parent)


def parse_partial(text: str, base: Path) -> Partial:
    """Return the same of ``text``, which is TOML; paths count from ``base``. Errors as in ``read_partial``."""
    return _partial(of_toml(parse_toml(text), text), base)


def _partial(foreign: Foreign, base: Path) -> Partial:
    reading, listed = _reading(foreign, base)
    values = {**reading.values, "datasets": listed.datasets}
    findings = (*foreign.findings, *reading.findings, *listed.findings)
    return Partial(foreign.kind, values, findings, (*reading.problems, *listed.problems))


def _loaded(foreign: Foreign, base: Path) -> Loaded:
    reading, listed = _reading(foreign, base)
    if problems := [*reading.problems, *listed.problems]:
        raise _refusal(problems)
    config = TrainingConfig(**reading.values, datasets=listed.datasets)
    return Loaded(
        config=config,
        findings=(*foreign.findings, *reading.findings, *listed.findings, *advice(config)),
        text=foreign.text,
        corrections=tuple(reading.corrections),
        claims_sdxl=reading.claims_sdxl,
    )


def _reading(foreign: Foreign, base: Path) -> tuple[Reading, ReadDatasets]:
    content = dict(foreign.tables)
    reading, listed = Reading(foreign.text, base), read_datasets(content, foreign.text, base)
    reading.problems += foreign.problems
    reading.claims_sdxl = foreign.claims_sdxl
    reading.names.update(foreign.names)
    reading.read(content, has_datasets=listed.are_listed)
    sizes = [each.settings["resolution"] for each in listed.datasets if "resolution" in each.settings]
    if sizes and len(sizes) == len(listed.datasets) and "resolution" not in reading.values:
        # Samples are drawn at it.
        reading.values["resolution"] = max(sizes, key=math.prod)
    return reading, listed


def _refusal(problems: list[Problem]) -> ConfigError:
    """Return one error for all problems, as far as a person reads on, under the code of the first."""
    if len(problems) == 1:
        return ConfigError(problems[0].what, fix=problems[0].fix, code=problems[0].code)
    told = problems[:_MOST_TOLD]
    more = f"\n  and {len(problems) - len(told)} more" if len(problems) > len(told) else ""
    return ConfigError(
        f"{len(problems)} problems:" + "".join(f"\n  [{problem.code}] {problem.what}" for problem in told) + more,
        fix="; ".join(dict.fromkeys(problem.fix for problem in told)),
        code=problems[0].code,
    )


__all__ = ["Loaded", "Partial", "parse_config", "parse_partial", "read_config", "read_partial", "to_toml"]
