"""The run screen: what a run does, what it costs, and the keys that steer it."""

from dataclasses import replace
from enum import StrEnum

from textual.app import ComposeResult
from textual.containers import Container
from textual.events import Key, Resize
from textual.message import Message
from textual.screen import Screen

from loratui.domain.countdown import bell
from loratui.domain.run_source import RunSource
from loratui.ui.actions import ACTIONS, UNDO_S
from loratui.ui.clock import Clock
from loratui.ui.commands import Commands
from loratui.ui.environment import UiOptions
from loratui.ui.frame import Frame
from loratui.ui.registry import Action, Scope
from loratui.ui.text import Role, Row
from loratui.ui.widgets.braille_chart import BrailleChart, ChartView, Curve, loss_facts
from loratui.ui.widgets.confirm_strip import ConfirmStrip
from loratui.ui.widgets.footer import Footer
from loratui.ui.widgets.gallery import PicturesPane
from loratui.ui.widgets.help import HelpPane
from loratui.ui.widgets.log_pane import LogPane
from loratui.ui.widgets.palette import Palette
from loratui.ui.widgets.panes import CheckpointPane, DeltaPane, MachinePane, RunPane, SamplePane
from loratui.ui.widgets.rows import Rows
from loratui.ui.widgets.status import StatusRows

NOTICE_S = 5.0
ALARM_S = 30.0
"""For so long what may bill elsewhere takes the place of the key hints, unless a key has something to say."""
SLOW_BODY_S = 5.0
EXIT_INTERRUPTED = 130


class Over(StrEnum):
    """What covers the body."""

    NOTHING = ""
    HELP = "help"
    PALETTE = "palette"
    PICTURES = "pictures"


class Enlarge(Rows):
    """Stands in for a body that has no room."""

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - one row
        """Return one row."""
        return [[(" enlarge the window to 60x16", Role.WARN)]]


