"""One followed run as its host keeps it: the session, its task, and the snapshots that others see."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from loratui.domain.run import RunView

if TYPE_CHECKING:
    from loratui.sessions.session import RunSession

PUBLISH_EVERY_S = 0.1


class Followed:
    """A session, its task, and when its view was last published."""

    session: "RunSession"
    task: asyncio.Task[None]

    def __init__(self, publish: Callable[[RunView], None], stored: Callable[[str, int], None]) -> None:
        self._publish = publish
        self._stored = stored
        self._last_seq = -1
        self._next_s = 0.0
        self._is_due = False

    def changed(self) -> None:
        """Publish the view now, or as soon as ``PUBLISH_EVERY_S`` have passed since the last time."""
        self._tell_stored()
        if self._is_due:
            return
        wait_s = self._next_s - time.monotonic()
        if wait_s <= 0:
            self.publish()
        else:
            self._is_due = True
            asyncio.get_running_loop().call_later(wait_s, self.publish)

    def end(self) -> None:
        """Follow no more."""
        self.session.close()
        self.task.cancel()

    def publish(self) -> None:
        """Publish the view."""
        self._is_due = False
        self._tell_stored()
        self._next_s = time.monotonic() + PUBLISH_EVERY_S
        self._publish(self.session.view.snapshot())

    def _tell_stored(self) -> None:
        view = self.session.view
        if view.last_seq != self._last_seq:
            self._last_seq = view.last_seq
            self._stored(view.run_id, view.last_seq)
