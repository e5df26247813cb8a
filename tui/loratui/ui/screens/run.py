"""The run screen: what a run does, what it costs, and the keys that steer it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Container
from textual.events import Resize
from textual.widget import Widget

from loratui.domain.overview import RunLine
from loratui.ui.actions.run import UNDO_S
from loratui.ui.commands import NO_EXTENSION, Commands
from loratui.ui.frame import Frame
from loratui.ui.page import Page
from loratui.ui.questions import ask_stop
from loratui.ui.registry import Scope
from loratui.ui.text import Role, Row
from loratui.ui.widgets.braille_chart import SMOOTHINGS, BrailleChart, ChartView
from loratui.ui.widgets.chart_facts import Compared
from loratui.ui.widgets.curves import GRAD_NORM, LOSS, LR
from loratui.ui.widgets.log_pane import LogPane, lora_path
from loratui.ui.widgets.panes import CheckpointPane, DeltaPane, MachinePane, RunPane
from loratui.ui.widgets.rows import Rows
from loratui.ui.widgets.run_choice import RunChoice
from loratui.ui.widgets.samples import SamplePane

if TYPE_CHECKING:
    from loratui.ui.shell import Shell


class NoRun(Rows):
    """Stands in for the run while none is open."""

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - two rows
        """Return where runs are to be found."""
        lists = frame.keys.fill("{go_home} lists all runs; {open_run} opens one.")
        return [[], [(" No run is open. ", Role.STRONG), (lists, Role.TEXT)]]


class RunPage(Page):
    """Shows the newest view of the open run and sends what the keys say; it never waits for either."""

    place = "run"
    own_scopes = (Scope.RUN, Scope.CHART, Scope.LOG)

    def __init__(self, shell: "Shell") -> None:
        super().__init__(shell)
        self._large = BrailleChart(LOSS, id="loss")
        self._lr, self._grad = BrailleChart(LR, id="lr"), BrailleChart(GRAD_NORM, id="grad")
        self._lr.is_small = self._grad.is_small = True
        self._run, self._machine, self._delta = RunPane(id="run"), MachinePane(id="machine"), DeltaPane(id="delta")
        self._checkpoints, self._samples = CheckpointPane(id="checkpoints"), SamplePane(id="samples")
        self._log = LogPane(id="log")
        self._no_run = NoRun(id="no-run")
        self._others = RunChoice(id="compare")
        self._run_id = ""

    def compose(self) -> ComposeResult:
        """Stack the panes; the style sheet places them by size."""
        with Container(id="charts"):
            yield self._large
            with Container(id="small"):
                yield self._lr
                yield self._grad
        yield self._others
        with Container(id="side"):
            yield self._run
            yield self._machine
            yield self._delta
            yield self._checkpoints
            yield self._samples
        yield self._log
        yield self._no_run

    def on_resize(self, _: Resize) -> None:
        """Draw the edges that the layout of this size has."""
        self._lay_edges()
        for pane in (self._run, self._machine, self._delta, self._checkpoints, self._samples):
            # They have drawn themselves for this size before.
            pane.rebuild()

    def _lay_edges(self) -> None:
        wide = self.shell.has_class("-wide")
        self._run.edge = "┬" if wide else ""
        self._machine.edge = "├" if wide else "┬"
        self._delta.edge = self._checkpoints.edge = self._samples.edge = "├"

    def show(self, frame: Frame) -> None:
        """Show the run, or that there is none."""
        self._lay_edges()
        self.set_class(frame.run is None, "-no-run")
        if frame.run is not None:
            self._look_at(frame.run.run_id)
            super().show(frame)
        else:
            self._no_run.show(frame)

    def left(self) -> None:
        """Ask no more which run to compare with."""
        self._ask_which(is_asking=False)

    def _look_at(self, run_id: str) -> None:
        """Show another run without anything of the one before."""
        if self._run_id and self._run_id != run_id:
            self._change_charts(ChartView())
            self._large.compare(None)
        self._run_id = run_id

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Return where the keys work now: while a run is being chosen they are the list's."""
        return (Scope.COMPARE, Scope.LIST) if self.main_list is not None else self.own_scopes

    def refusals(self) -> Mapping[str, str]:
        """Return what needs a run, and what another run."""
        if self.shell.source is None:
            ids = ("crosshair", "table", "metric_before", "metric_after", "compare")
            return dict.fromkeys(ids, "no run is open")
        no = {} if self._commands.has_extended(self.shell.clock.monotonic_s()) else {"undo": NO_EXTENSION}
        is_asking, chosen = self.main_list is not None, self._others.chosen
        return no | {"compare_choose": "there is no other run"} if is_asking and chosen is None else no

    @property
    def panes(self) -> tuple[Widget, ...]:
        """Return the chart and the log; without a run there is neither."""
        return () if self.shell.source is None else (self._large, self._log)

    def yank_text(self) -> str:
        """Return where the LoRA of a run that is over is, else how to come back to the run."""
        source = self.shell.source
        path = None if source is None or not source.view().state.is_final else lora_path(source.view())
        return str(path) if path is not None else super().yank_text()

    def kept(self) -> dict[str, str]:
        """Return how the charts are drawn."""
        chart_view = self._large.chart_view
        return {"scale": "log" if chart_view.log else "lin", "smoothing": str(chart_view.smoothing)}

    def restore(self, kept: Mapping[str, str]) -> None:
        """Draw the charts as they were."""
        smoothing = {str(each): each for each in SMOOTHINGS}.get(kept.get("smoothing", ""), ChartView().smoothing)
        self._change_charts(ChartView(log=kept.get("scale") == "log", smoothing=smoothing))

    @property
    def _commands(self) -> Commands:
        """Return what sends; every action that asks for it is refused while no run is open."""
        if self.shell.source is None:
            raise LookupError("no run is open")
        return self.shell.commands.of(self.shell.source)

    # --- commands ----------------------------------------------------------------------------------------------------

    def do_pause(self) -> None:
        """Hold the run, or let it go on."""
        self.shell.say(self._commands.pause_or_resume(self.shell.frame()))

    def do_checkpoint(self) -> None:
        """Save a checkpoint after this step."""
        self.shell.say(self._commands.checkpoint())

    def do_sample(self) -> None:
        """Make samples after this step."""
        self.shell.say(self._commands.sample())

    def do_extend(self) -> None:
        """Move the auto-stop."""
        self.shell.say(self._commands.extend(self.shell.frame()), UNDO_S)

    def do_undo(self) -> None:
        """Take the last extension back."""
        self.shell.say(self._commands.undo_extend(self.shell.frame()))

    def do_stop(self) -> None:
        """Ask how to stop."""
        self.shell.ask(Scope.STOP_STRIP, ask_stop)

    def do_stop_finish(self) -> None:
        """Finish the step, save, and end the run."""
        self.shell.stop_asking()
        self.shell.say(self._commands.stop())

    def do_stop_cancel(self) -> None:
        """Close the question."""
        self.shell.stop_asking()

    def do_reconnect(self) -> None:
        """Reach for the agent."""
        if self.shell.source is not None:
            self.shell.source.retry_now()
            self.shell.say("trying the link…")

    def do_pictures(self) -> None:
        """Show the samples large."""
        self.shell.go("samples")

    # --- chart and log -----------------------------------------------------------------------------------------------

    def _change_charts(self, chart_view: ChartView) -> None:
        for chart in (self._large, self._lr, self._grad):
            chart.change(chart_view)

    def do_log_scale(self) -> None:
        """Switch between a linear and a logarithmic scale."""
        self._change_charts(replace(self._large.chart_view, log=not self._large.chart_view.log))

    def do_smooth(self) -> None:
        """Use the next smoothing."""
        self._change_charts(self._large.chart_view.next_smoothing())

    def do_zoom_in(self) -> None:
        """Show half as many steps."""
        self._change_charts(self._large.zoomed(0.5))

    def do_zoom_out(self) -> None:
        """Show twice as many steps."""
        self._change_charts(self._large.zoomed(2))

    def do_zoom_all(self) -> None:
        """Show all steps."""
        self._change_charts(replace(self._large.chart_view, window=ChartView().window))

    def do_pan_left(self) -> None:
        """Show earlier steps."""
        self._change_charts(self._large.panned(-0.25))

    def do_pan_right(self) -> None:
        """Show later steps."""
        self._change_charts(self._large.panned(0.25))

    def do_crosshair(self) -> None:
        """Show what is known of one step, or no longer."""
        self._change_charts(self._large.crossed())

    def do_table(self) -> None:
        """Show the curve as numbers, or as a line again."""
        self._change_charts(self._large.tabled())

    def do_metric_before(self) -> None:
        """Show the curve before this one."""
        self._large.choose(-1)

    def do_metric_after(self) -> None:
        """Show the curve after this one."""
        self._large.choose(1)

    def do_compare(self) -> None:
        """Ask which run to compare with, or compare no more."""
        if self._large.compared is not None:
            self._large.compare(None)
            return
        runs = self.shell.frame().overview.runs
        self._others.fill([line for line in runs if line.id != self._run_id and line.step])
        self._ask_which(is_asking=True)

    def do_compare_choose(self) -> None:
        """Draw the chosen run beside the open one."""
        chosen, run_id = self._others.chosen, self._run_id
        self._ask_which(is_asking=False)
        if chosen is None:
            return
        self.shell.say(f"reading the loss of {chosen.name}…")
        database = self.shell.desk.preferences.database

        def read() -> None:
            from loratui.store.history import losses

            other = Compared(chosen.name, losses(database, chosen.id))
            self.app.call_from_thread(self._compare, run_id, chosen, other)

        self.shell.work(read, f"the loss of {chosen.name}")

    def _compare(self, run_id: str, line: RunLine, other: Compared) -> None:
        """Compare, unless another run was opened meanwhile."""
        if run_id != self._run_id:
            return
        if other.series:
            self.shell.say("")
            self._large.compare(other)
        else:
            self.shell.say(f"! of {line.name} no step is stored here")

    def do_compare_close(self) -> None:
        """Go back to the chart."""
        self._ask_which(is_asking=False)

    def _ask_which(self, *, is_asking: bool) -> None:
        self.main_list = self._others if is_asking else None
        self.set_class(is_asking, "-comparing")
        if self.is_mounted:
            self.shell.refresh_view()

    def do_log_up(self) -> None:
        """Show older lines."""
        self._log.move(-self._log.page)

    def do_log_down(self) -> None:
        """Show newer lines."""
        self._log.move(self._log.page)

    def do_log_end(self) -> None:
        """Show the newest lines."""
        self._log.follow()
