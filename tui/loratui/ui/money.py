"""The keys that end a rental, lengthen it, or say what it costs: on every screen, whether there is a link or not."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

from loratui.domain import formatting
from loratui.domain.at_stake import AtStake, with_newer
from loratui.domain.overview import RentalLine
from loratui.domain.run import LinkState, RunView
from loratui.domain.run_source import RunSource
from loratui.ui.errands import Errand
from loratui.ui.frame import Frame
from loratui.ui.over import Over
from loratui.ui.questions import Question
from loratui.ui.registry import Scope
from loratui.ui.terminating import Stage, Terminations, rental_name, short_id
from loratui.ui.text import Role, cut
from loratui_protocol.errors import LoratuiError, StorageError
from loratui_protocol.messages import CommandResult, JobState

if TYPE_CHECKING:
    from loratui.sessions.cost_breakdown import CostBreakdown
    from loratui.ui.shell import Shell

STAYS_S = 60.0
"""For so long it is said how a termination came out."""
_COST_EVERY_S = 5.0
_LONGEST_NAME = 24
_LONGEST_FILE = 40
_SAVING = (JobState.STOPPING, JobState.FINISHING)


class Money:
    """What is asked, and what was begun."""

    def __init__(self, shell: "Shell") -> None:
        self._shell = shell
        self._terminations = Terminations(shell.send_out)
        self._meant: RentalLine | None = None
        """The rental that is asked about."""
        self._runs: Sequence[AtStake] | None = None
        """What was read of its runs; None: it could not be read."""
        self._why_unknown = ""
        self._costs_of: RentalLine | None = None
        self._cost_read_s = 0.0

    # --- what the shell asks -----------------------------------------------------------------------------------------

    @property
    def can_be_kept(self) -> bool:
        """Return whether a termination can be taken back."""
        return self._terminations.can_be_kept

    def owns(self, errand: Errand) -> bool:
        """Return whether the end of a command is told here."""
        return self._terminations.owns(errand)

    def sentence(self, now_s: float) -> str:
        """Return how a rental stands that is being terminated."""
        shown = self._terminations.shown()
        return "" if shown is None else f"! {shown.sentence(now_s)}"

    def unasked(self) -> str:
        """Return what rentals will not be terminated if the interface closes now."""
        return self._terminations.unasked()

    def refusals(self) -> dict[str, str]:
        """Return what can't be done now, and why."""
        return {} if self.can_be_kept else {"terminate_undo": "nothing is about to be terminated"}

    def tick(self, frame: Frame) -> None:
        """Go on with what was begun, and tell what came of it."""
        rental = self._costs_of
        if self._shell.over is Over.COST and rental and frame.now_s - self._cost_read_s >= _COST_EVERY_S:
            self._read_cost(rental)
        if news := self._terminations.tick(frame):
            self._shell.desk.look()
            self._shell.say(news, STAYS_S)
            if news.startswith("!"):
                self._shell.app.bell()

    # --- terminate ---------------------------------------------------------------------------------------------------

    def do_terminate(self) -> None:
        """Ask whether the rental is to end, naming what would be lost."""
        frame = self._shell.frame()
        rental = self._rental(frame)
        if rental is not None:
            self._look(rental, frame)
        elif frame.overview.rentals:
            self._shell.go("home")
            self._shell.page.choose_rental()
            self._shell.say(f"{len(frame.overview.rentals)} are rented: choose one, then ^t")
        elif frame.overview.trouble:
            self._shell.say("! what is rented is not known: loratui rentals asks the providers")
        else:
            self._shell.say("Terminate: nothing is rented")

    def _rental(self, frame: Frame) -> RentalLine | None:
        """Return the rental that is meant on this screen; None: none, or several may be."""
        return self._shell.page.chosen_rental(frame) or _of_open_run(frame) or _only_one(frame)

    def _look(self, rental: RentalLine, frame: Frame) -> None:
        """Find out what is at stake; until that is known there is nothing to answer."""
        self._meant, self._runs, self._why_unknown = rental, [], ""
        others = [
            line
            for line in frame.overview.runs
            if line.target == rental.target and (frame.run is None or line.id != frame.run.run_id)
        ]
        if not others:
            self._ask(rental)
            return
        self._shell.ask(Scope.TYPE_STRIP, lambda now: self._question(now, looking=True))
        preferences = self._shell.desk.preferences

        def look() -> None:
            # What reads the records takes a tenth of a second to load: not before the first paint.
            from loratui.sessions.at_stake import at_stake

            try:
                runs, why = at_stake(preferences, rental.target), ""
            except LoratuiError as error:
                runs, why = None, error.what
            self._shell.app.call_from_thread(self._looked, rental, runs, why)

        self._shell.work(look, "looking at what would be lost")

    def _looked(self, rental: RentalLine, runs: Sequence[AtStake] | None, why: str) -> None:
        if rental is self._meant and self._shell.strip.scope is Scope.TYPE_STRIP:
            self._runs, self._why_unknown = runs, why
            self._ask(rental)

    def _ask(self, rental: RentalLine) -> None:
        frame = self._shell.frame()
        if not self._is_lossy(frame):
            self._shell.ask(Scope.END_STRIP, self._question)
        elif self._runs is None or _is_cut_off(frame, rental):
            self.do_terminate_losing()
        else:
            self._shell.ask(Scope.LOSS_STRIP, self._question)

    def _at_stake(self, frame: Frame) -> list[AtStake]:
        target = self._meant.target if self._meant else ""
        return [run for run in with_newer(self._runs or (), frame.run, target) if run.is_lost]

    def _is_lossy(self, frame: Frame) -> bool:
        return self._runs is None or bool(self._at_stake(frame))

    def do_terminate_now(self) -> None:
        """End it: nothing is lost by that."""
        if self._meant is None:
            return
        if self._is_lossy(self._shell.frame()):
            # A run was started there meanwhile, or has a new file.
            self._ask(self._meant)
        else:
            self._begin(self._meant)

    def do_terminate_fetched(self) -> None:
        """Stop its runs, fetch their files, and then end it."""
        frame, rental = self._shell.frame(), self._meant
        if rental is None:
            return
        runs = self._at_stake(frame)
        self._shell.stop_asking()
        open_source = self._shell.source

        def stop() -> None:
            sources: list[RunSource] = []
            answers: list[Future[CommandResult]] = []
            for run in runs:
                if run.state.is_final:
                    continue
                is_open = open_source is not None and open_source.run_id == run.run_id
                source = open_source if is_open and open_source else self._shell.desk.open_run(run.run_id)
                sources.append(source)
                if run.state not in _SAVING:
                    answers.append(source.send("stop"))
            self._shell.app.call_from_thread(self._begin_saving, rental, runs, sources, answers)

        self._shell.work(stop, f"stopping what runs on {rental_name(rental)}")

    def _begin_saving(
        self,
        rental: RentalLine,
        runs: Sequence[AtStake],
        sources: list[RunSource],
        answers: "list[Future[CommandResult]]",
    ) -> None:
        begun = self._terminations.begin(rental, Stage.SAVING, self._shell.clock.monotonic_s())
        if begun is not None:
            begun.runs, begun.answers, begun.to_fetch = sources, answers, [run.run_id for run in runs]
        self._shell.refresh_view()

    def do_terminate_losing(self) -> None:
        """Have the rental's id typed, and then end it with what is on it."""
        if (rental := self._meant) is not None:
            self._shell.ask(
                Scope.TYPE_STRIP, self._losing_question, word=short_id(rental), done=lambda: self._begin(rental)
            )

    def _begin(self, rental: RentalLine) -> None:
        self._shell.stop_asking()
        if self._terminations.begin(rental, Stage.COUNTING, self._shell.clock.monotonic_s()) is None:
            self._shell.say(f"{rental_name(rental)} is being terminated")
        else:
            # What was said of one that was kept before is no longer so.
            self._shell.say("")
        self._shell.refresh_view()

    def do_terminate_undo(self) -> None:
        """Take back what its provider was not asked for yet."""
        self._shell.say(self._terminations.keep(), STAYS_S)

    def do_end_cancel(self) -> None:
        """Close the question."""
        self._shell.stop_asking()

    do_loss_cancel = do_type_cancel = do_end_cancel

    # --- questions ---------------------------------------------------------------------------------------------------

    def _question(self, frame: Frame, *, looking: bool = False) -> Question:
        rental = self._meant
        if rental is None:
            raise LookupError("no rental is asked about")
        where = f" ({rental.gpu or rental.provider} · {formatting.hourly_price(rental.price_microusd_per_h)})"
        title = (("TERMINATE", Role.ALARM), (f" {rental_name(rental)}", Role.STRONG), (where, Role.DIM))
        paid = f"{_spent(frame, rental)} spent."
        if looking:
            return Question(title=title, stake=f"Looking at what would be lost. {paid}")
        runs = self._at_stake(frame)
        if not runs:
            known = with_newer(self._runs or (), frame.run, rental.target)
            why = "all files of its runs are here" if known else "no run is known on it"
            return Question(title=title, stake=f"Nothing is lost: {why}. {paid}")
        return Question(title=title, stake=_files(runs), more=(f"{_left(runs)}{paid}",))

    def _losing_question(self, frame: Frame) -> Question:
        question = self._question(frame)
        if self._runs is None:
            why = f"What would be lost is not known: {self._why_unknown}."
            return replace(question, stake=why, more=("Everything on it is LOST.",))
        rental = self._meant
        cut_off = rental is not None and _is_cut_off(frame, rental)
        no_link = ("There is no link to the agent: nothing can be fetched now. Its provider can be asked.",)
        lost = f"All this is LOST{_learned(self._at_stake(frame))}."
        return replace(question, more=(*question.more, *(no_link if cut_off else ()), lost))

    # --- cost --------------------------------------------------------------------------------------------------------

    def do_cost(self) -> None:
        """Show what the rental costs."""
        rental = self._rental(self._shell.frame())
        if rental is None:
            self._shell.say("What it costs: nothing is rented, or several are: choose one on screen 1")
            return
        pane = self._shell.cost
        pane.name_shown, pane.breakdown, pane.trouble = rental_name(rental), None, ""
        self._shell.lay_over(Over.COST)
        self._read_cost(rental)

    def _read_cost(self, rental: RentalLine) -> None:
        self._costs_of, self._cost_read_s = rental, self._shell.clock.monotonic_s()
        preferences = self._shell.desk.preferences

        def read() -> None:
            from loratui.sessions.cost_breakdown import cost_breakdown

            found: CostBreakdown | None = None
            trouble = ""
            try:
                found = cost_breakdown(preferences, rental.label)
            except StorageError as error:
                is_unknown = error.code == "store.unknown_rental"
                trouble = "the ledger does not know it: another computer rented it" if is_unknown else error.what
            self._shell.app.call_from_thread(self._show_cost, rental, found, trouble)

        self._shell.work(read, "reading what it costs")

    def _show_cost(self, rental: RentalLine, found: "CostBreakdown | None", trouble: str) -> None:
        if rental is self._costs_of:
            self._shell.cost.breakdown, self._shell.cost.trouble = found, trouble
            self._shell.cost.rebuild()

    def do_cost_close(self) -> None:
        """Go back to the page."""
        self._shell.lay_over(Over.NOTHING)

    # --- more time ---------------------------------------------------------------------------------------------------

    def do_extend_anywhere(self) -> None:
        """Move the auto-stop of the open run, as its own screen does."""
        self._shell.keyboard.perform(self._shell.actions["extend"])


