"""The home screen: all runs, where one went on last, what this month has cost, and anything that bills."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from loratui.domain import formatting
from loratui.domain.overview import RentalLine, RunLine
from loratui.ui.frame import Frame
from loratui.ui.page import Page
from loratui.ui.registry import Scope
from loratui.ui.terminating import rental_name
from loratui.ui.text import Role, Row, Span, cut, spread
from loratui.ui.widgets.list_pane import ListPane
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


class RentalList(ListPane[RentalLine]):
    """What is rented and not shown to be gone, what nobody minds first; and what the month has cost."""

    def name_of(self, entry: RentalLine) -> str:
        """Return its label."""
        return entry.label

    def matches(self, entry: RentalLine, query: str) -> bool:
        """Look in provider, id, label, GPU and state."""
        words = f"{rental_name(entry)} {entry.label} {entry.gpu} {entry.state}".lower()
        return all(word in words for word in query.lower().split())

    def heading(self, _: Frame) -> list[Span]:
        """Return the name of the list."""
        return [("rentals", Role.TITLE)]

    def remark(self, frame: Frame) -> str:
        """Return what the month has cost."""
        return f"this month {formatting.money(frame.overview.month_microusd)}" if frame.overview.is_read else ""

    def nothing(self, frame: Frame) -> list[Row]:
        """Return that nothing is rented, if that is known."""
        if frame.overview.trouble:
            return [[(f" ! what is rented is not known: {frame.overview.trouble}", Role.ALARM)]]
        return [[(" nothing is rented", Role.DIM)]] if frame.overview.is_read else []

    def entry_row(self, entry: RentalLine, width: int) -> Row:
        """Return what is rented, what it costs, and when it ends; of what nobody minds what to do about it."""
        price = formatting.hourly_price(entry.price_microusd_per_h)
        stop = "no auto-stop"
        if entry.deadline_ts is not None:
            stop = f"auto-stop {formatting.day_and_time(entry.deadline_ts)[-len('15:03') :]}"
        end: Span = (f"{stop} ", Role.TEXT)
        if not entry.is_minded:
            end = ("nobody minds it: ^t ends it ", Role.ALARM)
        mark = "" if entry.is_minded else "! "
        return spread(
            [
                (f"{mark}{rental_name(entry)}", Role.STRONG if entry.is_minded else Role.ALARM),
                (f"  {entry.gpu}  {entry.state}", Role.TEXT),
            ],
            [(f"{formatting.money(entry.spent_microusd)} · {price}  ", Role.STRONG), end],
            width,
        )


class HomePage(Page):
    """Shows the overview, and opens runs."""

    place = "home"
    own_scopes = (Scope.HOME,)

    def __init__(self, shell: "Shell") -> None:
        super().__init__(shell)
        self._runs = RunList(id="runs")
        self._rentals = RentalList(id="rentals")
        self._give_cursor(self._runs)

    def compose(self) -> ComposeResult:
        """Put the list over the rentals."""
        yield self._runs
        yield self._rentals

    def show(self, frame: Frame) -> None:
        """Fill the lists, and show them."""
        if frame.overview.runs is not self._runs.entries:
            self._runs.fill(frame.overview.runs)
        self._rentals.fill(sorted(frame.overview.rentals, key=lambda rental: rental.is_minded))
        super().show(frame)

    def refusals(self) -> Mapping[str, str]:
        """Return that nothing can be opened while nothing is chosen."""
        if self._chosen_run() is not None:
            return {}
        return {"open_run": "no run is known on it" if self._rentals.has_cursor else "there is no run"}

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

    def _chosen_run(self) -> RunLine | None:
        rental = self._rentals.chosen
        if not self._rentals.has_cursor or rental is None:
            return None if self._rentals.has_cursor else self._runs.chosen
        return next((run for run in self._runs.entries if run.target == rental.target), None)

    def do_open_run(self) -> None:
        """Follow the chosen run, or the newest one on the chosen rental."""
        run = self._chosen_run()
        if run is not None:
            self.shell.open_run(run.id)

    def do_other_list(self) -> None:
        """Put the cursor on the other list."""
        self._give_cursor(self._runs if self._rentals.has_cursor else self._rentals)
