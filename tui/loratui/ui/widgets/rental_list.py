"""What is rented and not shown to be gone, as a list that the home screen has."""

from loratui.domain import formatting
from loratui.domain.overview import RentalLine
from loratui.ui.frame import Frame
from loratui.ui.terminating import rental_name
from loratui.ui.text import Role, Row, Span, spread
from loratui.ui.widgets.list_pane import ListPane

_WITH_WORDS = 70


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
        is_known = frame.overview.is_read and not frame.overview.trouble
        return f"this month {formatting.money(frame.overview.month_microusd)}" if is_known else ""

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
            end = ("nobody minds it: ^t ends it " if width >= _WITH_WORDS else "unminded: ^t ends it ", Role.ALARM)
        mark = "" if entry.is_minded else "! "
        return spread(
            [
                (f"{mark}{rental_name(entry)}", Role.STRONG if entry.is_minded else Role.ALARM),
                (f"  {entry.gpu}  {entry.state}", Role.TEXT),
            ],
            [(f"{formatting.money(entry.spent_microusd)} · {price}  ", Role.STRONG), end],
            width,
        )
