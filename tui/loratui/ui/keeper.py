"""A file that follows what changes here: written while the interface is open, so that it is there after any end."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from loratui.preflight import safe_files

EVERY_S = 1.0
T = TypeVar("T")


class Keeper(Generic[T]):
    """Writes what it is given when it has changed, at most once a second and in a thread: a disk may be slow.

    ``encoded`` makes a file's content of it; of nothing there is no file.
    """

    def __init__(self, path: Path, encoded: Callable[[T], bytes]) -> None:
        self._path = path
        self._encoded = encoded
        self._kept: T | None = None
        self._at_s = float("-inf")
        self._writing: threading.Thread | None = None

    def keep(self, what: T, now_s: float) -> None:
        """Write it, unless it is as before or something was written just now."""
        is_busy = self._writing is not None and self._writing.is_alive()
        if what == self._kept or is_busy or now_s - self._at_s < EVERY_S:
            return
        self._kept, self._at_s = what, now_s
        self._writing = threading.Thread(target=self._write, args=(what,), name="loratui-keeper", daemon=True)
        self._writing.start()

    def close(self, what: T) -> bool:
        """Write it before the program ends, and return whether it is on the disk.

        Another interface may have written its own meanwhile: that it is as before here says nothing.
        """
        if self._writing is not None:
            self._writing.join()
        self._kept = what
        return self._write(what)

    def _write(self, what: T) -> bool:
        try:
            content = self._encoded(what)
            if content:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                safe_files.put(self._path, content)
            else:
                self._path.unlink(missing_ok=True)
        except (OSError, ValueError):
            # A full disk costs no more than what is kept here; to be tried again with the next change.
            return False
        return True
