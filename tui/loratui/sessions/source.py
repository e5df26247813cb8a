"""A followed run as a screen wants it."""

import contextlib
import time
from concurrent.futures import Future
from dataclasses import replace

from loratui.domain.run import CommandKind, LinkState, RunView
from loratui.sessions.host import SessionHost
from loratui_protocol.errors import LoratuiError
from loratui_protocol.messages import CommandResult


class HostRunSource:
    """A ``RunSource`` over a session host, which it closes with itself."""

    def __init__(self, host: SessionHost, run_id: str) -> None:
        self.run_id = run_id
        self._host = host
        self._last: RunView | None = None
        """What was known when the host had ended."""

    def view(self) -> RunView:
        """Return the newest snapshot, at once; of a host that has ended the last one, as of a link that is down."""
        try:
            return self._host.view(self.run_id)
        except LoratuiError as error:
            if self._last is None:
                self._last = _cut_off(self._host.last_view(self.run_id), error)
            return self._last

    def send(self, command_kind: CommandKind, seconds: float = 0) -> "Future[CommandResult]":
        """Send a command; the result comes when the run has carried it out or refused it, and has every error."""
        return self._host.send(self.run_id, command_kind, seconds)

    def retry_now(self) -> None:
        """Reach for an agent that is down at once."""
        # A host that has ended is said by the view.
        with contextlib.suppress(LoratuiError):
            self._host.retry_now(self.run_id)

    def close(self) -> None:
        """Let go of the run, which goes on."""
        self._host.close()


def _cut_off(view: RunView, error: LoratuiError) -> RunView:
    """Return a view as that of a run which nobody listens to any more."""
    last = replace(view, version=view.version + 1, log=view.log.copy(), given_up=error)
    last.heard(LinkState.DOWN, time.monotonic(), detail=error.what)
    last.note(time.time(), "ERROR", str(error))
    return last
