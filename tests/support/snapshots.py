"""Screens that were accepted: as text that a person can read in a diff, and a few as SVG, for the looks.

Text says what is drawn, row by row, and under it which words are an alarm, a warning or good news: it stays the same
over upgrades of Textual and Rich. The SVG has the colours, too; after an upgrade that changes it each is looked at.
"""

import difflib
import os
import time
from collections.abc import Callable
from pathlib import Path

from loratui.ui.text import Role
from loratui.ui.widgets.rows import Rows
from support.ui_pilot import Shown

FOLDER = Path(__file__).parents[1] / "tui" / "ui" / "snapshots"
HOW_TO_ACCEPT = "UPDATE_SNAPSHOTS=1 python -m pytest tests/tui/ui/test_snapshots.py"
_IS_ACCEPTING = bool(os.environ.get("UPDATE_SNAPSHOTS"))
_LOUD = (Role.ALARM, Role.WARN, Role.GOOD)
_PATIENCE_S = 5.0
_STILL_S = 0.6


def text_of(shown: Shown) -> str:
    """Return the rows, and which words in them are alarms, warnings or good news."""
    return "\n".join([*(f"|{row}" for row in shown.rows()), "", *_loud(shown), ""])


def _loud(shown: Shown) -> list[str]:
    """Return a line for each row of the screen that has such words."""
    said: dict[int, list[str]] = {}
    for widget in shown.screen.query(Rows):
        if not widget.is_on_screen or not widget.size:
            continue
        for y, row in enumerate(widget.drawn):
            words = [f"{role.value} {text.strip()!r}" for text, role in row if role in _LOUD and text.strip()]
            said.setdefault(widget.content_region.y + y, []).extend(words)
    return [f"row {y}: {', '.join(words)}" for y, words in sorted(said.items()) if words]


async def is_accepted(shown: Shown, name: str, take: Callable[[Shown], str] = text_of) -> str:
    """Return what is wrong with the screen, in the words of a diff; empty: it is as in the file ``name``.

    What a screen shows may come from a thread: it is awaited. With ``UPDATE_SNAPSHOTS`` set, what is there once it
    stands still is accepted.
    """
    path = FOLDER / name
    if _IS_ACCEPTING:
        path.parent.mkdir(exist_ok=True)
        path.write_text(await _still(shown, take), "utf-8")
        return ""
    if not path.exists():
        return f"{name}: nothing was accepted yet; look at it, then: {HOW_TO_ACCEPT}"
    accepted = path.read_text("utf-8")
    end_s = time.monotonic() + _PATIENCE_S
    while (now := take(shown)) != accepted:
        if time.monotonic() > end_s:
            return _difference(name, accepted, now)
        await shown.pilot.pause(0.02)
    return ""


async def _still(shown: Shown, take: Callable[[Shown], str]) -> str:
    now, since_s = take(shown), time.monotonic()
    while time.monotonic() < since_s + _STILL_S:
        await shown.pilot.pause(0.02)
        if (newer := take(shown)) != now:
            now, since_s = newer, time.monotonic()
    return now


def _difference(name: str, accepted: str, now: str) -> str:
    lines = difflib.unified_diff(
        accepted.splitlines(), now.splitlines(), f"accepted/{name}", f"now/{name}", lineterm="", n=1
    )
    return "\n".join([*lines, f"If that is right: {HOW_TO_ACCEPT}"])
