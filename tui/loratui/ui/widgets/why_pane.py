"""Why an offer costs what it costs: each part of the estimate, and where its figure comes from; or two side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from loratui.domain import formatting
from loratui.domain.estimate import EstimatePart
from loratui.domain.estimate_ranking import Quote, cost_range, fit_sentence, time_range
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, cut, pad
from loratui.ui.widgets.pane import Pane

if TYPE_CHECKING:
    from loratui.sessions.market_look import Market

_NAME = 15
_TIME = 14
_COST = 20


class WhyPane(Pane):
    """Shows the offer under the cursor, or the first two that are marked."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self.market: Market | None = None
        self.quotes: Sequence[Quote] = ()

    def title(self, _: Frame) -> list[Span]:
        """Return which offer."""
        if not self.quotes:
            return [("why this price", Role.TITLE)]
        return [(" against ".join(_named(quote) for quote in self.quotes), Role.TITLE)]

    def remark(self, frame: Frame) -> str:
        """Return how to compare."""
        return "" if len(self.quotes) > 1 else frame.keys.fill("{mark} marks two to compare")

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the total, and its parts, the dearest first where not all have room."""
        if self.market is None or not self.quotes:
            return []
        if len(self.quotes) > 1:
            return _compared(self.quotes[0], self.quotes[1], width)
        [quote] = self.quotes
        rows = [_total(quote), *(_remark(text) for text in self._remarks(quote, frame))]
        parts = [*quote.estimate.parts]
        if len(rows) + len(parts) > height:
            parts.sort(key=lambda part: -part.p50.microusd)
        rows += [_part(part) for part in parts]
        if self.market.quoted.disk is not None:
            rows.append([(f" {'disk':<{_NAME}}{quote.offer.disk_gb} GB: {self.market.quoted.disk.sentence}", Role.DIM)])
        return rows

    def _remarks(self, quote: Quote, frame: Frame) -> list[str]:
        """Return what else is to be known of an offer before it is taken."""
        market, provider = self.market, quote.offer.provider
        remarks = []
        if market is not None and provider in market.lacking:
            enter = frame.keys.name_of("provider_keys")
            remarks.append(f"there is no key of {provider}, so it can't be rented: {enter} enters one")
        elif market is not None and provider in market.failures:
            remarks.append(f"{provider}: {market.failures[provider]}")
        if tight := fit_sentence(quote):
            remarks.append(f"as configured the run does not fit this GPU; it {tight}")
        if market is not None:
            remarks += market.notes
        return remarks


def _named(quote: Quote) -> str:
    offer = quote.offer
    return " · ".join(filter(None, (offer.gpu_name, f"{offer.provider} {offer.region}".strip())))


def _total(quote: Quote) -> Row:
    offer = quote.offer
    price = f"at {formatting.hourly_price(offer.price_microusd_per_h)} with {offer.disk_gb} GB of disk"
    return [
        (f" {'TOTAL':<{_NAME}}", Role.STRONG),
        (f"{time_range(quote.estimate)}, {cost_range(quote.estimate)}", Role.STRONG),
        (f", {price}", Role.TEXT),
    ]


def _remark(text: str) -> Row:
    return [(f" ! {text}", Role.WARN)]


def _part(part: EstimatePart) -> Row:
    time = formatting.duration(part.p50.seconds, exact=False)
    cost = formatting.money_range(part.p50.microusd, part.p90.microusd)
    return [
        (f" {part.name:<{_NAME}}", Role.TEXT),
        (f"{cut(time, _TIME - 1):<{_TIME}}{cut(cost, _COST):<{_COST}}", Role.TEXT),
        (f" {part.source}", Role.DIM),
    ]


def _compared(left: Quote, right: Quote, width: int) -> list[Row]:
    """Return the parts of two estimates in two columns; what one has and the other has not is a dash."""
    column = max(1, (width - _NAME - 1) // 2)
    first, second = ({part.name: part for part in quote.estimate.parts} for quote in (left, right))

    def row(name: str, one: str, other: str, role: Role) -> Row:
        return [*pad([(f" {name}", role)], _NAME + 1), *pad([(one, role)], column), *pad([(other, role)], column)]

    def both(quote: Quote) -> str:
        return f"{cost_range(quote.estimate)}, {time_range(quote.estimate)}"

    def price(quote: Quote) -> str:
        reliable = quote.offer.reliability
        told = "" if reliable is None else f", {100 * reliable:.1f} % reliable"
        return (
            f"{formatting.hourly_price(quote.offer.price_microusd_per_h)}, {quote.offer.vram_mib / 1024:.0f} GB{told}"
        )

    rows = [
        row("", _named(left), _named(right), Role.TITLE),
        row("TOTAL", both(left), both(right), Role.STRONG),
        row("price", price(left), price(right), Role.TEXT),
    ]
    names = list(dict.fromkeys((*first, *second)))
    rows += [row(name, _in_column(first.get(name)), _in_column(second.get(name)), Role.TEXT) for name in names]
    return rows


def _in_column(part: EstimatePart | None) -> str:
    if part is None:
        return formatting.UNKNOWN
    likely = formatting.duration(part.p50.seconds, exact=False)
    return f"{formatting.money_range(part.p50.microusd, part.p90.microusd)}, {likely}"
