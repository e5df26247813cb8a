"""Takes the text of a TOML file apart into its statements, so that it can be changed line by line."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from loratui_protocol.config_told import place_in_datasets

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
    """Empty where it sets none; of a dataset as ``place_in_datasets`` says."""


class _Datasets:
    """Knows in which dataset a line stands, by the headers before it."""

    def __init__(self) -> None:
        self.place = ""
        self._number = self._inner = 0

    def enter(self, header: dict[str, Any]) -> None:
        match header:
            case {"general": {}}:
                self.place = "[general]"
            case {"datasets": [*_]}:
                self._number, self._inner = self._number + 1, 0
                self.place = f"dataset {self._number}"
            case {"datasets": {"subsets": [*_]}}:
                self._inner += 1
                self.place = f"dataset {self._number}, subset {self._inner}"
            case _:
                self.place = ""


def statements(text: str) -> Iterator[Statement]:
    """Yield what the lines say, in order: a statement ends at the first line after which it can be read."""
    lines, start, is_flat = text.split("\n"), 0, True
    has_datasets, of_datasets = "datasets" in tomllib.loads(text), _Datasets()
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
            of_datasets.enter(table if has_datasets else {})
            is_flat = all(not content for content in table.values()) and not of_datasets.place
        elif (is_flat or of_datasets.place) and (found := _KEY.match(first)):
            key = next(name for name in found.groups() if name is not None)
            statement.key = place_in_datasets(of_datasets.place, key) if of_datasets.place else key
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
