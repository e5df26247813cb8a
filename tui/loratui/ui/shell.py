"""What stays the same on every screen: status and money above, tabs, footer, questions, help and palette; and the keys.

The pages show and steer; the shell tells them when, hands them their keys, and leaves the program.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Container
from textual.events import Key, Paste, Resize
from textual.message import Message
from textual.screen import Screen

from loratui.domain.run_source import RunSource
from loratui.ui import escapes
from loratui.ui.actions import ACTIONS
from loratui.ui.clock import Clock
from loratui.ui.commands import CommandsOfAll
from loratui.ui.desk import Desk
from loratui.ui.environment import UiOptions
from loratui.ui.errands import Errand, Errands
from loratui.ui.frame import Frame
from loratui.ui.jump import Jump
from loratui.ui.keyboard import Keyboard
from loratui.ui.keymap import with_keys
from loratui.ui.money import Money
from loratui.ui.notices import ALARM_S, NOTICE_S, Notices
from loratui.ui.notify import Notifier
from loratui.ui.over import Over
from loratui.ui.page import Page
from loratui.ui.pages import Pages
from loratui.ui.places import ASIDE
from loratui.ui.preferences import Preferences
from loratui.ui.registry import Scope
from loratui.ui.reopening import Reopening
from loratui.ui.text import Role
from loratui.ui.widgets.confirm_strip import Ask, ConfirmStrip
from loratui.ui.widgets.cost_pane import CostPane
from loratui.ui.widgets.enlarge import Enlarge
from loratui.ui.widgets.footer import Footer
from loratui.ui.widgets.help import HelpPane
from loratui.ui.widgets.palette import Palette
from loratui.ui.widgets.prompt import Prompt, Typed
from loratui.ui.widgets.rows import Rows
from loratui.ui.widgets.status import StatusRows
from loratui.ui.widgets.tabs import TabsRow
from loratui.ui.work import in_thread
from loratui.ui.yank import Yank

SLOW_BODY_S = 5.0


class Shell(Screen[None], inherit_bindings=False):
    """Shows the newest of everything in the page that is in sight, and does what the keys say; it waits for nothing."""

    AUTO_FOCUS = ""
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"role--{role.value}" for role in Role}

    @dataclass
    class Changed(Message):
        """An option has another value."""

        name: str

    class Redraw(Message):
        """What the terminal shows may be wrong: paint everything again."""

    @dataclass
    class Aside(Message):
        """Something for the terminal that is no part of the picture."""

        escapes: str

    def __init__(self, desk: Desk, options: UiOptions, clock: Clock, place: str = "home") -> None:
        super().__init__(id="shell")
        self.desk = desk
        self.options = options
        self.clock = clock
        self.notices = Notices(clock, options.alarm)
        self.source: RunSource | None = None
        self.commands = CommandsOfAll()
        self._coming: RunSource | None = None
        self.is_leaving = False
        self.config_path: Path | None = None
        """The config that is open on the config screen, as it is on the disk."""
        self.actions = with_keys(ACTIONS, desk.preferences.screen.keys)
        self.keyboard = Keyboard(self)
        self.errands = Errands(desk.preferences)
        self.money = Money(self)
        self.preferences = Preferences(self)
        self.jump = Jump(self)
        self.yank = Yank(self)
        self._place = self._before = place
        self._body = Container(id="body")
        self.reopening = Reopening(self)
        self.pages = Pages(self)
        self.over = Over.NOTHING
        self._body_at_s = float("-inf")
        self._notifier = Notifier()
        self._shown: Frame | None = None

        self._status = StatusRows(id="status")
        self.tabs = TabsRow(id="tabs")
        self._enlarge = Enlarge(id="enlarge")
        self.help = HelpPane(self, id="help")
        self.cost = CostPane(id="cost")
        self.palette = Palette(self, id="palette")
        self.strip = ConfirmStrip(self.actions, id="strip")
        self.prompt = Prompt(id="prompt")
        self.footer = Footer(self, id="footer")

    def compose(self) -> ComposeResult:
        """Stack the rows; the style sheet places them by size."""
        yield self._status
        yield self.tabs
        with self._body:
            yield self.page
        yield self._enlarge
        yield self.help
        yield self.cost
        yield self.palette
        yield self.footer
        yield self.footer.whole
        yield self.strip
        yield self.prompt

    def on_mount(self) -> None:
        """Show the first frame before the terminal gets anything."""
        self._sight()
        self.reopening.begin()
        self.refresh_view()
        self.call_after_refresh(self.work, self.pages.make_all, "loading the screens")

    def on_resize(self, event: Resize) -> None:
        """Choose the layout for the new size."""
        width, height = event.size
        tiny = width < 60 or height < 16
        self.set_class(tiny, "-tiny")
        self.set_class(not tiny and (width < 80 or height < 22), "-compact")
        self.set_class(width >= 110 and height >= 32, "-wide")
        self.refresh_view()

    # --- pages and the run -------------------------------------------------------------------------------------------

    @property
    def page(self) -> Page:
        """Return the page that is in sight."""
        return self.pages[self._place]

    def go(self, place: str) -> None:
        """Bring a page into sight."""
        self.jump.leave()
        if place != self._place:
            if self._place not in (aside.name for aside in ASIDE):
                self._before = self._place
            self.page.left()
            self._place = place
            self._sight()
            self.notices.leave()
        self.lay_over(Over.NOTHING)

    def do_aside_close(self) -> None:
        """Go back from a screen without a tab."""
        self.go(self._before)

    def add_page(self, page: Page) -> None:
        """Take in a page that was just made, with what it had kept."""
        page.display = page.place == self._place
        self.reopening.restore(page)
        # The first page is composed; any other, also one that an earlier session was left on, is added.
        if self._body.is_attached:
            self._body.mount(page)

    def on_page_came(self, message: Page.Came) -> None:
        """Show a page that has its rows now, if it is in sight."""
        if message.page is self.page:
            self.refresh_view()

    def _sight(self) -> None:
        for name, page in self.pages.items():
            page.display = name == self._place
        self.page.entered()

    def take(self, source: RunSource) -> None:
        """Let the pages of a run show this one; while something is asked or typed, only after that.

        What is asked is about the open run: the answer must not come to another.
        """
        self._coming = source if self.is_asking else None
        if self._coming is not None:
            return
        self.source = source
        if self.is_mounted:
            self.refresh_view()

    def open_run(self, run_id: str) -> None:
        """Follow a run that is known here, and show it; its history is read by a thread of its own."""
        if self.source is not None and self.source.run_id == run_id:
            self.go("run")
            return
        self.say("opening the run…")

        def follow() -> None:
            source = self.desk.open_run(run_id)
            self.app.call_from_thread(self._opened, source)

        self.work(follow, "opening the run")

    def _opened(self, source: RunSource) -> None:
        self.take(source)
        self.say("")
        if self._coming is None:
            self.go("run")

    @property
    def is_asking(self) -> bool:
        """Return whether a question waits for its answer."""
        return self.strip.scope is not None or self.prompt.is_open

    def _take_coming(self) -> None:
        """Let the run in that was opened while something was asked."""
        if (source := self._coming) is not None and not self.is_asking:
            self.take(source)
            self.say(self.actions.fill("the run is open: {go_run} shows it"))

    def work(self, function: Callable[[], None], what: str) -> None:
        """Do something in a thread; that it failed is said, and ends nothing else."""
        in_thread(self, function, what)

    # --- frames ------------------------------------------------------------------------------------------------------

    def frame(self) -> Frame:
        """Return this moment."""
        now_s = self.clock.monotonic_s()
        return Frame(
            run=None if self.source is None else self.money.settled(self.source.view()),
            now_s=now_s,
            wall=self.clock.local(),
            keys=self.actions,
            overview=self.desk.overview(),
            errands=tuple(self.errands.under_way),
            options=self.options,
            place=self._place,
            ending=self.money.sentence(now_s),
            refusals={**self.page.refusals(), **self.money.refusals()},
            notice=self.notices.now(now_s),
        )

    def tick(self) -> None:
        """Look again: once a second, at the body less often on a slow line."""
        self._take_coming()
        if news := self.commands.collect("" if self.source is None else self.source.run_id):
            self.say(news)
        for errand in self.errands.collect():
            self._tell_end(errand)
        self.money.tick(self.frame())
        before, frame = self._shown, self.frame()
        calm = before is not None and _standing(before) == _standing(frame)
        if self.options.slow and calm and frame.now_s - self._body_at_s < SLOW_BODY_S:
            self._show(frame, self._around)
        else:
            self.refresh_view()
        for sentence in self._notifier.news(frame):
            self.notices.note(sentence)
            self.post_message(self.Aside(escapes.call(self.options.notify, sentence, in_tmux=self.options.in_tmux)))
        self.reopening.keep(frame.now_s)

    def send_out(self, name: str, *argv: str, typed: str = "") -> Errand | None:
        """Send a ``loratui`` command out, which goes on when the interface is closed; its end will be told."""
        try:
            return self.errands.send(name, *argv, typed=typed)
        except OSError as error:
            self.say(f"! {name}: not started, {error.strerror}")
            return None

    def _tell_end(self, errand: Errand) -> None:
        self.desk.look()
        self.page.errand_ended(errand)
        if self.money.owns(errand):
            return
        self.say(f"{'' if errand.status == 0 else '! '}{errand.outcome()}", ALARM_S)

    @property
    def _around(self) -> tuple[Rows, ...]:
        return (self._status, self.tabs, self.footer, self.strip)

    def refresh_view(self) -> None:
        """Show this moment in every row that is in sight."""
        frame = self.frame()
        self._body_at_s = frame.now_s
        self.set_class(frame.run is not None and frame.run.state.is_final, "-final")
        self._show(frame, (*self._around, self._enlarge, *self._covering()))
        self.page.show(frame)

    def _covering(self) -> Iterable[Rows]:
        over: dict[Over, Rows] = {Over.HELP: self.help, Over.PALETTE: self.palette, Over.COST: self.cost}
        return (over[self.over],) if self.over in over else ()

    def _show(self, frame: Frame, widgets: Iterable[Rows]) -> None:
        self._shown = frame
        for widget in widgets:
            widget.show(frame)

    def say(self, notice: str, seconds: float = NOTICE_S) -> None:
        """Show a notice in place of the key hints."""
        self.notices.say(notice, seconds)
        self._show(self.frame(), (self._status, self.footer))

    # --- keys and questions ------------------------------------------------------------------------------------------

    def on_key(self, event: Key) -> None:
        """Do what the key means here; a key without a meaning does nothing."""
        if self.keyboard.press(event):
            event.stop()
            event.prevent_default()

    def on_paste(self, event: Paste) -> None:
        """Put what is pasted into the line that is typed, if one is."""
        if self.prompt.is_open:
            self.prompt.paste(event.text)

    def on_footer_chosen(self, message: Footer.Chosen) -> None:
        """Do what was clicked; a question that is open is answered by keys alone."""
        if self.strip.scope is None:
            self.keyboard.perform(message.action)

    def on_tabs_row_chosen(self, message: TabsRow.Chosen) -> None:
        """Show the screen that was clicked."""
        if self.strip.scope is None:
            self.go(message.place)

    def lay_over(self, over: Over) -> None:
        """Cover the page, or lay it bare."""
        self.over = over
        self.leave_field()
        self.strip.close()
        for kind in (Over.HELP, Over.PALETTE, Over.COST):
            self.set_class(over is kind, f"-over-{kind.value}")
        self.refresh_view()

    def ask(self, scope: Scope, question: Ask, *, word: str = "", done: Callable[[], None] | None = None) -> None:
        """Open the strip with a question that the actions of ``scope`` answer, and the typing of ``word``, if any."""
        self.jump.leave()
        self.leave_field()
        self.strip.open(scope, question, self.frame(), word=word, done=done)

    def ask_text(
        self, label: str, done: Callable[[str], None], value: str = "", kind: Typed = Typed.TEXT, about: str = ""
    ) -> None:
        """Let a text be typed in the place of the footer; ``done`` gets it, unless escape is pressed."""
        self.stop_asking()
        self.reopening.ask(label, done, value, kind, about)

    def stop_asking(self) -> None:
        """Close the question."""
        self.strip.close()

    def leave_field(self) -> None:
        """Take the keys away from the field that has them; a prompt is closed, and hands nothing over."""
        self.prompt.close()
        self.set_focus(None)

    def do_help(self) -> None:
        """Show all keys, or go back."""
        self.help.first = 0
        self.lay_over(Over.NOTHING if self.over is Over.HELP else Over.HELP)

    def do_help_close(self) -> None:
        """Go back to the page."""
        self.lay_over(Over.NOTHING)

    def do_palette(self) -> None:
        """Search all actions, or go back."""
        if self.over is Over.PALETTE:
            self.lay_over(Over.NOTHING)
            return
        self.lay_over(Over.PALETTE)
        self.palette.open(self.frame())

    def do_maximise(self) -> None:
        """Give the page to its next pane, or back to all."""
        if not self.page.panes and not self.page.has_class("-maximised"):
            self.say("this screen has nothing to enlarge")
            return
        is_whole = self.page.maximise_next()
        self.say(f"enlarged · {self.actions['maximise'].key} goes on" if is_whole else "")

    def do_redraw(self) -> None:
        """Paint everything again, whatever the terminal shows now."""
        self.post_message(self.Redraw())


def _standing(frame: Frame) -> tuple[object, ...]:
    """Return what is shown at once when it changes, however slow the line is."""
    of_run = () if frame.run is None else (frame.run.run_id, frame.run.state, frame.run.link)
    return (frame.place, *of_run)
