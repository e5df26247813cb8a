"""Takes the text of a TOML file apart into its statements, so that it can be changed line by line."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

_KEY = re.compile(r"""\s*(?:"([^"\\]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*=""")
_MOST_LINES = 2000
"""Of one statement: each of its lines may cost a reading of all before it."""
_ENDS = ("]", '"""', "'''")
"""One of these ends every value of several lines."""


@dataclass(slots=True)
class Statement:
    """A key and its value, a header, a comment or a blank, with all its lines."""

    lines: list[str]
    key: str = ""
    """Empty where it sets none, or one that is part of a dataset."""


def statements(text: str) -> Iterator[Statement]:
    """Yield what the lines say, in order: a statement ends at the first line after which it can be read."""
    lines, start, is_flat = text.split("\n"), 0, True
    has_datasets = "datasets" in tomllib.loads(text)
    while start < len(lines):
        end = start + 1
        is_idle = not lines[start].strip() or lines[start].lstrip().startswith("#")
        while not is_idle and not _is_whole(lines[start:end]):
            end += 1
            if end > len(lines) or end - start > _MOST_LINES:
                raise ValueError("a statement without an end")
        statement = Statement(lines[start:end])
        first = statement.lines[0]
        if first.lstrip().startswith("["):
            table = tomllib.loads(first)
            is_flat = all(not content for content in table.values()) and not (has_datasets and "general" in table)
        elif is_flat and (found := _KEY.match(first)):
            statement.key = next(name for name in found.groups() if name is not None)
        yield statement
        start = end


def _is_whole(lines: list[str]) -> bool:
    if len(lines) > 1 and not any(mark in lines[-1] for mark in _ENDS):
        return False
    try:
        tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError:
        return False
    return True


def comment_of(line: str) -> str:
    """Return the comment behind a statement of one line: what it can be read without, from the first # on."""
    ends = [found.start() for found in re.finditer("#", line)]
    return next((line[end:] for end in ends if _is_whole([line[:end]])), "")
