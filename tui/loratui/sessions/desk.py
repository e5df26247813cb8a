"""The interface's way to all runs and rentals of this machine: read by a thread of its own, so that no key waits."""

import threading
from types import TracebackType

from loratui.domain.overview import Overview
from loratui.domain.run_source import RunSource
from loratui.sessions.host import SessionHost
from loratui.sessions.overview import overview
from loratui.sessions.source import HostRunSource
from loratui.settings import Settings

_EVERY_S = 2.0


class HostDesk:
    """Reads the records every two seconds between ``__enter__`` and ``__exit__``, and follows runs through a host."""

    def __init__(self, host: SessionHost, preferences: Settings) -> None:
        self.preferences = preferences
        self._host = host
        self._followed: set[str] = set()
        self._newest = Overview()
        self._woken = threading.Event()
        self._is_over = False
        self._thread = threading.Thread(target=self._read, name="loratui-desk", daemon=True)

    def __enter__(self) -> "HostDesk":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over = True
        self._woken.set()
        self._thread.join()

    def overview(self) -> Overview:
        """Return what was last read of all runs and rentals."""
        return self._newest

    def look(self) -> None:
        """Read them again soon."""
        self._woken.set()

    def open_run(self, run_id: str) -> RunSource:
        """Follow a run that is known here; one that is followed already goes on to be."""
        if run_id not in self._followed:
            self._followed.add(run_id)
            self._host.follow(run_id)
        return HostRunSource(self._host, run_id)

    def _read(self) -> None:
        while not self._is_over:
            self._newest = overview(self.preferences)
            self._woken.wait(_EVERY_S)
            self._woken.clear()