def _of_open_run(frame: Frame) -> RentalLine | None:
    """Return the rental that the open run is on, as the records have it, or as the run alone knows it."""
    if frame.run is None:
        return None
    known = frame.overview.rental_of(frame.run.target)
    cost = frame.run.rental
    if known is not None or cost is None or cost.is_over:
        return known
    return RentalLine(
        label=cost.label,
        provider=cost.provider,
        instance_id="",
        gpu=_gpu(frame.run),
        state=str(cost.state),
        price_microusd_per_h=cost.price_microusd_per_h,
        spent_microusd=cost.spent_microusd,
        created_ts=0.0,
        deadline_ts=None,
        is_minded=True,
    )


def _only_one(frame: Frame) -> RentalLine | None:
    rentals = frame.overview.rentals
    return rentals[0] if len(rentals) == 1 else None


def _gpu(run: RunView) -> str:
    return (run.telemetry.gpu_name if run.telemetry else None) or ""


def _is_cut_off(frame: Frame, rental: RentalLine) -> bool:
    """Return whether the open run is on this rental, and its agent can't be reached."""
    run = frame.run
    return run is not None and run.target == rental.target and run.link in (LinkState.DOWN, LinkState.CONNECTING)


def _spent(frame: Frame, rental: RentalLine) -> str:
    """Return what it has cost: live where the open run is on it."""
    run = frame.run
    if run is not None and run.rental is not None and run.rental.label == rental.label:
        spent = run.spent(frame.now_s)
        return formatting.money(spent.value_microusd, exact=spent.exact)
    return formatting.money(rental.spent_microusd)


