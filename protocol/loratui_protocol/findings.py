"""What a check has found: one fact the user may want to act on, with a stable code."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Severity = Literal["error", "warning", "info"]
MOST_PATHS = 1000
"""Of the files of one finding that are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``fix`` says what to do, ``path`` which file it is about, ``fixable`` whether ``check --fix`` does it.

    In folders it does so where there is one way to: which of two captions is meant is for a person to say.
    """

    code: str
    severity: Severity
    what: str
    fix: str = ""
    path: str = ""
    fixable: bool = False
    paths: tuple[str, ...] = ()
    """The files that it counts, where it counts some: relative to their dataset's folder, with forward slashes, and as
    they are called, control characters and all."""
    num_paths: int = 0
    """How many there are: more than ``paths`` where those are too many to be told."""


def plural(number: int, what: str, does: str = "", do: str = "") -> str:
    """Return "1 picture" or "3 pictures", and what it ``does`` or they ``do``."""
    verb = does if number == 1 else do
    return f"{number} {what}{'' if number == 1 else 's'}{f' {verb}' if verb else ''}"


def with_paths(finding: Finding, names: Sequence[str]) -> Finding:
    """Return the finding with the names of all files that it counts, as far as there is room for them."""
    return replace(finding, paths=tuple(names[:MOST_PATHS]), num_paths=len(names))
