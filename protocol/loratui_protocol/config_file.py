"""Reads training configs: our sectioned TOML, sd-scripts' ``--config_file``, and what ``foreign`` knows.

Section names don't matter, as in sd-scripts. What sd-scripts swallows in silence (a misspelt key, a number in
quotes) is an error here, and what it swallows with a meaning that is certain is corrected and reported.
"""

import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loratui_protocol.config import KEYS, TrainingConfig
from loratui_protocol.config_advice import advice
from loratui_protocol.config_datasets import ReadDatasets, read_datasets
from loratui_protocol.config_reading import Reading
from loratui_protocol.config_remains import remains
from loratui_protocol.config_told import Correction, Problem
from loratui_protocol.config_write import to_toml
from loratui_protocol.errors import ConfigError
from loratui_protocol.findings import Finding
from loratui_protocol.foreign import Foreign, of_toml, tables
from loratui_protocol.foreign_text import parse_toml

_CALLED = {"network_dim": ("rank",), "network_alpha": ("alpha",), "learning_rate": ("unet_lr", "text_encoder_lr")}
"""How else findings speak of a key's value."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """What a file says that may not be enough to train."""

    kind: str
    """As in ``Foreign``."""
    values: dict[str, Any]
    """By our keys, all of the right types."""
    findings: tuple[Finding, ...]
    problems: tuple[Problem, ...]
    text: str
    corrections: tuple[Correction, ...]
    """As in ``Loaded``."""
    claims_sdxl: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """All that can be known of a file."""

    loaded: Loaded
    """What remains where there are problems, with defaults for what is refused or missing."""
    problems: tuple[Problem, ...]
    unknown: frozenset[str]
    """Keys whose value is refused or missing, so that nothing can be said of it."""


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
    """Return what ``text`` says, which is TOML; errors as in ``read_partial``."""
    return _partial(of_toml(parse_toml(text), text), base)


def once_mended(partial: Partial) -> Loaded:
    """Return the config that a file is once its fixable problems are set right; these are among the findings.

    Raises:
        ConfigError: there are others.
    """
    rest = tuple(each for each in partial.problems if not each.fixable)
    return _whole(replace(partial, findings=(*partial.findings, *mendable(partial)), problems=rest))


def mendable(partial: Partial) -> tuple[Finding, ...]:
    """Return the problems of a file that are fixable."""
    return tuple(
        Finding(code=each.code, severity="error", what=each.what, fix=each.fix, fixable=True)
        for each in partial.problems
        if each.fixable
    )


def _whole(partial: Partial) -> Loaded:
    if partial.problems:
        raise _refusal(list(partial.problems))
    config = TrainingConfig(**partial.values)
    return Loaded(
        config=config,
        findings=(*partial.findings, *advice(config)),
        text=partial.text,
        corrections=partial.corrections,
        claims_sdxl=partial.claims_sdxl,
    )


def _partial(foreign: Foreign, base: Path) -> Partial:
    reading, listed = _reading(foreign, base)
    return Partial(
        kind=foreign.kind,
        values={**reading.values, "datasets": listed.datasets},
        findings=(*foreign.findings, *reading.findings, *listed.findings),
        problems=(*reading.problems, *listed.problems),
        text=foreign.text,
        corrections=(*reading.corrections, *listed.corrections),
        claims_sdxl=reading.claims_sdxl,
    )


def judge_config(path: Path) -> Judged:
    """Return all that can be known of a file, trainable or not; paths and errors as in ``read_partial``."""
    return _judged(tables(path), path.resolve().parent)


def _loaded(foreign: Foreign, base: Path) -> Loaded:
    judged = _judged(foreign, base)
    if judged.problems:
        raise _refusal(judged.problems)
    return judged.loaded


def _judged(foreign: Foreign, base: Path) -> Judged:
    reading, listed = _reading(foreign, base)
    problems = [*reading.problems, *listed.problems]
    # One that has no subsets because they are refused is spoken of already.
    datasets = tuple(each for each in listed.datasets if each.subsets or not problems)
    left = remains({**reading.values, "datasets": datasets}, _keys_of(problems))
    reading.refuse_impossible(left.faults)
    loaded = Loaded(
        config=left.config,
        findings=(*foreign.findings, *reading.findings, *listed.findings, *known(advice(left.config), left.unknown)),
        text=foreign.text,
        corrections=(*reading.corrections, *listed.corrections),
        claims_sdxl=reading.claims_sdxl,
    )
    return Judged(loaded=loaded, problems=(*reading.problems, *listed.problems), unknown=left.unknown)


def _keys_of(problems: Iterable[Problem]) -> set[str]:
    """Return the keys that problems are about, which are named first, and those that were meant, which are last."""
    words = (word for each in problems for word in (each.what.split()[0], each.fix.split()[-1].rstrip("?")))
    return {word for word in words if word in KEYS}


def known(findings: Iterable[Finding], unknown: Collection[str]) -> list[Finding]:
    """Return the findings without those that speak of a key whose value isn't known."""
    if not unknown:
        return list(findings)
    words = {*unknown, *(word for key in unknown for word in _CALLED.get(key, ()))}
    speaks = re.compile(rf"\b({'|'.join(map(re.escape, words))})\b")
    return [each for each in findings if not speaks.search(f"{each.what} {each.fix}")]


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


def _refusal(problems: Sequence[Problem]) -> ConfigError:
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


__all__ = [
    "Judged",
    "Loaded",
    "Partial",
    "judge_config",
    "known",
    "mendable",
    "once_mended",
    "parse_config",
    "parse_partial",
    "read_config",
    "read_partial",
    "to_toml",
]
