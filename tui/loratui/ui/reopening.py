"""Keeps where the user is, and what is not written yet, while the interface is open, and takes it up the next time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from loratui.domain.run_source import RunSource
from loratui.ui import drafts
from loratui.ui.drafts import ConfigDraft, Drafts, TypedDraft
from loratui.ui.page import Page
from loratui.ui.places import PLACES
from loratui.ui.session import Session, SessionKeeper, read
from loratui.ui.widgets.prompt import Typed
from loratui_protocol.errors import LoratuiError

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

TOLD_S = 10.0
"""For so long it is said what is here again."""
_NEVER_KEPT = (Typed.SECRET, Typed.MONEY)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for last."""

    place: str
    label: str
    about: str
    value: str
    """What stood there first, before an earlier session's text was put in its place."""
    is_kept: bool


class Reopening:
    """Keeps nothing unless the options say that sessions are kept."""

    def __init__(self, shell: "Shell") -> None:
        self._shell = shell
        self._is_on = shell.options.keeps_session
        self._state_dir = shell.desk.preferences.state_dir
        self._keeper = SessionKeeper(self._state_dir)
        self._draft_keeper = drafts.keeper(self._state_dir)
        self._then = read(self._state_dir) if self._is_on else Session()
        """How it was left the last time."""
        self._left = drafts.read(self._state_dir) if self._is_on else Drafts()
        """What was not written then, and was not taken up yet."""
        self._news: dict[str, list[str]] = {}
        """What is to be told of it, by the screen where that is."""
        for draft in self._left.typed:
            if not draft.is_told:
                said = f"{draft.name} is kept: it stands there when that is asked again"
                self._news.setdefault(draft.place, []).append(said)
        self.said: Sequence[str] = ()
        """What became of what is not written, once this has closed."""
        self._asked: _Asked | None = None
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
        """Keep this moment, if anything has changed; and tell what is here again, once there is room to say it."""
        if self._is_on:
            self._keeper.keep(self._session(), now_s)
            self._draft_keeper.keep(self._with_left(self._now()), now_s)
            self._tell(now_s)

    def close(self) -> None:
        """Keep the last moment."""
        if self._is_on:
            self._keeper.close(self._session())
        self.said = self.at_leaving()

    # --- what is not written yet -------------------------------------------------------------------------------------

    def at_leaving(self) -> Sequence[str]:
        """Write it down now; return what is to be said of this session's part, "!" before what would be lost."""
        now = self._now()
        is_kept = self._is_on and self._draft_keeper.close(self._with_left(now))
        said = "Kept as a draft for the next time" if is_kept else "! Can't be kept, and lost if this closes"
        return [f"{said}: {', '.join(now.names)}."] if now.names else []

    def config_draft(self, path: Path) -> ConfigDraft | None:
        """Return what an earlier session changed of a config, and did not write."""
        is_wanted = not self._shell.options.readonly
        return next((left for left in self._left.configs if is_wanted and left.path == str(path)), None)

    def taken_up(self, draft: ConfigDraft, sentence: str) -> None:
        """Take note that the config is changed again, and tell it on its screen."""
        self._left = replace(self._left, configs=tuple(left for left in self._left.configs if left != draft))
        self._news.setdefault("config", []).append(sentence)

    def ask(self, label: str, done: Callable[[str], None], value: str, kind: Typed, about: str) -> None:
        """Ask for a text; where one for the same was left, that stands there, and the label says so.

        ``about``: what the label leaves open, a file, say: a text that was typed for one is not offered for another.
        """
        shell = self._shell
        self._asked = asked = _Asked(shell.page.place, label, about, value, kind not in _NEVER_KEPT)
        left = [draft for draft in self._left.typed if draft.is_for(asked.place, label, about) and asked.is_kept]
        if left:
            self._left = replace(self._left, typed=tuple(draft for draft in self._left.typed if draft not in left))
            value, label = left[-1].text, f"{label} (as you left it)"
        shell.prompt.open(label, value, done, shell.frame(), kind)

    def _now(self) -> Drafts:
        """Return what is of this session."""
        pages, typed = self._shell.pages.values(), self._typed()
        return Drafts(
            configs=tuple(draft for page in pages if (draft := page.draft()) is not None),
            typed=() if typed is None else (typed,),
        )

    def _with_left(self, now: Drafts) -> Drafts:
        """Return that, and what of earlier sessions was not taken up yet."""
        paths = [draft.path for draft in now.configs]
        configs = tuple(left for left in self._left.configs if left.path not in paths)
        return Drafts(configs=(*configs, *now.configs), typed=(*self._left.typed, *now.typed))

    def _typed(self) -> TypedDraft | None:
        asked, text = self._asked, self._shell.prompt.text
        if asked is None or not asked.is_kept or not text.strip() or text == asked.value:
            return None
        return TypedDraft(place=asked.place, label=asked.label, about=asked.about, text=text)

    def _tell(self, now_s: float) -> None:
        place = self._shell.page.place
        if (news := self._news.get(place)) and not self._shell.notices.now(now_s):
            self._shell.say(news.pop(0), TOLD_S)
            if not news:
                typed = (replace(draft, is_told="yes") if draft.place == place else draft for draft in self._left.typed)
                self._left = replace(self._left, typed=tuple(typed))

    # --- where the user is -------------------------------------------------------------------------------------------

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
