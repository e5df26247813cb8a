"""The keys that end a rental, lengthen it, or say what it costs: on every screen, whether there is a link or not."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

from loratui.domain.at_stake import AtStake
from loratui.domain.overview import RentalLine
from loratui.domain.rental import RentalState
from loratui.domain.run import RunView
from loratui.domain.run_source import RunSource
from loratui.ui.costs import Costs
from loratui.ui.errands import Errand
from loratui.ui.frame import Frame
from loratui.ui.over import Over
from loratui.ui.registry import Scope
from loratui.ui.session import Unended
from loratui.ui.stake import Stake
from loratui.ui.terminating import Stage, Terminations, rental_name, short_id
from loratui_protocol.errors import LoratuiError
from loratui_protocol.messages import CommandResult, JobState

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

STAYS_S = 60.0
"""For so long it is said how a termination came out."""
_SAVING = (JobState.STOPPING, JobState.FINISHING)


class Money:
    """What is asked, and what was begun."""

    def __init__(self, shell: "Shell") -> None:
        self._shell = shell
        self._terminations = Terminations(shell.send_out, shell.actions)
        self._costs = Costs(shell)
        self._meant: Stake | None = None
        """What is asked about."""

    # --- what the shell asks -----------------------------------------------------------------------------------------

    @property
    def takes_back(self) -> bool:
        """Return whether the key that takes a termination back means that here.

        In its last seconds on every screen. While files are saved and fetched, which takes minutes, what the screen
        itself can take back goes first: that is what was told there.
        """
        keepable = self._terminations.keepable
        if keepable is None or keepable.stage is Stage.COUNTING:
            return keepable is not None
        page = self._shell.page
        own = self._shell.actions.find(self._key("terminate_undo"), page.scopes)
        return own is None or own.id in page.refusals()

    def owns(self, errand: Errand) -> bool:
        """Return whether the end of a command is told here."""
        return self._terminations.owns(errand)

    def sentence(self, now_s: float) -> str:
        """Return how a rental stands that is being terminated."""
        shown = self._terminations.shown()
        if shown is None:
            return ""
        keys = self._shell.actions
        undo = "{terminate_undo}" if self.takes_back else "{terminate_undo} on Home"
        return f"! {shown.sentence(now_s, keys, keys.fill(undo))}"

    def settled(self, view: RunView) -> RunView:
        """Return the run with what is proven here of its rental: the run itself hears of that a moment later."""
        rental = view.rental
        stopped_at = None if rental is None or rental.is_over else self._terminations.stopped_at(rental.label)
        if rental is None or stopped_at is None:
            return view
        return replace(view, rental=replace(rental, state=RentalState.GONE, ended_ts=stopped_at.timestamp()))

    def unasked(self) -> list[str]:
        """Return what rentals will not be terminated if the interface closes now."""
        return self._terminations.unasked()

    def confirmed(self) -> list[str]:
        """Return what rentals are terminated at once if the interface closes now."""
        return self._terminations.confirmed()

    def let_go(self) -> None:
        """Send out what was confirmed, before the interface closes: also without a screen that could tell of it."""

        def send(name: str, *argv: str) -> Errand | None:
            try:
                return self._shell.errands.send(name, *argv)
            except OSError:
                return None

        self._terminations.let_go(send, self._shell.clock.monotonic_s())

    def left(self) -> tuple[Unended, ...]:
        """Return what rentals were to be terminated, and were not: for the next session."""
        return self._terminations.left()

    def take_up(self, left: Iterable[Unended]) -> None:
        """Raise the alarm for what an earlier session was left with."""
        self._terminations.take_up(left, self._shell.clock.monotonic_s())

    def refusals(self) -> dict[str, str]:
        """Return what can't be done now, and why."""
        return {} if self._terminations.keepable else {"terminate_undo": "nothing is about to be terminated"}

    def tick(self, frame: Frame) -> None:
        """Go on with what was begun, and tell what came of it."""
        self._costs.tick(frame)
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
            self._look(rental, frame, self._ask)
        elif frame.overview.rentals:
            self._shell.go("home")
            self._shell.page.choose_rental()
            self._shell.say(f"{len(frame.overview.rentals)} are rented: choose one, then {self._key('terminate')}")
        elif frame.overview.trouble:
            self._shell.say("! what is rented is not known: loratui rentals asks the providers")
        else:
            self._shell.say("Terminate: nothing is rented")

    def _key(self, action_id: str) -> str:
        return self._shell.actions.name_of(action_id)

    def _rental(self, frame: Frame) -> RentalLine | None:
        """Return the rental that is meant on this screen; None: none, or several may be."""
        return self._shell.page.chosen_rental(frame) or _of_open_run(frame) or _only_one(frame)

    def do_stop_terminate(self) -> None:
        """Stop the open run, fetch its files, and then end its rental; while others go on there, ask first."""
        frame = self._shell.frame()
        if (rental := _of_open_run(frame)) is not None:
            self._look(rental, frame, self._fetch_if_alone)

    def _fetch_if_alone(self, stake: Stake) -> None:
        frame, self._meant = self._shell.frame(), stake
        open_id = "" if frame.run is None else frame.run.run_id
        is_alone = all(run.state.is_final or run.run_id == open_id for run in stake.lost(frame))
        if is_alone and stake.runs is not None:
            self.do_terminate_fetched()
        else:
            self._ask(stake)

    def _look(self, rental: RentalLine, frame: Frame, then: Callable[[Stake], None]) -> None:
        """Find out what is at stake; until that is known there is nothing to answer."""
        if rental.is_elsewhere:
            then(Stake(rental=rental, runs=None, why_unknown="it was not rented from here"))
            return
        others = [
            line
            for line in frame.overview.runs
            if line.target == rental.target and (frame.run is None or line.id != frame.run.run_id)
        ]
        if not others:
            then(Stake(rental=rental))
            return
        looking = self._meant = Stake(rental=rental, is_looked_for=True)
        self._shell.ask(Scope.TYPE_STRIP, looking.question)
        preferences = self._shell.desk.preferences

        def look() -> None:
            # What reads the records takes a tenth of a second to load: not before the first paint.
            from loratui.sessions.at_stake import at_stake

            try:
                found = Stake(rental=rental, runs=at_stake(preferences, rental.target))
            except LoratuiError as error:
                found = Stake(rental=rental, runs=None, why_unknown=error.what)
            self._shell.app.call_from_thread(self._looked, looking, found, then)

        self._shell.work(look, "looking at what would be lost")

    def _looked(self, looking: Stake, found: Stake, then: Callable[[Stake], None]) -> None:
        if looking is self._meant and self._shell.strip.scope is Scope.TYPE_STRIP:
            then(found)

    def _ask(self, stake: Stake) -> None:
        frame, self._meant = self._shell.frame(), stake
        if not stake.is_lossy(frame):
            self._shell.ask(Scope.END_STRIP, stake.question)
        elif stake.runs is None or stake.is_cut_off(frame):
            self.do_terminate_losing()
        else:
            self._shell.ask(Scope.LOSS_STRIP, stake.question)

    def do_terminate_now(self) -> None:
        """End it: nothing is lost by that."""
        if self._meant is None:
            return
        if self._meant.is_lossy(self._shell.frame()):
            # A run was started there meanwhile, or has a new file.
            self._ask(self._meant)
        else:
            self._begin(self._meant.rental)

    def do_terminate_fetched(self) -> None:
        """Stop its runs, fetch their files, and then end it."""
        if self._meant is None:
            return
        rental, runs = self._meant.rental, self._meant.lost(self._shell.frame())
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
        if (stake := self._meant) is not None:
            rental = stake.rental
            self._shell.ask(
                Scope.TYPE_STRIP, stake.losing_question, word=short_id(rental), done=lambda: self._begin(rental)
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

    # --- cost --------------------------------------------------------------------------------------------------------

    def do_cost(self) -> None:
        """Show what the rental costs."""
        rental = self._rental(self._shell.frame())
        if rental is None:
            home = self._shell.actions.name_of("go_home")
            several = f"several are rented: choose one on screen {home}"
            rented = self._shell.frame().overview.rentals
            self._shell.say(f"What it costs: {several if rented else 'nothing is rented'}")
        else:
            self._costs.show(rental)

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
