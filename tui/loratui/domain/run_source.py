"""Where a screen gets a run from: the port that the interface is written against."""

from concurrent.futures import Future
from typing import Protocol

from loratui.domain.run import CommandKind, RunView
from loratui_protocol.messages import CommandResult


class RunSource(Protocol):
    """Where a screen gets a run from, and where its keys go."""

    run_id: str

    def view(self) -> RunView:
        """Return the newest snapshot, at once; raises nothing."""
        ...

    def send(self, command_kind: CommandKind, seconds: float = 0) -> "Future[CommandResult]":
        """Send a command, at once; the result comes when the run has carried it out or refused it.

        It may have any error, a fault of ours as well: nothing is raised here.
        """
        ...

    def retry_now(self) -> None:
        """Reach for an agent that is down at once."""
        ...

    def close(self) -> None:
        """Let go of the run, which goes on."""
        ...
