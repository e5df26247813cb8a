"""Keeps where the user is while the interface is open, and takes it up again the next time."""

from typing import TYPE_CHECKING

from loratui.domain.run_source import RunSource
from loratui.ui.page import Page
from loratui.ui.places import PLACES
from loratui.ui.session import Session, SessionKeeper, read
from loratui_protocol.errors import LoratuiError

if TYPE_CHECKING:
    from loratui.ui.shell import Shell


class Reopening:
    """Does nothing unless the options say that sessions are kept."""

    def __init__(self, shell: "Shell") -> None:
        self._shell = shell
        self._is_on = shell.options.keeps_session
        self._state_dir = shell.desk.preferences.state_dir
        self._keeper = SessionKeeper(self._state_dir)
        self._then = read(self._state_dir) if self._is_on else Session()
        """How it was left the last time."""
        self._awaited = ""
        """The run that is to be open, until it is."""

    def restore(self, page: Page) -> None:
        """Give a page that was just made back what it had kept."""
        if self._is_on:
            page.restore(self._then.pages.get(page.place, {}))

    def begin(self) -> None:
        """Show the screen and the run of then, if wanted; what was to be terminated then is told in any case."""
        session, shell = self._then, self._shell
        shell.money.take_up(session.unended)
        if not self._is_on or not shell.options.reopen:
            return
        if session.place in (place.name for place in PLACES):
            shell.go(session.place)
        if shell.source is None and session.run_id:
            self._awaited = session.run_id
            shell.work(self._follow, "opening the run")

    def keep(self, now_s: float) -> None:
        """Keep this moment, if anything has changed."""
        if self._is_on:
            self._keeper.keep(self._session(), now_s)

    def close(self) -> None:
        """Keep the last moment."""
        if self._is_on:
            self._keeper.close(self._session())

    def _follow(self) -> None:
        try:
            source = self._shell.desk.open_run(self._awaited)
        except LoratuiError:
            # It is not known here any more: then no run is open.
            self._awaited = ""
            return
        self._shell.app.call_from_thread(self._take, source)

    def _take(self, source: RunSource) -> None:
        if self._shell.source is None:
            self._shell.take(source)

    def _session(self) -> Session:
        # Of a page that was not made yet nothing has changed.
        kept = {**self._then.pages, **{name: page.kept() for name, page in self._shell.pages.items()}}
        source = self._shell.source
        return Session(
            place=self._shell.page.place,
            run_id=self._awaited if source is None else source.run_id,
            pages={name: texts for name, texts in kept.items() if texts},
            unended=self._shell.money.left(),
        )
