"""What a rental costs, phase by phase, over whatever screen is shown: read again while it is looked at."""

from typing import TYPE_CHECKING

from loratui.domain.overview import RentalLine
from loratui.ui.frame import Frame
from loratui.ui.over import Over
from loratui.ui.terminating import rental_name
from loratui_protocol.errors import StorageError

if TYPE_CHECKING:
    from loratui.sessions.cost_breakdown import CostBreakdown
    from loratui.ui.shell import Shell

_EVERY_S = 5.0


class Costs:
    """Of one rental at a time."""

    def __init__(self, shell: "Shell") -> None:
        self._shell = shell
        self._rental: RentalLine | None = None
        self._read_s = 0.0

    def tick(self, frame: Frame) -> None:
        """Read it again, if that is due."""
        if self._shell.over is Over.COST and self._rental and frame.now_s - self._read_s >= _EVERY_S:
            self._read(self._rental)

    def show(self, rental: RentalLine) -> None:
        """Lay it over the page."""
        pane = self._shell.cost
        pane.name_shown, pane.breakdown, pane.trouble = rental_name(rental), None, ""
        self._shell.lay_over(Over.COST)
        self._read(rental)

    def _read(self, rental: RentalLine) -> None:
        self._rental, self._read_s = rental, self._shell.clock.monotonic_s()
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
            self._shell.app.call_from_thread(self._show, rental, found, trouble)

        self._shell.work(read, "reading what it costs")

    def _show(self, rental: RentalLine, found: "CostBreakdown | None", trouble: str) -> None:
        if rental is self._rental:
            self._shell.cost.breakdown, self._shell.cost.trouble = found, trouble
            self._shell.cost.rebuild()
