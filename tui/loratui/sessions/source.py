"""A followed run as a screen wants it."""

from concurrent.futures import Future

from loratui.domain.run import CommandKind, RunView
from loratui.sessions.host import SessionHost
from loratui_protocol.messages import CommandResult


class HostRunSource:
    """A ``RunSource`` over a session host, which it closes with itself."""

    def __init__(self, host: SessionHost, run_id: str) -> None:
        self.run_id = run_id
        self._host = host

    def view(self) -> RunView:
        """Return the newest snapshot, at once."""
        return self._host.view(self.run_id)

    def send(self, command_kind: CommandKind, seconds: float = 0) -> "Future[CommandResult]":
        """Send a command; the result comes when the run has carried it out or refused it."""
        return self._host.send(self.run_id, command_kind, seconds)

    def retry_now(self) -> None:
        """Reach for an agent that is down at once."""
        self._host.retry_now(self.run_id)

    def close(self) -> None:
        """Let go of the run, which goes on."""
        self._host.close()
