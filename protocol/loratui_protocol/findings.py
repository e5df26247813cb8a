"""What a check has found: one fact the user may want to act on, with a stable code."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]


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


def counted(number: int, what: str) -> str:
    """Return "1 picture" or "3 pictures"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
