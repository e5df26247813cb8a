"""Knows whether the main thread waits for the disk: then the loop in it stands still, and is well.

A sync while a training writes gigabytes may take minutes. Standard library only.
"""

import contextlib
import threading
import time
from collections.abc import Iterator

_began_s: float | None = None


@contextlib.contextmanager
def disk_wait() -> Iterator[None]:
    """Do what may have to wait for the disk."""
    global _began_s
    if _began_s is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    _began_s = time.monotonic()
    try:
        yield
    finally:
        _began_s = None


def waited_s() -> float | None:
    """Return since when the main thread waits for the disk, in seconds; None when it does not."""
    began_s = _began_s
    return None if began_s is None else time.monotonic() - began_s
