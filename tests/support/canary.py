"""Looks all the time whether a text has come to a host: into files, RAM disk, command lines, environments."""

import contextlib
import os
import stat
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import psutil

from support.agent_process import wait_until
from support.sshd import Sshd

_READ_BYTES = 64 << 20
_OF_TESTS = "pytest-of-"
"""Folders of tests, these and others that run meanwhile; the host's own lies in there and is looked at by name."""
_OF_AGENTS = "loratui-"
_PAUSE_S = 0.05


class CanaryWatch:
    """Where on the host each text was seen since the watch began; ``rounds`` counts the looks that are over."""

    def __init__(self, server: Sshd, texts: Collection[bytes]) -> None:
        self.seen: dict[bytes, set[str]] = {text: set() for text in texts}
        self.rounds = 0
        self._server = server
        # What was changed before can't hold a text that was made up since. Clocks of file systems are coarse.
        self._since_s = time.time() - 2
        self._temporary = Path(tempfile.gettempdir())
        # A temporary folder of a busy machine holds a hundred thousand files: only what is new is looked at.
        self._old = {path.name for path in self._temporary.iterdir() if not path.name.startswith(_OF_AGENTS)}
        self._known: dict[str, tuple[int, int, int]] = {}
        self._end = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "CanaryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def whole_round(self) -> None:
        """Return once everything was looked at that is there now."""
        begun = self.rounds
        wait_until(lambda: self.rounds >= begun + 2 or self._error, "the watch to look around")

    def places(self, *texts: bytes) -> set[str]:
        """Return where any of these was seen."""
        return set().union(*(self.seen[text] for text in texts))

    def _run(self) -> None:
        try:
            while not self._end.is_set():
                self._look()
                self.rounds += 1
                # The training beside it shares these processors.
                self._end.wait(_PAUSE_S)
            self._look()
        except Exception as error:  # noqa: BLE001  raised again where the watch ends
            self._error = error

    def _look(self) -> None:
        for process in self._processes():
            with contextlib.suppress(psutil.Error, OSError):
                words = [*process.cmdline(), *(f"{name}={value}" for name, value in process.environ().items())]
                self._search("\n".join(words).encode("utf-8", "surrogateescape"), f"process {process.name()}")
        new = [path for path in self._temporary.iterdir() if path.name not in self._old and _OF_TESTS not in path.name]
        for root in (self._server.home, Path("/dev/shm"), *new):
            for path in _files(root):
                self._look_at(path)

    def _processes(self) -> Iterator[psutil.Process]:
        yield from self._server.processes()
        for session in self._server.sessions():
            yield session
            with contextlib.suppress(psutil.Error):
                yield from session.children(recursive=True)

    def _look_at(self, path: str) -> None:
        with contextlib.suppress(OSError):
            facts = os.lstat(path)
            key = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
            if stat.S_ISREG(facts.st_mode) and facts.st_ctime >= self._since_s and self._known.get(path) != key:
                self._search(os.fsencode(path), path)
                with open(path, "rb") as file:  # noqa: PTH123  a path as text: there are many thousands
                    self._search(file.read(_READ_BYTES), path)
                self._known[path] = key

    def _search(self, content: bytes, place: str) -> None:
        for text, places in self.seen.items():
            if text in content:
                places.add(place)


def _files(root: Path) -> Iterator[str]:
    yield str(root)
    for folder, _, names in os.walk(root):
        yield from (f"{folder}/{name}" for name in names)
