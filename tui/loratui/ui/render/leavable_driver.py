"""A terminal driver that can be left whatever the terminal does.

Textual hands what it writes to a thread, through a queue of 30 places. When the terminal goes, that thread ends, and
whoever writes more than 30 times waits for ever: the program stays behind without a terminal. When the terminal takes
nothing any more, leaving waits for it, and a SIGTERM ends nothing. Here neither holds anything up.
"""

import sys
from contextlib import suppress
from queue import Full
from typing import TYPE_CHECKING

from textual.drivers._writer_thread import WriterThread

if TYPE_CHECKING:
    from textual.driver import Driver

_LOOK_S = 0.1
"""How often a write that waits looks whether the terminal is still there."""
_LEAVE_S = 1.0
"""How long a terminal may take what was written before leaving; what it has not taken by then is dropped."""


def leavable(driver: "type[Driver]") -> "type[Driver]":
    """Return the same driver, which waits neither for a terminal that is gone nor, on leaving, for one that stalls."""
    return type(f"Leavable{driver.__name__}", (_Leavable, driver), {})


class _Leavable:
    _writer_thread: WriterThread | None

    def write(self, data: str) -> None:
        """Hand ``data`` to the terminal; drop it when the terminal is gone."""
        self._hand_over(data)

    def close(self) -> None:
        """Let the terminal take what was written, but not for long."""
        writer = self._writer_thread
        if writer is None:
            return
        self._hand_over(None)
        writer.join(_LEAVE_S)
        if writer.is_alive():
            _drop_output()
            writer.join(_LEAVE_S)

    def _hand_over(self, data: str | None) -> None:
        while self._writer_thread is not None and self._writer_thread.is_alive():
            with suppress(Full):
                self._writer_thread._queue.put(data, timeout=_LOOK_S)
                return


def _drop_output() -> None:
    # A write that waits for the terminal ends with it.
    if sys.platform != "win32":
        import termios

        # Where Textual writes on these systems.
        if sys.__stderr__ is not None:
            with suppress(termios.error, ValueError):
                termios.tcflush(sys.__stderr__, termios.TCOFLUSH)
