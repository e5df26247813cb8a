"""Reads the bytes of a config as text, TOML or JSON. What can't be read is refused with its line."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from loratui_protocol.errors import ConfigError
from loratui_protocol.findings import Finding
from loratui_protocol.harmless import clean
from loratui_protocol.not_configs import not_a_config

MAX_BYTES = 1 << 20
"""Of a config; thousands of keys fit in."""
MAX_KEY_CHARS = 80
_MOST_PARTS = 100
"""Of a dotted key, which takes tomllib time by their square."""
_LONG_KEY = re.compile(rf"(?<![\w\"'-])(?:[\w\"'-]++[ \t]*+\.[ \t]*+){{{_MOST_PARTS}}}")
_NO_JSON_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*+"?|(-?Infinity|NaN|\d{4301,})', re.DOTALL)
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_IN_ONE_TABLE = ("Cannot overwrite a value", "Cannot declare")


def decoded(path: Path, content: bytes) -> str:
    """Return the text of a file, without its mark of the byte order.

    Raises:
        ConfigError: it is not UTF-8, or no text at all (``config.not_a_config``).
    """
    half = content[1:200:2].count(0), content[0:200:2].count(0)
    if content[:2] in (b"\xff\xfe", b"\xfe\xff") or max(half) > len(content[:200]) // 4 > min(half):
        raise ConfigError(f"{path} is UTF-16 text", fix="save the file as UTF-8", code="config.syntax")
    if b"\0" in content:
        raise not_a_config(path, "it is binary data")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path} is not UTF-8 text (byte {error.start}, line {line})",
            fix="save the file as UTF-8",
            code="config.syntax",
        ) from error


def parse_toml(text: str) -> dict[str, Any]:
    """Return what TOML says.

    Raises:
        ConfigError: it is none, or has a key twice in one table (``config.duplicate_key``); the line is named.
    """
    if found := _LONG_KEY.search(text):
        what = f"the config is no TOML: a key of more than {_MOST_PARTS} parts (line {_line(text, found.start())})"
        raise ConfigError(what, fix="correct the line", code="config.syntax")
    # tomllib reads a number of any length that is no decimal one, and Python can't write it then.
    if found := re.search(r"\b0[xob][0-9A-Fa-f_]{500,}", text):
        raise _long_number(text, found.start())
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise _too_deep() from error
    except tomllib.TOMLDecodeError as error:
        said, lines = str(error), text.splitlines()
        at = re.search(r"line (\d+)", said)
        number = int(at[1]) if at else max(1, len(lines))
        if said.startswith(_IN_ONE_TABLE):
            raise ConfigError(
                f"line {number} sets a key, or begins a table, that is there already: {said}",
                fix="remove the line, or the one before it: TOML allows a key once in a table",
                code="config.duplicate_key",
            ) from error
        wrong = lines[number - 1] if number <= len(lines) else ""
        fix = "correct the line; text stands in quotes, true and false in small letters"
        if "\\" in wrong:
            fix = "write the path in single quotes ('C:\\data') or with forward slashes"
        what = f"the config is no TOML: {said}" + ("" if at else f", which is line {number}")
        raise ConfigError(what, fix=fix, code="config.syntax") from error
    except ValueError as error:
        # Python bounds the digits of a whole number.
        digits = re.search(r"[\d_]{4301,}", text)
        raise _long_number(text, digits.start() if digits else 0) from error


def parse_json(text: str) -> tuple[Any, list[Finding]]:
    """Return what JSON says, the last of a key's values where there are several, and findings that say so.

    Raises:
        ConfigError: it is none; the line and column are named.
    """
    twice: dict[str, None] = {}

    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for written, value in pairs:
            # Names are shown; values only as they are written in a file.
            key = clean(written, MAX_KEY_CHARS)
            if key in found:
                twice[key] = None
            found[key] = value
        return found

    if (found := next((each for each in _NO_JSON_NUMBER.finditer(text) if each[1]), None)) is not None:
        what = f"the file is no JSON: {found[1][:20]} is no number of it (line {_line(text, found.start())})"
        raise ConfigError(what, fix="write a number, or null for what is not set", code="config.syntax")
    try:
        content = json.loads(text, object_pairs_hook=table)
    except json.JSONDecodeError as error:
        what = f"the file is no JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        fix = "correct the line; text stands in double quotes, and there is no comma behind the last value"
        raise ConfigError(what, fix=fix, code="config.syntax") from error
    except RecursionError as error:
        raise _too_deep() from error
    if (found := _HALF.search(text)) and not _is_text(content):
        what = f"the file is no JSON: it has half of a character (line {_line(text, found.start())})"
        raise ConfigError(what, fix="write the character itself", code="config.syntax")
    return content, [
        Finding(
            code="config.duplicate_key",
            severity="warning",
            what=f"{key} is set more than once; the last one counts{_where_last(text, key)}",
            fix=f"keep one {key}",
        )
        for key in list(twice)[:10]
    ]


def _is_text(content: Any) -> bool:
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _where_last(text: str, key: str) -> str:
    ends = [found.start() for found in re.finditer(rf'"{re.escape(key)}"\s*:', text)]
    return f" (line {_line(text, ends[-1])})" if ends else ""


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _long_number(text: str, position: int) -> ConfigError:
    what = f"the config has a number of thousands of digits (line {_line(text, position)})"
    return ConfigError(what, fix="correct the line", code="config.syntax")


def _too_deep() -> ConfigError:
    what = "the file holds lists or tables within each other, too many to be read"
    return ConfigError(what, fix="give a training config: it has tables and lists, no more", code="config.syntax")
