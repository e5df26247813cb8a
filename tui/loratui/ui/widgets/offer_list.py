"""What can be rented for the open config: a row for each offer, with what the whole run would take there."""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loratui.domain import formatting
from loratui.domain.estimate import BOOT
from loratui.domain.estimate_ranking import Quote, SortBy, why
from loratui.domain.offer_filter import OfferFilter, parse_filter
from loratui.providers.retries import Retry
from loratui.ui.frame import Frame
from loratui.ui.registry import Registry
from loratui.ui.text import Role, Row, Span, cells, cut, plain, wrap
from loratui.ui.widgets.list_pane import ListPane

if TYPE_CHECKING:
    from loratui.sessions.market_look import Market

_LEAST_NAME = 12
_LONGEST_TYPED = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """A column that is shown from a pane of ``from_width`` cells on."""

    name: str
    width: int
    text: Callable[["Market", Quote], str]
    from_width: int = 0
    is_left: bool = False
    role: Role = Role.TEXT


def _vram(_: "Market", quote: Quote) -> str:
    return f"{quote.offer.vram_mib / 1024:.0f}"


def _price(_: "Market", quote: Quote) -> str:
    return formatting.money(quote.offer.price_microusd_per_h).removeprefix("$")


def _speed(market: "Market", quote: Quote) -> str:
    it_s = market.steps_per_s(quote)
    return formatting.UNKNOWN if it_s is None else f"{it_s:.2g}" if it_s < 10 else f"{it_s:.0f}"


def _time(_: "Market", quote: Quote) -> str:
    minutes = math.ceil(quote.estimate.p50_s / 60)
    return f"{minutes // 60}:{minutes % 60:02}"


def _boot(_: "Market", quote: Quote) -> str:
    seconds = sum(part.p50.seconds for part in quote.estimate.parts if part.name == BOOT)
    return f"{math.ceil(seconds / 60)}m"


def _total(_: "Market", quote: Quote) -> str:
    low, high = (f"${microusd / 1e6:.2f}" for microusd in (quote.estimate.p50_microusd, quote.estimate.p90_microusd))
    return low if low == high else f"{low} to {high}"


def _reliable(_: "Market", quote: Quote) -> str:
    share = quote.offer.reliability
    return formatting.UNKNOWN if share is None else f"{100 * share:.1f}%"


_COLUMNS = (
    _Column(name="VRAM", width=4, text=_vram),
    _Column(name="provider", width=8, text=lambda _, quote: quote.offer.provider, is_left=True),
    _Column(
        name="region",
        width=6,
        text=lambda _, quote: quote.offer.region or formatting.UNKNOWN,
        from_width=70,
        is_left=True,
    ),
    _Column(name="$/h", width=5, text=_price),
    _Column(name="it/s≈", width=5, text=_speed, from_width=70),
    _Column(name="h:mm≈", width=5, text=_time),
    _Column(name="boot", width=4, text=_boot, from_width=90),
    _Column(name="TOTAL≈", width=14, text=_total, role=Role.STRONG),
    _Column(name="reliab", width=6, text=_reliable, from_width=70),
    _Column(
        name="why",
        width=10,
        text=lambda market, quote: why(quote, market.quoted.ranked),
        from_width=90,
        is_left=True,
    ),
    _Column(name="offer", width=22, text=lambda _, quote: quote.offer.id, from_width=110, is_left=True, role=Role.DIM),
)


