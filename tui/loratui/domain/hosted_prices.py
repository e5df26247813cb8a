"""What the same training costs at hosted trainers: their prices, each with its source and date. Pure.

They are here to compare with and nothing is bought by them, so an old price is told as one and not left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from loratui.domain.base_kinds import SD1, SDXL, BaseKind

OLD_DAYS = 180
"""Prices moved by a third to a half within months; one that was seen before that tells little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedPrice:
    """A price list's line: so much for a training, or from so much to so much a second of a GPU."""

    name: str
    microusd: int = 0
    """Of a training, whole."""
    microusd_per_s: tuple[int, int] | None = None
    """Of the cheapest and the dearest GPU that is trained on there; None: it is not billed by time."""
    terms: str
    source: str
    seen: date


HOSTED = (
    HostedPrice(
        name="Civitai",
        microusd=500_000,
        terms="500 Buzz at $5 for 5,000; newer pages: 50 an epoch",
        source="developer.civitai.com/orchestration/recipes/training-sdxl-sd1",
        seen=date(2026, 2, 9),
    ),
    HostedPrice(
        name="Replicate",
        microusd_per_s=(975, 1400),
        terms="L40S to A100 80 GB, by the second",
        source="replicate.com/pricing",
        seen=date(2026, 3, 9),
    ),
)
"""``seen`` is the day on which a dated page has the price, not the day on which it was put here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedCost:
    """What a training would cost there. ``age_days``: since the price was seen."""

    price: HostedPrice
    low_microusd: int
    high_microusd: int
    age_days: int

    @property
    def is_old(self) -> bool:
        """Return whether the price has to be looked up before anybody counts on it."""
        return self.age_days > OLD_DAYS


def hosted_costs(kind: BaseKind, training_s: tuple[float, float] | None, today: date) -> Iterator[HostedCost]:
    """Yield what the trainers in the table would take for it.

    ``training_s``: how long it takes, likely and if it goes badly, as if it took as long there; None: nobody knows,
    and what is billed by time is left out.
    """
    if kind not in (SD1, SDXL):
        return
    for price in HOSTED:
        age_days = (today - price.seen).days
        if price.microusd_per_s is None:
            low = high = price.microusd
        elif training_s is None:
            continue
        else:
            low, high = (round(s * rate) for s, rate in zip(training_s, price.microusd_per_s, strict=True))
        yield HostedCost(price=price, low_microusd=low, high_microusd=high, age_days=age_days)
