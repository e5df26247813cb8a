"""What ending a rental would lose, and what is asked before it: what is not known to be safe counts as lost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from loratui.domain import formatting
from loratui.domain.at_stake import AtStake, with_newer
from loratui.domain.overview import RentalLine
from loratui.domain.run import LinkState
from loratui.ui.frame import Frame
from loratui.ui.questions import Question
from loratui.ui.terminating import rental_name
from loratui.ui.text import Role, cut
from loratui_protocol.messages import JobState

_LONGEST_NAME = 24
_LONGEST_FILE = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Stake:
    """Of a rental that may be ended. ``runs`` is what was read of those on it; None: that could not be known."""

    rental: RentalLine
    runs: Sequence[AtStake] | None = ()
    why_unknown: str = ""
    is_looked_for: bool = False
    """Whether the records are being read."""

    def lost(self, frame: Frame) -> list[AtStake]:
        """Return the runs of which something would be lost now."""
        return [run for run in with_newer(self.runs or (), frame.run, self.rental.target) if run.is_lost]

    def is_lossy(self, frame: Frame) -> bool:
        """Return whether anything would be, or might."""
        return self.runs is None or bool(self.lost(frame))

    def is_cut_off(self, frame: Frame) -> bool:
        """Return whether the open run is on this rental, and its agent can't be reached."""
        run = frame.run
        is_on_it = run is not None and run.target == self.rental.target
        return is_on_it and run is not None and run.link in (LinkState.DOWN, LinkState.CONNECTING)

    def question(self, frame: Frame) -> Question:
        """Ask whether it is to end, naming what is not here."""
        rental = self.rental
        where = f" ({rental.gpu or rental.provider} · {formatting.hourly_price(rental.price_microusd_per_h)})"
        title = (("TERMINATE", Role.ALARM), (f" {rental_name(rental)}", Role.STRONG), (where, Role.DIM))
        paid = f"{_spent(frame, rental)} spent."
        if self.is_looked_for:
            return Question(title=title, stake=f"Looking at what would be lost. {paid}")
        runs = self.lost(frame)
        if not runs:
            known = with_newer(self.runs or (), frame.run, rental.target)
            why = "all files of its runs are here" if known else "no run is known on it"
            return Question(title=title, stake=f"Nothing is lost: {why}. {paid}")
        return Question(title=title, stake=_files(runs), more=(f"{_left(runs)}{paid}",))

    def losing_question(self, frame: Frame) -> Question:
        """Ask for its id, saying that everything on it is lost."""
        question = self.question(frame)
        if self.runs is None:
            why = f"What would be lost is not known: {self.why_unknown}."
            whose = "Another computer of yours may be training on it. " if self.rental.is_elsewhere else ""
            return replace(question, stake=why, more=(f"{whose}Everything on it is LOST.",))
        no_link = ("There is no link to the agent: nothing can be fetched now. Its provider can be asked.",)
        lost = f"All this is LOST{_learned(self.lost(frame))}."
        return replace(question, more=(*question.more, *(no_link if self.is_cut_off(frame) else ()), lost))


def _spent(frame: Frame, rental: RentalLine) -> str:
    """Return what it has cost: live where the open run is on it, else by our clock and its price."""
    run = frame.run
    if run is not None and run.rental is not None and run.rental.label == rental.label:
        spent = run.spent(frame.now_s)
        return formatting.money(spent.value_microusd, exact=spent.exact)
    return formatting.money(rental.spent_microusd, exact=False)


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
