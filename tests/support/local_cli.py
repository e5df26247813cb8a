"""The real command line on a home of its own, and the end of everything that it started."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from loratui_agent.facts import read_facts
from loratui_agent.process import ProcessIdentity, is_locked, signal_group
from loratui_protocol.paths import AgentHome

DEADLINE_S = 200.0


class Command:
    """A running ``loratui``; its lines are collected as they come."""

    def __init__(self, argv: list[str], environment: dict[str, str], folder: Path, typed: str = "") -> None:
        self.process = subprocess.Popen(
            argv,
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE if typed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self.process.stdin is not None:
            with self.process.stdin as stdin:
                stdin.write(typed)
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._changed = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in ((self.process.stdout, self.lines), (self.process.stderr, self.errors))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, lines: list[str]) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    lines.append(line.rstrip("\n"))
                    self._changed.notify_all()

    def wait_for(self, wanted: Callable[[str], bool], *, on_stderr: bool = False) -> str:
        """Return the first line on stdout, or on stderr, that is ``wanted``, once it is there."""
        deadline_s = time.monotonic() + DEADLINE_S
        with self._changed:
            while True:
                for line in self.errors if on_stderr else self.lines:
                    if wanted(line):
                        return line
                is_over = not any(reader.is_alive() for reader in self._readers)
                left_s = 0.0 if is_over else deadline_s - time.monotonic()
                assert left_s > 0, f"never came; stdout {self.lines[-5:]}, stderr {self.errors[-5:]}"
                self._changed.wait(min(left_s, 1.0))

    def wait_for_step(self, step: int) -> None:
        """Return once a ``step`` line of ``--json`` says this step, or a later one."""
        self.wait_for(lambda line: (event := json.loads(line))["event"] == "step" and event["step"] >= step)

    def said(self, text: str) -> bool:
        """Return whether a line so far, of either kind, has the text in it."""
        with self._changed:
            return any(text in line for line in (*self.lines, *self.errors))

    def finish(self) -> int:
        """Wait for the end and return the exit status."""
        try:
            status = self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end; stdout {self.lines[-5:]}, stderr {self.errors[-20:]}") from None
        for reader in self._readers:
            reader.join()
        return status

    def events(self) -> list[dict[str, Any]]:
        """Return the lines so far as objects."""
        return [json.loads(line) for line in list(self.lines)]

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.finish()


class LocalCli:
    """``loratui`` as a user of his own would run it: with empty settings and an empty home."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.home = AgentHome(folder / "home")
        self.environment = {
            **os.environ,
            "LORATUI_STATE_DIR": str(folder / "state"),
            "LORATUI_CONFIG_DIR": str(folder / "config"),
            "LORATUI_HOME": str(self.home.path),
            **environment,
        }
        self._started: list[Command] = []

    def start(self, *arguments: str | Path, typed: str = "") -> Command:
        """Start a command and return at once; ``typed`` is all of its standard input."""
        argv = [sys.executable, "-m", "loratui.cli", *map(str, arguments)]
        command = Command(argv, self.environment, self.folder, typed)
        self._started.append(command)
        return command

    def run(self, *arguments: str | Path, typed: str = "") -> Command:
        """Run a command to its end."""
        command = self.start(*arguments, typed=typed)
        command.finish()
        return command

    def agent_pid(self) -> int:
        """Return the pid of the agent."""
        return int(read_facts(self.home.status)["pid"])

    def end(self) -> None:
        """End every command, the agent and its trainers, without mercy."""
        for command in self._started:
            if command.process.poll() is None:
                command.kill()
        end_agent_of(self.home)


def end_agent_of(home: AgentHome) -> None:
    """End the agent of a home and its trainers, without mercy."""
    agent = read_facts(home.status)
    # Without this file the agent's reaper lets it rest.
    home.status.unlink(missing_ok=True)
    if is_locked(home.lock) and "pid" in agent:
        with contextlib.suppress(ProcessLookupError):
            os.kill(agent["pid"], signal.SIGKILL)
    for path in home.jobs.glob("*/state.json"):
        trainer = read_facts(path).get("trainer")
        if trainer:
            signal_group(ProcessIdentity(**trainer), signal.SIGKILL)


@contextlib.contextmanager
def local_cli(folder: Path, **environment: str) -> Iterator[LocalCli]:
    """Lend a command line and clean up whatever happens."""
    folder.mkdir(parents=True, exist_ok=True)
    cli = LocalCli(folder, **environment)
    try:
        yield cli
    finally:
        cli.end()
