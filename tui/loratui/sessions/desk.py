"""The interface's way to all runs and rentals of this machine: read by a thread of its own, so that no key waits."""

import logging
import threading
import time
from dataclasses import replace
from types import TracebackType

from loratui.domain.accounts import Accounts, with_accounts
from loratui.domain.overview import Overview, RunLine
from loratui.domain.run import LinkState
from loratui.domain.run_source import RunSource
from loratui.sessions.host import SessionHost
from loratui.sessions.market import PROVIDERS
from loratui.sessions.overview import overview
from loratui.sessions.source import HostRunSource
from loratui.settings import Settings
from loratui_protocol.errors import LoratuiError

log = logging.getLogger(__name__)
_EVERY_S = 2.0
_ASK_FIRST_S = 2.0
"""Not while the first screen is painted."""
_ASK_EVERY_S = 300.0
_MOST_FOLLOWED = 4
"""Of the runs that are not over, so many of the newest are followed without being opened."""


class HostDesk:
    """Reads the records every two seconds between ``__enter__`` and ``__exit__``, and follows runs through a host.

    Providers are asked every five minutes what is rented there that no record here has.

    Followed are those that are opened and, of those that are not over, the newest few.
    """

    def __init__(self, host: SessionHost, preferences: Settings) -> None:
        self.preferences = preferences
        self._host = host
        self._followed: set[str] = set()
        self._tried: set[str] = set()
        self._newest = Overview()
        self._woken = threading.Event()
        self._is_over = False
        self._accounts = Accounts()
        self._thread = threading.Thread(target=self._read, name="loratui-desk", daemon=True)
        # A provider may take its time: nobody waits for its answer, nor for this thread.
        self._asker = threading.Thread(target=self._ask, name="loratui-accounts", daemon=True)
        self._is_to_ask = threading.Event()

    def __enter__(self) -> "HostDesk":
        self._thread.start()
        self._asker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over = True
        self._woken.set()
        self._is_to_ask.set()
        self._thread.join()

    def overview(self) -> Overview:
        """Return what was last read of all runs and rentals."""
        return with_accounts(self._newest, self._accounts)

    def look(self) -> None:
        """Read them again soon, and ask the providers."""
        self._woken.set()
        self._is_to_ask.set()

    def open_run(self, run_id: str) -> RunSource:
        """Follow a run that is known here; one that is followed already goes on to be."""
        if run_id not in self._followed:
            self._host.follow(run_id)
            self._followed.add(run_id)
        return HostRunSource(self._host, run_id)

    def _read(self) -> None:
        while not self._is_over:
            try:
                self._read_once()
            except Exception as error:
                # The thread's boundary: what bills would stand still on the screen, and nobody would know.
                why = f"reading the records broke: {type(error).__name__}: {error}"
                if why != self._newest.trouble:
                    log.exception("reading the records")
                self._newest = self._newest.troubled(why)
            self._woken.wait(_EVERY_S)
            self._woken.clear()

    def _read_once(self) -> None:
        read = overview(self.preferences)
        if read.trouble:
            self._newest = self._newest.troubled(read.trouble)
            return
        self._newest = self._heard(read)
        if self._follow(read):
            self._newest = self._heard(read)

    def _ask(self) -> None:
        self._is_to_ask.wait(_ASK_FIRST_S)
        while not self._is_over:
            self._is_to_ask.clear()
            self._accounts = self._accounts.renewed(self._asked())
            self._is_to_ask.wait(_ASK_EVERY_S)

    def _asked(self) -> Accounts:
        try:
            # What talks to providers takes a third of a second to load.
            from loratui.sessions.accounts import look_at_accounts, to_ask

            # Until they have answered nothing is claimed of them.
            self._accounts = self._accounts.asking(to_ask(self.preferences))
            return look_at_accounts(self.preferences)
        except Exception as error:
            # As in ``_read``: nothing is known of any, and they are asked again.
            log.exception("asking the providers")
            why = f"asking it broke: {type(error).__name__}: {error}"
            return Accounts(failures=dict.fromkeys(PROVIDERS, why), asked=frozenset(PROVIDERS))

    def _follow(self, read: Overview) -> bool:
        """Follow the newest runs that go on; return whether there are new ones.

        One that was never heard is left alone: to follow it may start it, which is for a person to say.
        """
        going_on = [line for line in read.runs if not line.is_over and line.heard_ts is not None]
        fresh = [line for line in going_on[:_MOST_FOLLOWED] if line.id not in self._tried]
        for line in fresh:
            self._tried.add(line.id)
            try:
                self._host.follow(line.id)
            except (LoratuiError, TimeoutError) as error:
                # A host that has ended, too, is told by the pages that need it: the records are here all the same.
                log.info("run=%s is not followed: %s", line.id, error)
            else:
                self._followed.add(line.id)
        return bool(fresh)

    def _heard(self, read: Overview) -> Overview:
        """Return what the records say with what is heard now."""
        if not self._followed:
            return read
        return replace(read, runs=tuple(self._heard_line(line) for line in read.runs))

    def _heard_line(self, line: RunLine) -> RunLine:
        if line.is_over or line.id not in self._followed:
            return line
        try:
            view = self._host.view(line.id)
        except LoratuiError:
            return line
        if view.link is not LinkState.UP:
            return line
        return replace(
            line,
            state=view.state,
            step=view.step,
            total=view.total or line.total,
            spent_microusd=max(line.spent_microusd, view.spent(time.monotonic()).value_microusd),
            loss=view.loss,
            eta_s=view.eta_s,
            stop=view.stop,
            is_live=True,
        )
