"""The home screen: all runs, where one went on last, what this month has cost, and anything that bills."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from loratui.domain import formatting
from loratui.domain.overview import RentalLine, RunLine
from loratui.ui.frame import Frame
from loratui.ui.page import Page
from loratui.ui.registry import Scope
from loratui.ui.text import Role, Row, Span, cut, spread
from loratui.ui.widgets.list_pane import ListPane
from loratui.ui.widgets.pane import Pane
from loratui.ui.widgets.status import STATE_WORDS

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

_NAME = 26
_HOW_TO_BEGIN = (
    ("loratui demo", "trains a LoRA on this machine, with the built-in tiny model"),
    ("loratui check FOLDER", "says what is wrong with a folder of pictures"),
    ("loratui new FOLDER", "asks a few things and writes a config"),
    ("loratui train CONFIG --on local", "trains it; --on cheapest rents a machine"),
)


class RunList(ListPane[RunLine]):
    """All runs that are known here, newest first."""

    def name_of(self, entry: RunLine) -> str:
        """Return its id."""
        return entry.id

    def matches(self, entry: RunLine, query: str) -> bool:
        """Look in name, place, state and id."""
        words = f"{entry.name} {entry.target} {entry.state} {entry.id}".lower()
        return all(word in words for word in query.lower().split())

    def heading(self, _: Frame) -> list[Span]:
        """Return the name of the list."""
        return [("runs", Role.TITLE)]

    def nothing(self, frame: Frame) -> list[Row]:
        """Return how to begin; until the records were read, nothing is claimed."""
        if not frame.overview.is_read:
            return [[(" reading…", Role.DIM)]]
        rows: list[Row] = [[(" There is no run yet.", Role.STRONG)], []]
        return rows + [[(f"   {command:<34}", Role.KEY), (about, Role.TEXT)] for command, about in _HOW_TO_BEGIN]

    def entry_row(self, entry: RunLine, width: int) -> Row:
        """Return name, state, progress, cost and place."""
        words, role = STATE_WORDS[entry.state]
        if entry.is_machine_gone:
            words, role = f"was {words}", Role.DIM
        steps = f"{entry.step}/{entry.total}" if entry.total else ""
        created = formatting.day_and_time(entry.created_ts)
        left: Row = [
            (f"{cut(entry.name, _NAME):<{_NAME}} ", Role.STRONG),
            (f"{words:<15}", role),
            (f"{steps:>12}  ", Role.TEXT),
        ]
        right: Row = [(f"{formatting.money(entry.spent_microusd)}  ", Role.TEXT), (f"{created} ", Role.DIM)]
        return spread([*left, (entry.target, Role.DIM)], right, width)


class RentalsPane(Pane):
    """What is rented and not shown to be gone, and what the month has cost."""

    def title(self, _: Frame) -> list[Span]:
        """Return how many rentals may bill."""
        return [("rentals", Role.TITLE)]

    def remark(self, frame: Frame) -> str:
        """Return what the month has cost."""
        return f"this month {formatting.money(frame.overview.month_microusd)}" if frame.overview.is_read else ""

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return a row for each rental, what nobody minds first."""
        if frame.overview.trouble:
            return [[(f" ! what is rented is not known: {frame.overview.trouble}", Role.ALARM)]]
        if not frame.overview.rentals:
            return [[(" nothing is rented", Role.DIM)]] if frame.overview.is_read else []
        rentals = sorted(frame.overview.rentals, key=lambda rental: rental.is_minded)
        return [_rental_row(rental, width) for rental in rentals[:height]]


def _rental_row(rental: RentalLine, width: int) -> Row:
    role = Role.TEXT if rental.is_minded else Role.ALARM
    mark = "" if rental.is_minded else "! "
    name = f"{mark}{rental.provider} {rental.instance_id or rental.label}"
    price = formatting.hourly_price(rental.price_microusd_per_h)
    end = (
        "no auto-stop"
        if rental.deadline_ts is None
        else f"auto-stop {formatting.day_and_time(rental.deadline_ts)[-5:]}"
    )
    return spread(
        [(f" {name}", role), (f"  {rental.gpu}  {rental.state}", Role.TEXT)],
        [(f"{formatting.money(rental.spent_microusd)} · {price}  ", Role.STRONG), (f"{end} ", Role.TEXT)],
        width,
    )


class HomePage(Page):
    """Shows the overview, and opens runs."""

    place = "home"
    own_scopes = (Scope.HOME,)

    def __init__(self, shell: "Shell") -> None:
        super().__init__(shell)
        self.main_list = self._runs = RunList(id="runs")
        self._chosen_then = ""

    def compose(self) -> ComposeResult:
        """Put the list over the rentals."""
        yield self._runs
        yield RentalsPane(id="rentals")

    def show(self, frame: Frame) -> None:
        """Fill the list, and show it."""
        if frame.overview.runs is not self._runs.entries:
            self._runs.fill(frame.overview.runs)
            if self._chosen_then and frame.overview.runs:
                self._runs.choose(self._chosen_then)
                self._chosen_then = ""
        super().show(frame)

    def kept(self) -> dict[str, str]:
        """Return the run under the cursor."""
        chosen = self._chosen_then if self._runs.chosen is None else self._runs.chosen.id
        return {"run": chosen} if chosen else {}

    def restore(self, kept: Mapping[str, str]) -> None:
        """Put the cursor on its run as soon as the runs are there."""
        self._chosen_then = kept.get("run", "")

    def refusals(self) -> Mapping[str, str]:
        """Return that nothing can be opened while nothing is chosen."""
        return {} if self._runs.chosen is not None else {"open_run": "there is no run"}

    def yank_text(self) -> str:
        """Return what opens the chosen run."""
        return "" if self._runs.chosen is None else formatting.attach_command(self._runs.chosen.name)

    def do_open_run(self) -> None:
        """Follow the chosen run."""
        if self._runs.chosen is not None:
            self.shell.open_run(self._runs.chosen.id)