class OfferList(ListPane[Quote]):
    """The page fills it, and says what was asked and how long ago."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self.market: Market | None = None
        self.asked_s: float | None = None
        self.is_asking = False
        self.retry: Retry | None = None
        """Why the answer is not here yet; None: nobody had to be asked again."""
        self.sort_by = SortBy.TOTAL
        self.instead: tuple[str, ...] = ()
        """What stands here while there are no offers, in sentences."""
        self._filter = "", OfferFilter()

    def name_of(self, entry: Quote) -> Hashable:
        """Return provider and id."""
        return entry.offer.provider, entry.offer.id

    def matches(self, entry: Quote, query: str) -> bool:
        """Return whether all terms of the filter hold."""
        return self._read(query).lets_through(entry)

    def _read(self, query: str) -> OfferFilter:
        if self._filter[0] != query:
            self._filter = query, parse_filter(query)
        return self._filter[1]

    def heading(self, _: Frame) -> list[Span]:
        """Return for which config these are, and what it needs."""
        spans: list[Span] = [("offers", Role.TITLE)]
        if self.market is not None:
            spans.append((f" for {cut(self.market.path.name, 24)}", Role.TEXT))
        return spans

    def title(self, frame: Frame) -> list[Span]:
        """Return what is wrong with the filter, if something is: then that must not be cut off."""
        trouble = self._read(self.query_text.strip()).trouble
        if not trouble:
            return super().title(frame)
        typed: list[Span] = [(f" / {self.query_text[-_LONGEST_TYPED:]}", Role.STRONG)]
        return [
            ("offers", Role.TITLE),
            *typed,
            *([("█", Role.KEY)] if self.is_filtering else []),
            (f"  ! {trouble}", Role.WARN),
        ]

    def remark(self, frame: Frame) -> str:
        """Return the order, and how old the answers are."""
        retry = self.retry
        asking = "asking…" if retry is None else f"asking, attempt {retry.attempt} of {retry.of}"
        age = "" if self.asked_s is None else f"{formatting.duration(frame.now_s - self.asked_s)} ago"
        return " · ".join(filter(None, (f"by {self.sort_by} ↑", asking if self.is_asking else age)))

    def nothing(self, frame: Frame) -> list[Row]:
        """Return why there is nothing, and what to do."""
        rows: list[Row] = [[(f" {line}", Role.TEXT if at else Role.STRONG)] for at, line in enumerate(self.instead)]
        if self.is_asking and (retry := self.retry) is not None:
            said = f"{retry.why}; attempt {retry.attempt} of {retry.of} comes in {formatting.duration(retry.wait_s)}."
            rows += [[(f" {line}", Role.WARN)] for line in wrap(said, self.size.width - 2)]
            rows.append([(frame.keys.fill(" {offers_back} waits no more, {ask_offers} asks anew."), Role.TEXT)])
        return rows

    def head(self, _: Frame, width: int) -> list[Row]:
        """Return the names of the columns."""
        columns, name_width = _layout(width - 2)
        row: Row = [(f"  {'GPU':<{name_width}}", Role.DIM)]
        row += [(f" {_padded(column.name, column)}", Role.DIM) for column in columns]
        return [row]

    def entry_row(self, entry: Quote, width: int) -> Row:
        """Return GPU, place, price, and what the whole run takes."""
        if self.market is None:
            return []
        columns, name_width = _layout(width)
        name = cut(entry.offer.gpu_name, name_width)
        row: Row = [(name + " " * (name_width - cells(name)), Role.STRONG)]
        for column in columns:
            row.append((f" {_padded(column.text(self.market, entry), column)}", column.role))
        return row


def _layout(width: int) -> tuple[list[_Column], int]:
    """Return the columns that have room, and what is left for the name of the GPU."""
    columns = [column for column in _COLUMNS if width >= column.from_width]
    left = width - sum(column.width + 1 for column in columns)
    return columns, max(_LEAST_NAME, left)


def _padded(text: str, column: _Column) -> str:
    text = cut(plain(text), column.width)
    space = " " * (column.width - cells(text))
    return text + space if column.is_left else space + text


def nothing_there(market: "Market", keys: Registry) -> tuple[str, ...]:
    """Return what stands in the list when nothing fits."""
    failed = [f"{name}: {what}" for name, what in market.failures.items()]
    enter, again = keys.name_of("provider_keys"), keys.name_of("ask_offers")
    lacking = [f"{name} shows nothing without a key: {enter} enters one." for name in market.lacking if name != "vast"]
    return ("Nothing that fits this run can be rented now.", *failed, *lacking, f"{again} asks again.")
