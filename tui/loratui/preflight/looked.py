"""Pictures with what is known of them, and how findings speak of several at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loratui.preflight.facts import PictureFacts
from loratui_protocol.findings import Finding, Severity, plural, with_paths
from loratui_protocol.harmless import clean

NUM_NAMED = 3
_NAME_CHARS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A file that was looked at, once, however many datasets have it."""

    path: Path
    name: str
    """Relative to the folder of its subset, with forward slashes."""
    facts: PictureFacts
    is_reg: bool = False
    is_mask: bool = False
    alpha_is_mask: bool = False
    """Whether the config takes its alpha channel for what counts."""


def shown(name: str) -> str:
    """Return a file's name as it may be shown: without what commands a terminal."""
    return clean(name, _NAME_CHARS)


def first(named: Sequence[str], num_named: int = NUM_NAMED) -> str:
    """Return the first few of some names, and that there are more."""
    rest = len(named) - num_named
    more = f" and {rest} more" if rest > 0 else ""
    return ("first: " if rest > 0 else "") + ", ".join(named[:num_named]) + more


def counted(number: int, what: str) -> str:
    """Return "1 picture is" or "3 pictures are" and what they are."""
    return f"{plural(number, 'picture', 'is', 'are')} {what}"


def about(
    code: str, severity: Severity, what: str, those: Sequence[Looked], fix: str, *, notes: Sequence[str] = ()
) -> Finding:
    """Return one finding for all pictures that share a fact; ``notes`` says of each what only it has."""
    names = [shown(each.name) for each in those]
    if notes:
        names = [f"{name} ({note})" for name, note in zip(names, notes, strict=True)]
    found = Finding(
        code=code,
        severity=severity,
        what=f"{counted(len(those), what)}: {first(names)}",
        fix=fix,
        path=str(those[0].path),
    )
    return with_paths(found, [each.name for each in those])