class RunScreen(Screen[None], inherit_bindings=False):
    """Shows the newest view of ``source`` and sends what the keys say; it never waits for either."""

    class Redraw(Message):
        """What the terminal shows may be wrong: paint everything again."""

    def __init__(self, source: RunSource, options: UiOptions, clock: Clock) -> None:
        super().__init__(id="run-screen")
        self._source = source
        self._commands = Commands(source)
        self._options = options
        self._clock = clock
        self._over = Over.NOTHING
        self._notice = f"! {options.alarm}" if options.alarm else ""
        self._notice_until_s = clock.monotonic_s() + ALARM_S
        self._body_at_s = float("-inf")
        self._left_s: float | None = None
        self._shown_frame = self._frame()

        self._status = StatusRows(id="status")
        self._loss = BrailleChart(Curve(name="loss", series=lambda view: view.series, facts=loss_facts), id="loss")
        self._lr = BrailleChart(Curve(name="lr", series=lambda view: view.lr_series), id="lr")
        self._grad = BrailleChart(Curve(name="grad norm", series=lambda view: view.grad_norm_series), id="grad")
        self._lr.is_small = self._grad.is_small = True
        self._run = RunPane(id="run")
        self._machine = MachinePane(id="machine")
        self._delta = DeltaPane(id="delta")
        self._checkpoints = CheckpointPane(id="checkpoints")
        self._samples = SamplePane(id="samples")
        self._log = LogPane(id="log")
        self._pictures = PicturesPane(id="pictures")
        self._palette = Palette(id="palette")
        self._strip = ConfirmStrip(id="strip")
        self._footer = Footer(id="footer")

    def compose(self) -> ComposeResult:
        """Stack the rows; the style sheet places them by size."""
        yield self._status
        with Container(id="body"):
            with Container(id="charts"):
                yield self._loss
                with Container(id="small"):
                    yield self._lr
                    yield self._grad
            with Container(id="side"):
                yield self._run
                yield self._machine
                yield self._delta
                yield self._checkpoints
                yield self._samples
            yield self._log
        yield Enlarge(id="enlarge")
        yield HelpPane(id="help")
        yield self._palette
        yield self._pictures
        yield self._footer
        yield self._strip

    def on_mount(self) -> None:
        """Show the first frame before the terminal gets anything."""
        self.refresh_view()

    def on_resize(self, event: Resize) -> None:
        """Choose the layout for the new size."""
        width, height = event.size
        tiny = width < 60 or height < 16
        compact = not tiny and (width < 80 or height < 22)
        wide = width >= 110 and height >= 32
        self.set_class(tiny, "-tiny")
        self.set_class(compact, "-compact")
        self.set_class(wide, "-wide")
        self._run.edge = "┬" if wide else ""
        self._machine.edge = "├" if wide else "┬"
        self._delta.edge = self._checkpoints.edge = self._samples.edge = "├"
        self.refresh_view()

    # --- frames ------------------------------------------------------------------------------------------------------

    def _frame(self) -> Frame:
        now_s = self._clock.monotonic_s()
        notice = self._notice if now_s < self._notice_until_s else ""
        return Frame(
            view=self._source.view(), now_s=now_s, wall=self._clock.local(), options=self._options, notice=notice
        )

    def tick(self) -> None:
        """Look at the run again: once a second, the body less often on a slow line."""
        if refused := self._commands.collect():
            self._say(refused)
        before, frame = self._shown_frame.view, self._frame()
        calm = (before.state, before.link) == (frame.view.state, frame.view.link)
        if self._options.slow and calm and frame.now_s - self._body_at_s < SLOW_BODY_S:
            self._show(frame, (self._status, self._footer, self._strip))
        else:
            self.refresh_view()
        left_s = frame.view.deadline_left_s(frame.now_s)
        if bell(self._left_s, left_s) is not None:
            self.app.bell()
        self._left_s = left_s

    def refresh_view(self) -> None:
        """Show the newest frame in every row."""
        frame = self._frame()
        self._body_at_s = frame.now_s
        self.set_class(frame.view.state.is_final, "-final")
        self._show(frame, tuple(self.query(Rows)))

    def _show(self, frame: Frame, widgets: tuple[Rows, ...]) -> None:
        self._shown_frame = frame
        for widget in widgets:
            widget.show(frame)

    def _say(self, notice: str, seconds: float = NOTICE_S) -> None:
        self._notice, self._notice_until_s = notice, self._clock.monotonic_s() + seconds
        self._show(self._frame(), (self._status, self._footer))

    # --- keys --------------------------------------------------------------------------------------------------------

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Return where the keys work now, beside the global ones."""
        if self._strip.scope is not None:
            return (self._strip.scope,)
        if self._over is Over.HELP:
            return (Scope.HELP,)
        if self._over is Over.PICTURES:
            return (Scope.RUN, Scope.PICTURES)
        return (Scope.RUN, Scope.CHART, Scope.LOG)

    def on_key(self, event: Key) -> None:
        """Do what the key means here; a key without a meaning does nothing."""
        event.stop()
        event.prevent_default()
        typed = event.character if event.is_printable and event.character != " " else None
        key = typed or event.key
        if self._strip.scope is not None and self._strip.is_guarded(self._clock.monotonic_s()):
            return
        if self._over is Over.PALETTE and self._strip.scope is None:
            self._palette_key(event)
            return
        action = ACTIONS.find(key, self.scopes)
        if action is not None:
            self.perform(action)

    def on_footer_chosen(self, message: Footer.Chosen) -> None:
        """Do what was clicked; a question that is open is answered by keys alone."""
        if self._strip.scope is None:
            self.perform(message.action)

    def _palette_key(self, event: Key) -> None:
        if event.key == "escape":
            self._lay_over(Over.NOTHING)
        elif not event.is_printable and (action := ACTIONS.find(event.key, ())) is not None:
            self.perform(action)
        elif (chosen := self._palette.press(event.key, event.character)) is not None:
            self._lay_over(Over.NOTHING)
            self.perform(chosen)

    def perform(self, action: Action) -> None:
        """Do an action, or say why it can't be done now."""
        reason = action.why_not(self._frame())
        if reason:
            self._strip.close()
            self._say(f"{action.label}: not now, {reason}")
        else:
            getattr(self, f"do_{action.id}")()

    def _lay_over(self, over: Over) -> None:
        """Cover the body, or lay it bare."""
        self._over = over
        self._strip.close()
        for kind in (Over.HELP, Over.PALETTE, Over.PICTURES):
            self.set_class(over is kind, f"-over-{kind.value}")
        self.refresh_view()

    def _ask(self, scope: Scope) -> None:
        self._strip.open(scope, self._frame())

    # --- commands ----------------------------------------------------------------------------------------------------

    def do_pause(self) -> None:
        """Hold the run, or let it go on."""
        self._say(self._commands.pause_or_resume(self._frame()))

    def do_checkpoint(self) -> None:
        """Save a checkpoint after this step."""
        self._say(self._commands.checkpoint())

    def do_sample(self) -> None:
        """Make samples after this step."""
        self._say(self._commands.sample())

    def do_extend(self) -> None:
        """Move the auto-stop."""
        self._say(self._commands.extend(self._frame()), UNDO_S)

    def do_undo(self) -> None:
        """Take the last extension back."""
        self._say(self._commands.undo_extend(self._frame()))

    def do_stop(self) -> None:
        """Ask how to stop."""
        self._ask(Scope.STOP_STRIP)

    def do_stop_finish(self) -> None:
        """Finish the step, save, and end the run."""
        self._strip.close()
        self._say(self._commands.stop())

    def do_stop_cancel(self) -> None:
        """Close the question."""
        self._strip.close()

    # --- leaving -----------------------------------------------------------------------------------------------------

    def do_leave(self) -> None:
        """Leave at once when the run, or its machine, is over; ask while it lasts."""
        view = self._frame().view
        if view.state.is_final or view.is_machine_gone:
            self.app.exit(0)
        else:
            self._ask(Scope.DETACH_STRIP)

    def do_leave_detach(self) -> None:
        """Leave; the run goes on."""
        self.app.exit(0)

    def do_leave_stop(self) -> None:
        """Ask how to stop instead."""
        self._ask(Scope.STOP_STRIP)

    def do_leave_cancel(self) -> None:
        """Close the question."""
        self._strip.close()

    def do_detach(self) -> None:
        """Leave without a question."""
        self.app.exit(0)

    def do_interrupt(self) -> None:
        """Leave as a shell expects it after ^c."""
        self.app.exit(EXIT_INTERRUPTED)

    # --- chart, log, pictures, help ----------------------------------------------------------------------------------

    def _change_charts(self, chart_view: ChartView) -> None:
        for chart in (self._loss, self._lr, self._grad):
            chart.change(chart_view)

    def do_log_scale(self) -> None:
        """Switch between a linear and a logarithmic scale."""
        self._change_charts(replace(self._loss.chart_view, log=not self._loss.chart_view.log))

    def do_smooth(self) -> None:
        """Use the next smoothing."""
        self._change_charts(self._loss.chart_view.next_smoothing())

    def do_zoom_in(self) -> None:
        """Show half as many steps."""
        self._change_charts(self._loss.zoomed(0.5))

    def do_zoom_out(self) -> None:
        """Show twice as many steps."""
        self._change_charts(self._loss.zoomed(2))

    def do_zoom_all(self) -> None:
        """Show all steps."""
        self._change_charts(replace(self._loss.chart_view, window=ChartView().window))

    def do_pan_left(self) -> None:
        """Show earlier steps."""
        self._change_charts(self._loss.panned(-0.25))

    def do_pan_right(self) -> None:
        """Show later steps."""
        self._change_charts(self._loss.panned(0.25))

    def do_log_up(self) -> None:
        """Show older lines."""
        self._log.move(-self._log.page)

    def do_log_down(self) -> None:
        """Show newer lines."""
        self._log.move(self._log.page)

    def do_log_end(self) -> None:
        """Show the newest lines."""
        self._log.follow()

    def do_pictures(self) -> None:
        """Show the samples large, or go back."""
        self._lay_over(Over.NOTHING if self._over is Over.PICTURES else Over.PICTURES)

    def do_earlier(self) -> None:
        """Show the samples of the step before."""
        self._pictures.turn(-1)

    def do_later(self) -> None:
        """Show the samples of the step after."""
        self._pictures.turn(1)

    def do_pictures_close(self) -> None:
        """Go back to the run."""
        self._lay_over(Over.NOTHING)

    def do_help(self) -> None:
        """Show all keys, or go back."""
        self._lay_over(Over.NOTHING if self._over is Over.HELP else Over.HELP)

    def do_help_close(self) -> None:
        """Go back to the run."""
        self._lay_over(Over.NOTHING)

    def do_palette(self) -> None:
        """Search all actions, or go back."""
        if self._over is Over.PALETTE:
            self._lay_over(Over.NOTHING)
            return
        self._lay_over(Over.PALETTE)
        self._palette.open(self._frame())

    def do_redraw(self) -> None:
        """Paint everything again, whatever the terminal shows now."""
        self.post_message(self.Redraw())
