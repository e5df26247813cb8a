"""Writes a config anew as it was read: line by line, so that order, sections and a person's own comments stay.

Nothing that is trained changes by it; what is refused is mended as far as it is certain what was meant. What can't be
corrected by lines (inline tables, dotted keys, another format) is written whole, as our own file.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import (
    Loaded,
    Partial,
    mendable,
    once_mended,
    parse_config,
    parse_partial,
    read_partial,
    to_toml,
)
from loratui_protocol.config_lines import Statement, comment_of, statements
from loratui_protocol.config_told import Correction
from loratui_protocol.errors import ConfigError
from loratui_protocol.findings import Finding
from loratui_protocol.harmless import clean

SECRETS = ("wandb_api_key", "huggingface_token")
# In TOML, in JSON, and as options of a command line; OneTrainer has some of its own.
_SECRET = re.compile(rf"""^(.*?["']?\b({"|".join(SECRETS)}|api_key|password)["']?(?:\s*[=:]|\s)).*""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """A file as it is to be written."""

    before: str
    text: str
    findings: tuple[Finding, ...]
    """What is set right in it."""


def fixed_text(loaded: Loaded, base: Path) -> str:
    """Return the text with all that is fixable in it set right, or as it is; ``base`` as in ``parse_config``."""
    if not any(finding.fixable for finding in loaded.findings):
        return loaded.text
    try:
        text = _edited(loaded.text, [*loaded.corrections, *_of_alpha(loaded)])
        return text if _is_right(text, loaded, base) else _rewritten(loaded)
    except ValueError:
        return _rewritten(loaded)


def mended(path: Path) -> Mended | None:
    """Return how a file is to be written, with all that is fixable in it set right; None where nothing is, or can be.

    Raises:
        ConfigError: it can't be read at all.
    """
    partial, base = read_partial(path), path.resolve().parent
    try:
        loaded = once_mended(partial)
    except ConfigError:
        return _mended_in_part(partial, base)
    findings = tuple(each for each in loaded.findings if each.fixable)
    return Mended(before=loaded.text, text=fixed_text(loaded, base), findings=findings) if findings else None


def _mended_in_part(partial: Partial, base: Path) -> Mended | None:
    """Set right what is fixable in a file that is refused for something else, too; only line by line."""
    problems = [each for each in partial.problems if not each.fixable]
    try:
        text = _edited(partial.text, partial.corrections)
        again = parse_partial(text, base)
    except (ValueError, ConfigError):
        return None
    fixable = tuple(each for each in (*partial.findings, *mendable(partial)) if each.fixable)
    is_right = _effective(again) == _effective(partial) and len(again.problems) == len(problems)
    return Mended(before=partial.text, text=text, findings=fixable) if fixable and is_right else None


def _effective(partial: Partial) -> dict[str, Any]:
    """Return the values with those that are added where they are left out."""
    return {field.name: field.default for field in fields(TrainingConfig)} | partial.values


def without_secrets(line: str) -> str:
    """Return a line that may be shown."""
    return _SECRET.sub(r"\1 …", line)


def _of_alpha(loaded: Loaded) -> Iterator[Correction]:
    config = loaded.config
    if any(finding.code == "config.alpha" for finding in loaded.findings):
        line = f"network_alpha = {config.network_dim}"
        yield Correction("network_dim", 0, line, "the rank, as it is here; sd-scripts: 1", is_new=True)


def _with_alpha(config: TrainingConfig) -> TrainingConfig:
    return config if config.network_weights else replace(config, network_alpha=config.alpha)


def _is_right(text: str, loaded: Loaded, base: Path) -> bool:
    """Return whether the text says what was read, and nothing is left in it to be fixed."""
    try:
        again = parse_config(text, base)
    except ConfigError:
        return False
    same = _with_alpha(again.config) == _with_alpha(loaded.config)
    return same and not any(finding.fixable for finding in again.findings)


def _rewritten(loaded: Loaded) -> str:
    told = [f"# {_in_a_comment(finding.what)}" for finding in loaded.findings if finding.fixable]
    return "\n".join([*told, "", to_toml(_with_alpha(loaded.config))])


def _edited(text: str, corrections: Iterable[Correction]) -> str:
    """Return the text with the corrections in it; ``ValueError`` where it can't be corrected line by line."""
    lines_of = list(statements(text))
    places: dict[tuple[str, int], Statement] = {}
    seen: Counter[str] = Counter()
    for statement in lines_of:
        if statement.key:
            places[statement.key, seen[statement.key]] = statement
            seen[statement.key] += 1
    top: list[str] = []
    whys: dict[int, list[str]] = {}
    originals = {id(statement): list(statement.lines) for statement in lines_of}
    behind: dict[int, list[str]] = {}
    for each in corrections:
        found = places.get((each.key, each.occurrence))
        if each.is_new:
            line = f"{each.line}  # {_in_a_comment(each.why)}"
            (top if found is None else behind.setdefault(id(found), [])).append(line)
        elif found is None:
            raise ValueError(each.key)
        else:
            told = whys.setdefault(id(found), [])
            told.append(_in_a_comment(each.why))
            found.lines = _corrected(originals[id(found)], each.line, "; ".join(told))
    lines = [line for statement in lines_of for line in (*statement.lines, *reversed(behind.get(id(statement), [])))]
    return "\n".join([*top, *lines])


def _corrected(lines: list[str], line: str, why: str) -> list[str]:
    """Return a statement's lines with ``line`` in their place, or commented out, and why."""
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    if not line:
        shown = [without_secrets(lines[0])] if _SECRET.match(lines[0]) else lines
        return [f"{indent}# {why}:", *(f"{indent}# {each.strip()}" for each in shown)]
    comment = comment_of(lines[0]) if len(lines) == 1 else ""
    return [f"{indent}{line}  # {why}{'  ' + comment if comment else ''}"]


def _in_a_comment(text: str) -> str:
    return clean(text).replace("\n", " ")
