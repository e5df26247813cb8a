"""Commands that the interface sends out: real ``loratui`` processes, which go on when the interface is closed.

What spends money or takes long is done by the very command that a person would type, so that there is one way to do
it. Its words go into a file: a process whose reader has gone away must not break on the next line that it says.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loratui.settings import Settings

COMMAND = (sys.executable, "-m", "loratui.cli")
_INTERRUPTED = (-signal.SIGINT, 130)
"""By the signal itself, which the command line does not mind at once, and by being told of it."""
_MOST_BYTES = 65_536
_NUM_KEPT = 20
_FOLDER = "errands"
_BEGUN = re.compile(r"(?:run )?([0-9A-HJKMNP-TV-Z]{26})(?:: |\s*$)")
"""How a command says that its run has begun."""


@dataclass(eq=False)
class Errand:
    """One command on its way. ``name`` is what people call it: "rent", "download style-3"."""

    name: str
    argv: tuple[str, ...]
    words: Path
    """The file that its output goes into, stdout and stderr together."""
    process: "subprocess.Popen[bytes]" = field(repr=False)
    started_s: float
    is_told: bool = False

    @property
    def status(self) -> int | None:
        """Return its exit status; None while it runs."""
        return self.process.poll()

    def lines(self) -> list[str]:
        """Return what it has said, of a long speech the end."""
        try:
            with self.words.open("rb") as file:
                file.seek(max(0, self.words.stat().st_size - _MOST_BYTES))
                return file.read().decode(errors="replace").splitlines()
        except OSError:
            return []

    def last_line(self) -> str:
        """Return the last line that says something."""
        return next((line.strip() for line in reversed(self.lines()) if line.strip()), "")

    @property
    def never_began(self) -> bool:
        """Return whether it was interrupted while it was still being loaded.

        By then it has said nothing, or only where it was: what spends money says so before it does.
        """
        if self.status not in _INTERRUPTED or not self.words.exists():
            return False
        first = next((line for line in self.lines() if line.strip()), "")
        return not first or first.startswith("Traceback ")

    def outcome(self) -> str:
        """Return what it came to, once it has ended: its name, and the last that it said of what it is called after."""
        said = self.last_line() or (f"ended with {self.status}" if self.status else "done")
        if self.never_began:
            said = "interrupted before it had begun"
        _, _, about = self.name.partition(" ")
        return f"{self.name}: {said.removeprefix(f'{about}: ')}"


class Errands:
    """All commands that this interface has sent out, newest last."""

    def __init__(self, preferences: Settings) -> None:
        self._preferences = preferences
        self.all: list[Errand] = []

    def send(self, name: str, *argv: str, typed: str = "") -> Errand:
        """Start ``loratui`` with these arguments, in a session of its own: no hang-up of this terminal reaches it.

        ``typed`` is the one line that it reads: no secret stands among its arguments, which others may see.

        Raises:
            OSError: the disk or the system has no room for it.
        """
        folder = self._preferences.state_dir / _FOLDER
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _tidy(folder)
        words = folder / f"{time.time_ns()}.log"
        with os.fdopen(os.open(words, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
            process = subprocess.Popen(
                [*COMMAND, *argv],
                stdin=subprocess.PIPE if typed else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environ | {"PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        if process.stdin is not None:
            # One that has ended already reads nothing.
            with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(f"{typed}\n".encode())
        errand = Errand(name=name, argv=argv, words=words, process=process, started_s=time.monotonic())
        self.all.append(errand)
        return errand

    @property
    def environ(self) -> dict[str, str]:
        """Return the variables with which a command knows what this interface knows."""
        return os.environ | {
            "LORATUI_CONFIG_DIR": str(self._preferences.config_dir),
            "LORATUI_STATE_DIR": str(self._preferences.state_dir),
            "LORATUI_HOME": str(self._preferences.local_home),
        }

    @property
    def under_way(self) -> Sequence[Errand]:
        """Return those that have not ended."""
        return [errand for errand in self.all if errand.status is None]

    def collect(self) -> list[Errand]:
        """Return those that have ended since the last call."""
        ended = [errand for errand in self.all if not errand.is_told and errand.status is not None]
        for errand in ended:
            errand.is_told = True
        return ended


def is_renting(errand: Errand) -> bool:
    """Return whether a command that was sent out may rent a machine."""
    if errand.argv[:1] not in (("train",), ("resume",)) or "--on" not in errand.argv[:-1]:
        return False
    target = errand.argv[errand.argv.index("--on") + 1]
    return target != "local" and not target.startswith("ssh:")


def begun_run(lines: Sequence[str]) -> str:
    """Return the id of the first run that a command has said to have begun; empty: none yet."""
    return next((found[1] for line in lines if (found := _BEGUN.match(line))), "")


def _tidy(folder: Path) -> None:
    for old in sorted(folder.glob("*.log"))[: -_NUM_KEPT + 1]:
        old.unlink(missing_ok=True)
