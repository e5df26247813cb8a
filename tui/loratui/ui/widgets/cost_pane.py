"""What a rental costs, and what of: over the page, until it is closed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from loratui.domain import formatting
from loratui.domain.ledger import Phase
from loratui.domain.rental_cost import RentalCost
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, bar, cells
from loratui.ui.widgets.pane import Pane

if TYPE_CHECKING:
    from loratui.sessions.cost_breakdown import CostBreakdown

_PHASES = {
    Phase.BOOTING: "booting",
    Phase.CONNECTING: "connecting",
    Phase.SETTING_UP: "setting up",
    Phase.TRAINING: "training",
    Phase.DOWNLOADING: "downloading",
    Phase.IDLE: "idle",
    Phase.STOPPED: "stopped, its disk alone",
    Phase.ENDING: "ending",
}
_LABEL = 26
_BAR = 16
_TIME = 14


class CostPane(Pane):
    """Shows the ledger's phases, and beside them what the open run's view knows of the same rental now."""

    name_shown = ""
    breakdown: "CostBreakdown | None" = None
    trouble = ""

    def title(self, _: Frame) -> list[Span]:
        """Return of which rental."""
        return [("cost", Role.TITLE), (f"  {self.name_shown}", Role.STRONG)]

    def remark(self, frame: Frame) -> str:
        """Return how to leave."""
        return frame.keys.fill("{cost_close} closes")

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - as many as there are
        """Return the phases, what is not time, and the totals."""
        if self.trouble:
            return [[(f" ! {self.trouble}", Role.ALARM)]]
        if self.breakdown is None:
            return [[(" reading the ledger…", Role.DIM)]]
        return [*_phases(self.breakdown, width), [], *_totals(self.breakdown, _live(self.breakdown, frame), frame)]


def _live(breakdown: "CostBreakdown", frame: Frame) -> RentalCost:
    """Return the rental as the open run shows it, which knows of traffic; as the ledger does where it is on another."""
    run = frame.run
    is_same = run is not None and run.rental is not None and run.rental.label == breakdown.cost.label
    return run.rental if is_same and run is not None and run.rental is not None else breakdown.cost


def _phases(breakdown: "CostBreakdown", width: int) -> Iterator[Row]:
    phases = breakdown.cost.phases
    most = max(phases.values(), default=0)
    for phase, microusd in phases.items():
        seconds = breakdown.seconds.get(phase, 0.0)
        row = _row(_PHASES[phase], microusd, formatting.duration(seconds))
        if most and width > _LABEL + 40 + _BAR:
            row.append((f"{'':<{_TIME - cells(formatting.duration(seconds))}}{bar(microusd / most, _BAR)}", Role.DIM))
        yield row
    if not phases:
        yield [(" no time was billed yet", Role.DIM)]


def _totals(breakdown: "CostBreakdown", cost: RentalCost, frame: Frame) -> Iterator[Row]:
    per_h = formatting.hourly_price(cost.price_microusd_per_h)
    yield _row("disk, within the time", cost.disk_microusd)
    if breakdown.floor_microusd:
        yield _row("billed at least", breakdown.floor_microusd, "beyond its time")
    if cost is not breakdown.cost:
        exact = cost.is_exact
        yield _row("traffic", cost.traffic_microusd, "counted" if exact else "counted, the machine's word", exact=exact)
    else:
        yield [(f" {'traffic':<{_LABEL}}", Role.TEXT), ("only its open run says", Role.DIM)]
    spent = cost.spent_at(frame.now_s)
    yield _row("spent so far", spent, f"{per_h} now", exact=cost.is_known(frame.now_s), role=Role.STRONG)
    if cost.projected_microusd is not None:
        yield _row("in all, likely", cost.projected_microusd, exact=False, role=Role.STRONG)
    if breakdown.estimated_microusd is not None:
        yield _row("estimated before", breakdown.estimated_microusd, exact=False)
    if cost.cap_microusd is not None:
        left = f"{formatting.share(spent, cost.cap_microusd)} of it is spent"
        yield _row("the most it may cost", cost.cap_microusd, left, role=Role.STRONG)
    if breakdown.num_runs > 1:
        yield [(f" {breakdown.num_runs} runs share this machine", Role.DIM)]


def _row(label: str, microusd: int, about: str = "", *, exact: bool = True, role: Role = Role.TEXT) -> Row:
    amount = formatting.money(microusd, exact=exact)
    gap = " " * max(1, _LABEL - cells(label))
    return [(f" {label}{gap}", Role.TEXT), (f"{amount:>9}", role), (f"   {about}", Role.DIM)]