def _files(runs: Sequence[AtStake]) -> str:
    """Return which files are not here."""
    missing = [artifact for run in runs for artifact in run.missing]
    if not missing:
        is_any = any(run.num_files for run in runs)
        return "All files that it has made are here." if is_any else "It has made no file yet."
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    size = formatting.size(sum(artifact.size for artifact in missing))
    return f"Not fetched yet: {cut(missing[-1].name, _LONGEST_FILE)}{more} ({size})."


def _learned(runs: Sequence[AtStake]) -> str:
    """Return what is lost of the runs that train, beside files."""
    since = [run.kept_step for run in runs if run.step and not run.state.is_final]
    if not since:
        return ""
    return f", and what was learned since step {min(since)}" if min(since) else ", and all that was learned"


def _left(runs: Sequence[AtStake]) -> str:
    """Return how far the runs on it are that are not over."""
    going = [run for run in runs if not run.state.is_final]
    waiting = [run for run in going if run.state is JobState.QUEUED]
    said = [
        f"{cut(run.name, _LONGEST_NAME)} is {formatting.share(run.step, run.total) if run.total else 'not yet'} done. "
        for run in going
        if run.state is not JobState.QUEUED
    ]
    if waiting:
        more = " more" if said else " run" if len(waiting) == 1 else " runs"
        said.append(f"{len(waiting)}{more} {'waits' if len(waiting) == 1 else 'wait'} there. ")
    return "".join(said)
