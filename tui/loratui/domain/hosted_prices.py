"""What the same training costs at hosted trainers: their prices, each with its source and date. Pure.

They are here to compare with and nothing is bought by them, so an old price is told as one and not left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from loratui.domain.base_kinds import SD1, SDXL
from loratui.domain.estimate import training_s
from loratui.domain.estimate_speeds import COMPARED_WITH, MeasuredSpeed, gpu_key, speed_of
from loratui.domain.estimate_work import Load

OLD_DAYS = 180
"""Prices moved by a third to a half within months; one that was seen before that tells little."""
_L40S, _A100 = "L40S", "A100 80GB"
_MEMORY_GB_PER_S = {gpu_key(_L40S): 864.0, gpu_key(_A100): 1935.0, gpu_key(COMPARED_WITH): 936.0}
"""By NVIDIA's data sheets, the A100 as a PCIe card. No speed of such GPUs was published: they are scaled by this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedPrice:
    """A price list's line: so much for a training, or for a second of a GPU."""

    name: str
    microusd: int = 0
    """Of a training, whole."""
    microusd_per_s: Mapping[str, int] = field(default_factory=dict)
    """By the GPU that is trained on there; empty: it is not billed by time."""
    terms: str
    source: str
    seen: date


HOSTED = (
    HostedPrice(
        name="Civitai",
        microusd=500_000,
        terms="500 Buzz at $5 for 5,000; another version of its page has 50 an epoch",
        source="developer.civitai.com/orchestration/recipes/training-sdxl-sd1",
        seen=date(2026, 2, 9),
    ),
    HostedPrice(
        name="Replicate",
        microusd_per_s={_L40S: 975, _A100: 1400},
        terms=f"$0.000975 a second of {_L40S}, $0.0014 of {_A100}, its set-up not counted",
        source="replicate.com/pricing",
        seen=date(2026, 3, 9),
    ),
)
"""``seen`` is the day on which a dated page has the price, not the day on which it was put here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedTime:
    """How long the steps are likely to take on a GPU there, and where that comes from."""

    gpu: str
    seconds: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedCost:
    """What a training would cost there. ``age_days``: since the price was seen."""

    price: HostedPrice
    low_microusd: int
    high_microusd: int
    age_days: int
    times: tuple[HostedTime, ...] = ()
    """On each of its GPUs, where it is billed by time."""

    @property
    def is_old(self) -> bool:
        """Return whether the price has to be looked up before anybody counts on it."""
        return self.age_days > OLD_DAYS


def hosted_costs(load: Load, measured: Sequence[MeasuredSpeed], today: date) -> Iterator[HostedCost]:
    """Yield what the trainers in the table would take for a run.

    What is billed by the second is reckoned for each GPU by the time on that very GPU: as runs of one's own
    (``measured``) had it, else scaled.
    """
    if load.kind not in (SD1, SDXL):
        return
    for price in HOSTED:
        times = tuple(_time(gpu, load, measured) for gpu in price.microusd_per_s)
        costs = [round(time.seconds * price.microusd_per_s[time.gpu]) for time in times] or [price.microusd]
        yield HostedCost(
            price=price,
            low_microusd=min(costs),
            high_microusd=max(costs),
            age_days=(today - price.seen).days,
            times=times,
        )


def _time(gpu: str, load: Load, measured: Sequence[MeasuredSpeed]) -> HostedTime:
    speed = speed_of(gpu, load.kind, load.units_per_step, measured, _MEMORY_GB_PER_S)
    source = speed.source if speed.is_measured else f"scaled from {COMPARED_WITH} by the speed of their memory"
    return HostedTime(gpu=gpu, seconds=training_s(load, speed)[0], source=source)
