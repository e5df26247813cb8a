"""The home screen: all runs, where one went on last, what this month has cost, and anything that bills."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from loratui.domain import formatting
from loratui.domain.overview import RentalLine, RunLine
from loratui.ui.errands import Errand, begun_run
from loratui.ui.frame import Frame
from loratui.ui.page import Page
from loratui.ui.registry import Scope
from loratui.ui.resumption import LOCAL, MARKETS, RESUMABLE, Resumption
from loratui.ui.typed_path import typed_path
from loratui.ui.widgets.prompt import Typed
from loratui.ui.widgets.rental_list import RentalList
from loratui.ui.widgets.rows import Rows
from loratui.ui.widgets.run_list import RunList
from loratui_protocol.errors import UsageError

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

BEGINNING_S = 30.0
_DEMO = "demo"


class HomePage(Page):
    """Shows the overview, opens runs, and leads to a first one."""

    place = "home"
    own_scopes = (Scope.HOME,)

    def __init__(self, shell: "Shell") -> None:
        super().__init__(shell)
        self._runs = RunList(id="runs")
        self._rentals = RentalList(id="rentals")
        self._give_cursor(self._runs)
        self._has_begun = False
        """Whether the cursor was put where one would go on."""
        self._chosen_then = ""
        """The run that was under it when the interface was left."""
        self._beginning: Errand | None = None
        """A command whose run is opened as soon as it has one."""
        self._is_seeking = False
        self._going_on: Resumption | None = None
        """What the open question is about."""

    def compose(self) -> ComposeResult:
        """Put the list over the rentals."""
        yield self._runs
        yield self._rentals

    def show(self, frame: Frame) -> None:
        """Fill the lists, and show them; the cursor begins on the newest run that is not over."""
        if frame.overview.runs is not self._runs.entries:
            self._runs.fill(frame.overview.runs)
        if frame.overview.runs and not self._has_begun:
            self._has_begun = True
            active = next((line.id for line in frame.overview.runs if not line.is_over), None)
            self._runs.choose(active or self._chosen_then)
        self._rentals.fill(sorted(frame.overview.rentals, key=lambda rental: not rental.is_orphan))
        self._seek_run()
        super().show(frame)

    def kept(self) -> dict[str, str]:
        """Return the run under the cursor."""
        chosen = self._chosen_then if self._runs.chosen is None else self._runs.chosen.id
        return {"run": chosen} if chosen else {}

    def restore(self, kept: Mapping[str, str]) -> None:
        """Put the cursor on its run as soon as the runs are there, unless another one is active."""
        self._chosen_then = kept.get("run", "")

    def left(self) -> None:
        """Call nobody back to a run that begins."""
        self._beginning = None

    def refusals(self) -> Mapping[str, str]:
        """Return what can't be done with the chosen run, or not twice."""
        no: dict[str, str] = {}
        line = self._chosen_run()
        if line is None:
            why = "no run is known on it" if self._rentals.has_cursor else "there is no run"
            no |= dict.fromkeys(("open_run", "resume_run"), why)
        elif not line.is_machine_gone and line.state not in RESUMABLE:
            no["resume_run"] = f"the run is {line.state.value}"
        if any(errand.name == _DEMO for errand in self.shell.errands.under_way):
            no["demo"] = "one is under way"
        return no

    # --- two lists ---------------------------------------------------------------------------------------------------

    def chosen_rental(self, frame: Frame) -> RentalLine | None:
        """Return the rental under the cursor, or that of the run under it."""
        if self._rentals.has_cursor:
            return self._rentals.chosen
        run = self._runs.chosen
        return None if run is None else frame.overview.rental_of(run.target)

    def choose_rental(self) -> None:
        """Put the cursor on the rentals."""
        self._give_cursor(self._rentals)

    def _give_cursor(self, pane: "RunList | RentalList") -> None:
        self.main_list = pane
        for each in (self._runs, self._rentals):
            each.has_cursor = each is pane
            each.rebuild()

    def take_cursor(self, pane: Rows) -> bool:
        """Put it into one of the two lists."""
        if pane is not self._runs and pane is not self._rentals:
            return False
        self._give_cursor(self._runs if pane is self._runs else self._rentals)
        return True

    def _chosen_run(self) -> RunLine | None:
        rental = self._rentals.chosen
        if not self._rentals.has_cursor or rental is None:
            return None if self._rentals.has_cursor else self._runs.chosen
        return next((run for run in self._runs.entries if run.target == rental.target), None)

    def do_other_list(self) -> None:
        """Put the cursor on the other list."""
        self._give_cursor(self._runs if self._rentals.has_cursor else self._rentals)

    # --- runs --------------------------------------------------------------------------------------------------------

    def yank_text(self) -> str:
        """Return what opens the chosen run."""
        run = self._chosen_run()
        return "" if run is None else formatting.attach_command(run.name)

    def do_open_run(self) -> None:
        """Follow the chosen run, which fetches what is not here; what the settings leave there is fetched as well."""
        line = self._chosen_run()
        if line is None:
            return
        if (
            line.is_lacking
            and not self.shell.options.readonly
            and self.shell.desk.preferences.downloads.which == "none"
        ):
            self.shell.send_out(f"download {line.name}", "download", line.id)
            self.shell.say(f"fetching what {line.name} has made")
        else:
            self.shell.open_run(line.id)

    def do_resume_run(self) -> None:
        """Have the chosen run go on: where it is, or where the user says if its machine is gone."""
        line = self._chosen_run()
        if line is not None:
            self._resume(Resumption(line), is_asked=False)

    def resume(self, run_id: str, epochs: int, says: str) -> None:
        """Have a run go on to so many epochs in all, once that is agreed to; ``says`` is what it takes."""
        line = self.shell.frame().overview.run(run_id)
        if line is None:
            self.shell.say("the run is not in the list: nothing was started")
            return
        self._runs.choose(run_id)
        self._give_cursor(self._runs)
        self._resume(Resumption(line, epochs=epochs, says=says), is_asked=True)

    def _resume(self, resumption: Resumption, *, is_asked: bool) -> None:
        line = resumption.line
        if line.is_there and not line.is_machine_gone:
            self._go_on(resumption, is_asked=is_asked)
        else:
            self.shell.ask_text(
                "its machine is gone; go on on (local, ssh://…, cheapest):",
                lambda target: self._go_on_elsewhere(replace(resumption, target=target.strip())),
                LOCAL,
                Typed.ANSWER,
            )

    def _go_on_elsewhere(self, resumption: Resumption) -> None:
        if resumption.target in MARKETS:
            self.shell.ask_text(
                f"rented on {resumption.target}, for at most so many dollars:",
                lambda budget: self._go_on_for(resumption, budget),
                kind=Typed.MONEY,
            )
        elif resumption.target:
            # What was reckoned is for another machine.
            self._go_on(replace(resumption, says=""))

    def _go_on_for(self, resumption: Resumption, budget: str) -> None:
        try:
            budget_microusd = formatting.parse_microusd(budget)
        except UsageError as error:
            self.shell.say(f"! {error.what}; nothing was started")
        else:
            self._go_on(replace(resumption, budget_microusd=budget_microusd))

    def _go_on(self, resumption: Resumption, *, is_asked: bool = False) -> None:
        """Ask first where it costs something, or where that ``is_asked`` for."""
        self._going_on = resumption
        if resumption.is_paid or is_asked:
            self.shell.ask(Scope.RESUME_STRIP, resumption.question)
        else:
            self.do_resume_now()

    def do_resume_now(self) -> None:
        """Send the command out."""
        self.shell.stop_asking()
        resumption, self._going_on = self._going_on, None
        if resumption is None:
            return
        errand = self.shell.send_out(f"resume {resumption.line.name}", *resumption.argv)
        if errand is not None:
            self.shell.say(f"{resumption.line.name} is asked to go on; its row here says when it does")

    def do_resume_cancel(self) -> None:
        """Leave it as it is."""
        self._going_on = None
        self.shell.stop_asking()

    # --- the first run -----------------------------------------------------------------------------------------------

    def do_open_pictures(self) -> None:
        """Ask for a folder of pictures, and show it on the screen for them."""
        self.shell.ask_text("folder of pictures:", self._open_pictures, f"{Path.cwd()}/", Typed.PATH)

    def _open_pictures(self, typed: str) -> None:
        # Loaded when it is shown: its checks take longer to load than the first frame may.
        from loratui.ui.screens.data import DataPage

        page = self.shell.pages[DataPage.place]
        if isinstance(page, DataPage):
            self.shell.go(page.place)
            page.open_path(typed_path(typed))

    def do_new_config(self) -> None:
        """Go to the screen of configs, and ask there what is to be trained."""
        self.shell.go("config")
        self.shell.keyboard.perform(self.shell.actions["config_new"])

    def do_demo(self) -> None:
        """Train the built-in tiny model; its run is opened once it has one."""
        errand = self.shell.send_out(_DEMO, "demo", "--plain")
        if errand is not None:
            self.await_run(errand)
            self.shell.say("the demo makes its pictures; its run is opened as soon as it is there", BEGINNING_S)

    def await_run(self, errand: Errand) -> None:
        """Open the run that a command starts, unless the user has gone to another screen meanwhile."""
        self._beginning = errand

    def _seek_run(self) -> None:
        """Look, in a thread, whether the command has named its run."""
        errand = self._beginning
        if errand is None or self._is_seeking:
            return
        self._is_seeking = True

        def seek() -> None:
            self.app.call_from_thread(self._sought, errand, begun_run(errand.lines()))

        self.shell.work(seek, errand.name)

    def _sought(self, errand: Errand, run_id: str) -> None:
        self._is_seeking = False
        if errand is not self._beginning:
            return
        if run_id or errand.status is not None:
            self._beginning = None
        if run_id:
            self.shell.desk.look()
            self.shell.open_run(run_id)
