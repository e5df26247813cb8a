"""A real trainer process, and in this process the agent's end of its socket: records events, sends commands, kills."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from loratui_protocol import messages
from loratui_protocol.codec import FrameBuffer, to_stream
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import to_toml

DEADLINE_S = 100.0
EventT = TypeVar("EventT")


def write_job(folder: Path, config: TrainingConfig, *, evaluate_concept: str = "") -> Path:
    """Write a job's folder as the agent does and return it."""
    folder.mkdir(parents=True)
    (folder / "job.toml").write_text(to_toml(config), "utf-8")
    (folder / "spec.json").write_text(json.dumps({"evaluate_concept": evaluate_concept}), "utf-8")
    return folder


class TrainerProcess:
    """Runs one attempt of the job in ``folder``."""

    def __init__(self, folder: Path, sockets: Path, attempt: int = 1, module: str = "loratui_agent.train") -> None:
        self.folder = folder
        self.events: list[messages.Event] = []
        self._said_ts: list[float] = []
        self._changed = threading.Condition()
        self._connection: socket.socket | None = None
        path = sockets / f"{folder.name[-8:]}-{attempt}.sock"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._log = (folder / "log").open("ab")
        argv = [sys.executable, "-m", module, "--job-dir", str(folder), "--socket", str(path)]
        self.process = subprocess.Popen(
            [*argv, "--attempt", str(attempt)],
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            self._connection = connection
            incoming = FrameBuffer()
            with connection:
                while received := connection.recv(1 << 16):
                    for message in incoming.feed(received):
                        self._take(connection, message)

    def _take(self, connection: socket.socket, message: messages.Message) -> None:
        if isinstance(message, messages.TrainerHello):
            connection.sendall(to_stream(messages.TrainerWelcome(last_origin=0)))
        elif isinstance(message, messages.TrainerEvent):
            with self._changed:
                self.events.append(message.event)
                self._said_ts.append(message.ts)
                self._changed.notify_all()

    def wait_for(self, wanted: Callable[[messages.Event], bool]) -> messages.Event:
        """Return the first event that is ``wanted``, once it is there."""
        deadline_s = time.monotonic() + DEADLINE_S
        seen = 0
        with self._changed:
            while True:
                for event in self.events[seen:]:
                    if wanted(event):
                        return event
                seen = len(self.events)
                if not self._changed.wait(max(0.0, deadline_s - time.monotonic())):
                    raise AssertionError(f"never came; last events {self.events[-3:]}; log:\n{self.log()}")

    def wait_for_step(self, step: int) -> None:
        """Return once the step is done."""
        self.wait_for(lambda event: isinstance(event, messages.Step) and event.step >= step)

    def send(self, command: messages.Command) -> None:
        """Send a command, as the agent does."""
        assert self._connection is not None
        self._connection.sendall(to_stream(command))

    def kill(self) -> None:
        """End the process with SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE_S)

    def finish(self) -> dict[str, Any]:
        """Wait for the end and return what exit.json says."""
        self.process.wait(DEADLINE_S)
        outcome: dict[str, Any] = json.loads((self.folder / "exit.json").read_text("utf-8"))
        return outcome

    def log(self) -> str:
        """Return what the trainer printed."""
        return (self.folder / "log").read_text("utf-8", "replace")

    def close(self) -> None:
        """Leave nothing running and nothing open."""
        if self.process.poll() is None:
            self.kill()
        self._listener.close()
        self._log.close()
        if self._connection is not None:
            self._connection.close()

    def timed(self) -> list[tuple[float, messages.Event]]:
        """Return the events so far, each with the time at which the trainer said it."""
        with self._changed:
            return list(zip(self._said_ts, self.events, strict=True))

    def of_type(self, kind: type[EventT]) -> list[EventT]:
        """Return the events of one kind so far."""
        with self._changed:
            return [event for event in self.events if isinstance(event, kind)]


@contextlib.contextmanager
def trainer(
    folder: Path, sockets: Path, attempt: int = 1, module: str = "loratui_agent.train"
) -> Iterator[TrainerProcess]:
    """Run one attempt and clean up whatever happens."""
    process = TrainerProcess(folder, sockets, attempt, module)
    try:
        yield process
    finally:
        process.close()
