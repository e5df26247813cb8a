"""Writes one setting into ``config.toml``, whose other lines, and comments, stay as they are."""

import difflib
import json
import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from loratui.preflight import safe_files
from loratui.settings import SETTINGS
from loratui_protocol.config_lines import comment_of, statements
from loratui_protocol.errors import ConfigError, UsageError


def as_toml(key: str, typed: str) -> str:
    """Return what was typed for a setting of the file as TOML.

    Raises:
        UsageError: there is no such setting, or it can't be that.
    """
    known = {each.key: each for each in SETTINGS if each.in_file}
    setting = known.get(key)
    if setting is None:
        near = difflib.get_close_matches(key, known, 1, 0.5)
        fix = f"did you mean {near[0]}?" if near else "loratui config schema lists them"
        raise UsageError(f"{key} is no setting of the file", fix=fix, code="usage.setting")
    try:
        setting.read(typed)
        number = Decimal(typed) if setting.is_number else Decimal()
    except (ValueError, ArithmeticError) as error:
        raise UsageError(f"{typed!r} is no value of {key}", fix=setting.meaning, code="usage.setting") from error
    if setting.is_switch:
        return typed.casefold()
    return str(number) if setting.is_number else json.dumps(typed, ensure_ascii=False)


def keep_setting(path: Path, key: str, value: str) -> None:
    """Give a setting this value, written as TOML, in the file at ``path``, which need not exist.

    Raises:
        ConfigError: the file can't be read or written, or its lines leave no place for the setting.
    """
    # One that is a link, as among dotfiles, stays one.
    path = path.resolve()
    try:
        text = path.read_text("utf-8") if path.exists() else ""
        changed = with_setting(text, key, value)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists():
            safe_files.write_over(path, changed.encode(), path.parent)
        else:
            safe_files.put(path, changed.encode())
    except OSError as error:
        raise ConfigError(f"{path.name} was not written: {error.strerror}", code="config.unwritable") from error
    except ValueError as error:
        raise ConfigError(
            f"{path.name} has no place for {key} that can be found",
            fix=f"write {key} = {value} there",
            code="config.unwritable",
        ) from error


def with_setting(text: str, key: str, value: str) -> str:
    """Return the text of a TOML file with one key set, in the first way after which nothing else is different.

    ``value`` is TOML.

    Raises:
        ValueError: there is none, or it is no TOML.
    """
    wanted = {**_flat(tomllib.loads(text)), key: tomllib.loads(f"value = {value}")["value"]}
    for changed in _ways(text, key, value):
        try:
            content = tomllib.loads(changed)
        except tomllib.TOMLDecodeError:
            continue
        if dict(_flat(content)) == wanted:
            return changed
    raise ValueError(key)


def _ways(text: str, key: str, value: str) -> Iterator[str]:
    """Yield the text with the line of the key anew, with one in its table, in a table of its own, and at the top."""
    table, _, name = key.rpartition(".")
    lines = [part.lines for part in statements(text)]
    for at, (first, *more) in enumerate(lines):
        found = re.match(rf"\s*({re.escape(name)}|{re.escape(key)})\s*=\s*", first)
        if found and not more:
            comment = comment_of(first)
            new = f"{found[0]}{value}{'  ' if comment else ''}{comment}"
            yield _joined([*lines[:at], [new], *lines[at + 1 :]])
    for at, (first, *_) in enumerate(lines):
        if re.match(rf"\s*\[\s*{re.escape(table)}\s*\]", first):
            yield _joined([*lines[: at + 1], [f"{name} = {value}"], *lines[at + 1 :]])
    start = f"{text.rstrip()}\n\n" if text.strip() else ""
    yield f"{start}[{table}]\n{name} = {value}\n"
    yield f"{key} = {value}\n{text}"


def _joined(lines: list[list[str]]) -> str:
    return "\n".join(line for part in lines for line in part)


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in table.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
