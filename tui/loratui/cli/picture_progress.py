"""One line on stderr that says how many pictures have been looked at, rewritten as it goes."""

import os
import sys
from collections.abc import Callable


def picture_progress(*, is_quiet: bool) -> Callable[[int, int], None] | None:
    """Return what shows the progress; None where nobody would see it, or a line can't be rewritten."""
    if is_quiet or not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return None
    return _show


def _show(done: int, total: int) -> None:
    # Only what has changed for the eye: a terminal far away gets every line through SSH.
    if done < total and done % max(1, total // 100):
        return
    line = f"looking at pictures: {done} of {total}"
    # What follows begins where this line did.
    print(f"\r{' ' * len(line)}\r" if done == total else f"\r{line}", end="", file=sys.stderr, flush=True)
