"""Smaller copies of pictures, made and told before a machine is reached or rented: nobody pays for that time."""

import time
from collections.abc import Callable
from dataclasses import replace

from loratui.cli.following import say
from loratui.sessions.checking import Checked
from loratui.sessions.copies import copies_for
from loratui.settings import Settings

_SAY_EVERY_S = 5.0


def with_copies(checked: Checked, preferences: Settings) -> Checked:
    """Return the config with the copies that are sent of its pictures, or as it is where the settings say so."""
    copies = copies_for(checked.config, preferences, _progress())
    if copies.num_copied:
        say(f"to send: {copies.sentence}; the originals stay as they are")
    return replace(checked, copies=copies)


def _progress() -> Callable[[int, int], None]:
    said_s = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal said_s
        if time.monotonic() - said_s >= _SAY_EVERY_S:
            said_s = time.monotonic()
            say(f"making smaller copies to send: {done} of {total} pictures")

    return tell
