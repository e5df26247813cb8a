"""The runs of one machine in their order: what is done there, what trains, what waits, and until when. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from loratui.domain.known_price import is_cost_known
from loratui.domain.overview import Overview, RentalLine, RunLine
from loratui.domain.run import LinkState, RunView
from loratui.domain.run_stop import goes_to
from loratui_protocol.messages import JobState

_RECENT_S = 12 * 3600.0
"""On a machine that is not rented, runs that are over for longer are history."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLine:
    """A run in its queue. ``ends_in_s`` is an estimate, None where nobody can tell; amounts in micro-dollars.

    ``is_exact``: whether what it has cost is so now; else it is from when it was last heard.
    """

    run: RunLine
    number: int
    step: int
    total: int
    spent_microusd: int
    is_exact: bool
    ends_in_s: float | None = None

    @property
    def is_waiting(self) -> bool:
        """Return whether it has not begun."""
        return self.run.state is JobState.QUEUED and not self.run.is_over

    @property
    def is_cost_known(self) -> bool:
        """Return whether it is known what it has cost."""
        return self.spent_microusd > 0 or is_cost_known(self.run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What is on one machine. ``rental`` is None where it is not rented, or bills no more."""

    target: str
    lines: tuple[QueueLine, ...]
    rental: RentalLine | None = None

    @property
    def spent_microusd(self) -> int:
        """Return what all of it has cost: of a rental its own cost, which idle time and the disk are part of."""
        return self.rental.spent_microusd if self.rental else sum(line.spent_microusd for line in self.lines)

    @property
    def is_cost_known(self) -> bool:
        """Return whether that is known: of a machine of the user's own somebody has to have said what it costs."""
        return self.rental is not None or all(line.is_cost_known for line in self.lines)

    @property
    def is_exact(self) -> bool:
        """Return whether that is measured: of a rental it is our clock times its price."""
        return self.rental is None and all(line.is_exact for line in self.lines)

    @property
    def ends_in_s(self) -> float | None:
        """Return when the last run will be done; None: nothing is open, or nobody can tell."""
        still_open = [line for line in self.lines if not line.run.is_over]
        return still_open[-1].ends_in_s if still_open else None


def queues(overview: Overview, view: RunView | None, steps: Mapping[str, int], now_ts: float) -> list[Queue]:
    """Return the queue of each machine that has one, that of the open run first; of rentals all that bill.

    ``steps``: how many each waiting run is to do, as far as its config says. A machine runs one after the other.
    """
    targets = [view.target] if view is not None else []
    targets += [run.target for run in overview.runs if not run.is_over]
    targets += [rental.target for rental in overview.rentals]
    return [_queue(target, overview, view, steps, now_ts) for target in dict.fromkeys(targets)]


def _queue(target: str, overview: Overview, view: RunView | None, steps: Mapping[str, int], now_ts: float) -> Queue:
    rental = overview.rental_of(target)
    runs = [
        run
        for run in overview.runs
        if run.target == target
        and (rental is not None or not run.is_over or now_ts - (run.ended_ts or run.created_ts) < _RECENT_S)
    ]
    runs.sort(key=lambda run: (run.created_ts, run.id))
    pace = view.it_s if view is not None and view.target == target and view.it_s else _pace(runs)
    lines: list[QueueLine] = []
    is_heard = view is not None and view.target == target and view.link is LinkState.UP
    ends_in_s: float | None = 0.0
    for number, run in enumerate(runs, 1):
        seen = view if view is not None and view.run_id == run.id else None
        total = goes_to(run) or steps.get(run.id, 0)
        step, spent = run.step, run.spent_microusd
        if seen is not None:
            step, total, spent = seen.step, goes_to(seen) or total, seen.spent_microusd
        if not run.is_over:
            left_s = seen.eta_s if seen is not None else run.eta_s
            if seen is None and left_s is None:
                left_s = _takes_s(total - step, pace if total else None)
            ends_in_s = None if ends_in_s is None or left_s is None else ends_in_s + left_s
        lines.append(
            QueueLine(
                run=run,
                number=number,
                step=step,
                total=total,
                spent_microusd=spent,
                # What waits costs nothing as long as the machine is heard at work on another.
                is_exact=run.is_over or run.is_live or (is_heard and (seen is not None or not run.step)),
                ends_in_s=None if run.is_over else ends_in_s,
            )
        )
    return Queue(target=target, lines=tuple(lines), rental=rental)


def _pace(runs: Iterable[RunLine]) -> float | None:
    """Return the steps a second of the run that trains, by what it has left; None: none does, or nobody can tell."""
    training = (run for run in runs if not run.is_over and run.eta_s and goes_to(run) > run.step)
    return next(((goes_to(run) - run.step) / run.eta_s for run in training if run.eta_s), None)


def _takes_s(steps: int, it_s: float | None) -> float | None:
    return None if it_s is None else max(0, steps) / it_s
