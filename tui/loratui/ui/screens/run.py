"""The run screen: what a run does, what it costs, and the keys that steer it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Container
from textual.events import Resize
from textual.widget import Widget

from loratui.ui.actions.run import UNDO_S
from loratui.ui.commands import Commands
from loratui.ui.frame import Frame
from loratui.ui.page import Page
from loratui.ui.questions import ask_stop
from loratui.ui.registry import Scope
from loratui.ui.text import Role, Row
from loratui.ui.widgets.braille_chart import SMOOTHINGS, BrailleChart, ChartView, Curve, loss_facts
from loratui.ui.widgets.log_pane import LogPane, lora_path
from loratui.ui.widgets.panes import CheckpointPane, DeltaPane, MachinePane, RunPane, SamplePane
from loratui.ui.widgets.rows import Rows

if TYPE_CHECKING:
    from loratui.ui.shell import Shell


class NoRun(Rows):
    """Stands in for the run while none is open."""

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - always the same
        """Return where runs are to be found."""
        return [[], [(" No run is open. ", Role.STRONG), ("1 lists all runs; enter opens one.", Role.TEXT)]]


class RunPage(Page):
    """Shows the newest view of the open run and sends what the keys say; it never waits for either."""

    place = "run"
    own_scopes = (Scope.RUN, Scope.CHART, Scope.LOG)

    def __init__(self, shell: "Shell") -> None:
        super().__init__(shell)
        self._loss = BrailleChart(Curve(name="loss", series=lambda view: view.series, facts=loss_facts), id="loss")
        self._lr = BrailleChart(Curve(name="lr", series=lambda view: view.lr_series), id="lr")
        self._grad = BrailleChart(Curve(name="grad norm", series=lambda view: view.grad_norm_series), id="grad")
        self._lr.is_small = self._grad.is_small = True
        self._run, self._machine, self._delta = RunPane(id="run"), MachinePane(id="machine"), DeltaPane(id="delta")
        self._checkpoints, self._samples = CheckpointPane(id="checkpoints"), SamplePane(id="samples")
        self._log = LogPane(id="log")
        self._no_run = NoRun(id="no-run")

    def compose(self) -> ComposeResult:
        """Stack the panes; the style sheet places them by size."""
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
        yield self._no_run

    def on_resize(self, _: Resize) -> None:
        """Draw the edges that the layout of this size has."""
        wide = self.shell.has_class("-wide")
        self._run.edge = "┬" if wide else ""
        self._machine.edge = "├" if wide else "┬"
        self._delta.edge = self._checkpoints.edge = self._samples.edge = "├"
        for pane in (self._run, self._machine, self._delta, self._checkpoints, self._samples):
            # They have drawn themselves for this size before.
            pane.rebuild()

    def show(self, frame: Frame) -> None:
        """Show the run, or that there is none."""
        self.set_class(frame.run is None, "-no-run")
        if frame.run is not None:
            super().show(frame)
        else:
            self._no_run.show(frame)

    @property
    def panes(self) -> tuple[Widget, ...]:
        """Return the chart and the log; without a run there is neither."""
        return () if self.shell.source is None else (self._loss, self._log)

    def yank_text(self) -> str:
        """Return where the LoRA of a run that is over is, else how to come back to the run."""
        source = self.shell.source
        path = None if source is None or not source.view().state.is_final else lora_path(source.view())
        return str(path) if path is not None else super().yank_text()

    def kept(self) -> dict[str, str]:
        """Return how the charts are drawn."""
        chart_view = self._loss.chart_view
        return {"scale": "log" if chart_view.log else "lin", "smoothing": str(chart_view.smoothing)}

    def restore(self, kept: Mapping[str, str]) -> None:
        """Draw the charts as they were."""
        smoothing = {str(each): each for each in SMOOTHINGS}.get(kept.get("smoothing", ""), ChartView().smoothing)
        self._change_charts(ChartView(log=kept.get("scale") == "log", smoothing=smoothing))

    @property
    def _commands(self) -> Commands:
        """Return what sends; every action that asks for it is refused while no run is open."""
        if self.shell.commands is None:
            raise LookupError("no run is open")
        return self.shell.commands

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

    def do_pictures(self) -> None:
        """Show the samples large."""
        self.shell.go("samples")

    # --- chart and log -----------------------------------------------------------------------------------------------

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
