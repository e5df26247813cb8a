"""What is rented and not shown to be gone, as a list that the home screen has."""

from loratui.domain import formatting
from loratui.domain.overview import Overview, RentalLine
from loratui.ui.frame import Frame
from loratui.ui.terminating import rental_name
from loratui.ui.text import Role, Row, Span, spread
from loratui.ui.widgets.list_pane import ListPane


class RentalList(ListPane[RentalLine]):
    """What is rented and not shown to be gone, what nobody minds first; and what the month has cost."""

    def name_of(self, entry: RentalLine) -> str:
        """Return its label; what is not in the ledger may bear that of another."""
        return f"{entry.label} {entry.instance_id}" if entry.is_elsewhere else entry.label

    def matches(self, entry: RentalLine, query: str) -> bool:
        """Look in provider, id, label, GPU and state."""
        words = f"{rental_name(entry)} {entry.label} {entry.gpu} {entry.state}".lower()
        return all(word in words for word in query.lower().split())

    def heading(self, frame: Frame) -> list[Span]:
        """Return the name of the list, and whose answer is lacking, the records' own first."""
        spans: list[Span] = [("rentals", Role.TITLE)]
        if self.entries and frame.overview.trouble:
            spans.append((f"  ! as last read: {frame.overview.trouble}", Role.ALARM))
        if unheard := frame.overview.unheard:
            spans.append((f"  ! {', '.join(unheard)} not heard: more may be rented there", Role.WARN))
        return spans

    def remark(self, frame: Frame) -> str:
        """Return what the month has cost."""
        overview = frame.overview
        return month(overview) if overview.is_read and not overview.trouble else ""

    def nothing(self, frame: Frame) -> list[Row]:
        """Return that nothing is rented, if that is known."""
        if frame.overview.trouble:
            return [[(f" ! what is rented is not known: {frame.overview.trouble}", Role.ALARM)]]
        if not frame.overview.is_read:
            return []
        where = "" if frame.overview.is_all_known else " from here, as far as is known"
        rows: list[Row] = [[(f" nothing is rented{where}", Role.DIM)]]
        for name, why in frame.overview.unheard.items():
            rows.append([(f" {name}: {why}", Role.WARN)])
        return rows

    def entry_row(self, entry: RentalLine, width: int) -> Row:
        """Return what is rented, what it costs, and when it ends; of what nobody minds what to do about it."""
        price = formatting.hourly_price(entry.price_microusd_per_h)
        stop = "no auto-stop"
        if entry.deadline_ts is not None:
            stop = f"auto-stop {formatting.day_and_time(entry.deadline_ts)[-len('15:03') :]}"
        end: Span = (f"{stop} ", Role.TEXT)
        if entry.is_orphan:
            key = self.frame.keys.name_of("terminate") if self.frame else ""
            end = (f"nobody minds it: {key} ends it ", Role.ALARM)
        elif entry.is_elsewhere:
            end = ("not rented from here ", Role.WARN)
        # By our clock and its price: the provider's bill may differ.
        spent = "" if entry.is_elsewhere else f"{formatting.money(entry.spent_microusd, exact=False)} · "
        name: Span = (rental_name(entry), Role.STRONG)
        if entry.is_orphan:
            name = (f"! {rental_name(entry)}", Role.ALARM)
        return spread(
            [name, (f"  {entry.gpu}  {entry.state}", Role.TEXT)],
            [(f"{spent}{price}  ", Role.STRONG), end],
            width,
        )


def month(overview: Overview) -> str:
    """Return what this month has cost: by our clock, without the traffic, so it is no bill."""
    spent = formatting.money(overview.month_microusd, exact=not overview.month_microusd)
    return f"this month {spent}"
