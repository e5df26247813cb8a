"""The log screen: everything that the open run has logged, read from the store a page at a time."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from loratui.sessions.run_log import LEVELS, RunLog
from loratui.ui.frame import Frame
from loratui.ui.page import Page
from loratui.ui.registry import Scope
from loratui.ui.widgets.log_lines import LogLines
from loratui.ui.widgets.prompt import Typed
from loratui_protocol.errors import LoratuiError

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

_FIND = ("line_find_next", "line_find_before")
_MOVES = ("line_first", "line_last", "line_down", "line_up", "line_page_down", "line_page_up")
Take = Callable[[], None]


class LogPage(Page):
    """Keeps the window of lines filled: one thread reads at a time, and what was asked before a jump is dropped."""

    place = "log"
    own_scopes = (Scope.LOG_PAGE,)

    def __init__(self, shell: "Shell") -> None:
        super().__init__(shell)
        self._lines = LogLines(id="log-lines")
        self._lines.wanting = self._fill
        self._of: tuple[str, str] | None = None
        """The run, and its journal, that the window is of."""
        self._era = 0
        """Rises with every jump: what was read for an earlier one is not wanted any more."""
        self._reading_for = -1
        self._words = ""
        self._is_over = False

    def compose(self) -> ComposeResult:
        """Fill the page with lines."""
        yield self._lines

    def on_unmount(self) -> None:
        """Let a search end."""
        self._is_over = True

    def yank_text(self) -> str:
        """Return the line that is looked at."""
        return self._lines.line_in_sight() or super().yank_text()

    def show(self, frame: Frame) -> None:
        """Look whether there is more, once a second."""
        run = frame.run
        of = None if run is None else (run.run_id, run.journal)
        if of != self._of:
            self._of, self._lines.found_seq = of, None
            self._start_anew()
        elif run is not None and run.last_seq > self._lines.last_seq and not self._lines.has_newer:
            self._look_for_newer()
        super().show(frame)

    # --- reading -----------------------------------------------------------------------------------------------------

    @property
    def _log(self) -> RunLog | None:
        if self._of is None:
            return None
        return RunLog(database=self.shell.desk.preferences.database, run_id=self._of[0], least=self._lines.least)

    def _read(self, read: Callable[[RunLog], Take], *, is_jump: bool = False) -> None:
        """Read in a thread, and take in what it returns there; a jump makes all that is under way worthless."""
        log = self._log
        if log is None or (self._reading_for == self._era and not is_jump):
            return
        self._era += is_jump
        self._reading_for = era = self._era

        def work() -> None:
            take: Take = partial(self._told_trouble, "reading it broke")
            try:
                take = read(log)
            except LoratuiError as error:
                take = partial(self._told_trouble, error.what)
            finally:
                if not self._is_over:
                    self.app.call_from_thread(self._took, era, take)

        self.shell.work(work, "reading the log")

    def _took(self, era: int, take: Take) -> None:
        if era != self._era:
            return
        self._reading_for = -1
        take()
        self._fill()

    def _told_trouble(self, trouble: str) -> None:
        self._lines.trouble = trouble
        self._lines.rebuild()

    def _start_anew(self) -> None:
        self._lines.clear()

        def read(log: RunLog) -> Take:
            page = log.newest()
            return lambda: self._lines.put(page, None, top_seq=None)

        self._read(read, is_jump=True)

    def _look_for_newer(self) -> None:
        """Take in what came since; of a burst, while it is followed, only the end."""
        after, is_following = self._lines.last_seq, self._lines.is_following

        def read(log: RunLog) -> Take:
            page = log.after(after)
            if page.is_end or not is_following:
                return lambda: self._lines.add_newer(page)
            newest = log.newest()
            return lambda: self._lines.put(newest, None, top_seq=None)

        self._read(read)

    def _fill(self) -> None:
        """Ask for the page that is looked at next."""
        lines = self._lines
        if lines.wants_older:
            before = lines.first_seq

            def read_older(log: RunLog) -> Take:
                page = log.before(before)
                return lambda: lines.add_older(page)

            self._read(read_older)
        elif lines.wants_newer:
            self._look_for_newer()

    # --- what can be done --------------------------------------------------------------------------------------------

    def refusals(self) -> Mapping[str, str]:
        """Return that there is nothing to look at while no run is open; the lines have the whole page already."""
        refused = {"maximise": "the log has the whole screen already"}
        if self.shell.source is None:
            return refused | dict.fromkeys(("line_find", "line_level", *_FIND, *_MOVES), "no run is open")
        return (
            refused
            if self._words
            else refused | dict.fromkeys(_FIND, self.shell.actions.fill("nothing was looked for: press {line_find}"))
        )

    def do_line_down(self) -> None:
        """Go one line on."""
        self._lines.move(1)

    def do_line_up(self) -> None:
        """Go one line back."""
        self._lines.move(-1)

    def do_line_page_down(self) -> None:
        """Go a page on."""
        self._lines.move(self._lines.page)

    def do_line_page_up(self) -> None:
        """Go a page back."""
        self._lines.move(-self._lines.page)

    def do_line_first(self) -> None:
        """Show the first lines."""

        def read(log: RunLog) -> Take:
            page = log.after(0)
            first = page.lines[0].seq if page.lines else None
            return lambda: self._lines.put(None, page, top_seq=first)

        self._read(read, is_jump=True)

    def do_line_last(self) -> None:
        """Show the newest lines, and follow."""
        self._lines.follow()
        if self._lines.has_newer:
            self._start_anew()

    def do_line_level(self) -> None:
        """Show lines of the next level."""
        at = LEVELS.index(self._lines.least)
        self._lines.least = LEVELS[(at + 1) % len(LEVELS)]
        self._start_anew()

    def do_line_wrap(self) -> None:
        """Wrap long lines, or cut them."""
        self._lines.is_wrapped = not self._lines.is_wrapped
        self._lines.rebuild()

    def do_line_find(self) -> None:
        """Ask for words."""
        self.shell.ask_text("find:", self._find, self._words, Typed.ANSWER)

    def _find(self, words: str) -> None:
        self._words = words.strip()
        self._lines.found_seq = None
        if self._words:
            # The first line in sight counts, too.
            self._go_to(self._lines.seq_in_sight() - 1, newer=True)

    def do_line_find_next(self) -> None:
        """Go to the next newer line that has the words."""
        self._go_to(self._lines.seq_in_sight(), newer=True)

    def do_line_find_before(self) -> None:
        """Go to the next older line that has the words."""
        self._go_to(self._lines.seq_in_sight(), newer=False)

    def _go_to(self, seq: int, *, newer: bool) -> None:
        words, era = self._words, self._era + 1
        self.shell.say(f"looking for {words}…")

        def read(log: RunLog) -> Take:
            found = log.find(words, seq, newer=newer, is_wanted=lambda: not self._is_over and era == self._era)
            if found is None:
                return lambda: self.shell.say(f"no line has {words}")
            older, later = log.before(found), log.after(found - 1)
            is_round = found < seq if newer else found > seq

            def take() -> None:
                self._lines.found_seq = found
                if not self._lines.show_seq(found):
                    self._lines.put(older, later, top_seq=found)
                round_what = "the first line" if newer else "the last line"
                self.shell.say(f"went on from {round_what}" if is_round else "")

            return take

        self._read(read, is_jump=True)

    # --- sessions ----------------------------------------------------------------------------------------------------

    def kept(self) -> dict[str, str]:
        """Return the level, and whether lines are wrapped."""
        return {"level": self._lines.least, "wrapped": "yes" if self._lines.is_wrapped else ""}

    def restore(self, kept: Mapping[str, str]) -> None:
        """Take them up."""
        if kept.get("level") in LEVELS:
            self._lines.least = kept["level"]
        self._lines.is_wrapped = bool(kept.get("wrapped"))
