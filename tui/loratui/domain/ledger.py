"""What a rental costs, phase by phase. Pure, and exact: integers of micro-dollars and microseconds, never a float.

Amounts are rounded up, once, over the whole of a rental: its phases add up to its total to the micro-dollar.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from loratui.domain.offers import Offer

_US_PER_S = 1_000_000
_US_PER_H = 3600 * _US_PER_S
_BYTES_PER_GB = 1_000_000_000


class Phase(StrEnum):
    """What a rental's time is spent on."""

    BOOTING = "booting"
    """Until it has an address: the image is pulled."""
    CONNECTING = "connecting"
    SETTING_UP = "setting_up"
    """Agent, environment, base model, upload."""
    TRAINING = "training"
    DOWNLOADING = "downloading"
    IDLE = "idle"
    """It runs, and nothing is done on it."""
    STOPPED = "stopped"
    """Its disk alone bills."""
    ENDING = "ending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What is billed. Micro-dollars."""

    running_microusd_per_h: int
    stopped_microusd_per_h: int = 0
    disk_microusd_per_h: int = 0
    """What of the price of running is for the disk."""
    sent_microusd_per_gb: int = 0
    received_microusd_per_gb: int = 0
    billing_floor_us: int = 0
    """What is billed at least, at the price of running."""

    @classmethod
    def of(cls, offer: Offer, running_microusd_per_h: int | None = None) -> "Rates":
        """Return what an offer says, or another price of running: prices change while a machine is rented."""
        price = offer.price_microusd_per_h if running_microusd_per_h is None else running_microusd_per_h
        return cls(
            running_microusd_per_h=price,
            # A provider that does not say what a stopped machine costs is taken to bill it like a running one.
            disk_microusd_per_h=offer.disk_microusd_per_h,
            stopped_microusd_per_h=price if offer.stopped_microusd_per_h is None else offer.stopped_microusd_per_h,
            sent_microusd_per_gb=offer.sent_microusd_per_gb,
            received_microusd_per_gb=offer.received_microusd_per_gb,
            billing_floor_us=microseconds(offer.billing_floor_s),
        )

    def per_h(self, phase: Phase) -> int:
        """Return what an hour of a phase costs."""
        return self.stopped_microusd_per_h if phase is Phase.STOPPED else self.running_microusd_per_h


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Time that was billed at one price. ``to_ts`` is None while it lasts; epoch seconds."""

    phase: Phase
    from_ts: float
    to_ts: float | None = None
    microusd_per_h: int

    def elapsed_us(self, now_ts: float) -> int:
        """Return how long it lasts, or lasted; a clock that was set back takes nothing away."""
        return max(0, microseconds(now_ts if self.to_ts is None else self.to_ts) - microseconds(self.from_ts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a rental has cost, or will have cost. Micro-dollars."""

    time_microusd: int
    disk_microusd: int = 0
    """What of the time's cost is the disk's."""
    floor_microusd: int = 0
    """What is billed beyond its time, because so much is billed at least."""
    traffic_microusd: int = 0

    @property
    def total_microusd(self) -> int:
        """Return the sum."""
        return self.time_microusd + self.floor_microusd + self.traffic_microusd


def microseconds(seconds: float) -> int:
    """Return a time as a whole number of microseconds."""
    return round(seconds * _US_PER_S)


def time_microusd(microusd_per_h: int, elapsed_us: int) -> int:
    """Return what a time costs, rounded up."""
    return _up(microusd_per_h * elapsed_us, _US_PER_H)


def traffic_microusd(rates: Rates, sent_bytes: int, received_bytes: int) -> int:
    """Return what so many bytes from and to the machine cost, rounded up."""
    return _up(sent_bytes * rates.sent_microusd_per_gb + received_bytes * rates.received_microusd_per_gb, _BYTES_PER_GB)


def charges(spans: Sequence[Span], now_ts: float) -> list[int]:
    """Return what each span costs; together it is what the whole costs, rounded up once."""
    exact, so_far, found = 0, 0, []
    for span in spans:
        exact += span.microusd_per_h * span.elapsed_us(now_ts)
        found.append(_up(exact, _US_PER_H) - so_far)
        so_far += found[-1]
    return found


def by_phase(spans: Sequence[Span], now_ts: float) -> dict[Phase, int]:
    """Return what each phase has cost, in the order in which they came."""
    found: dict[Phase, int] = {}
    for span, microusd in zip(spans, charges(spans, now_ts), strict=True):
        found[span.phase] = found.get(span.phase, 0) + microusd
    return found


def spent(spans: Sequence[Span], now_ts: float, rates: Rates, *, sent_bytes: int = 0, received_bytes: int = 0) -> Spent:
    """Return what a rental has cost so far."""
    time = sum(charges(spans, now_ts))
    disk = sum(_disk_per_h(span, rates) * span.elapsed_us(now_ts) for span in spans)
    floor = time_microusd(rates.running_microusd_per_h, rates.billing_floor_us) if spans else 0
    return Spent(
        time_microusd=time,
        disk_microusd=_up(disk, _US_PER_H),
        floor_microusd=max(0, floor - time),
        traffic_microusd=traffic_microusd(rates, sent_bytes, received_bytes),
    )


def projected(
    spans: Sequence[Span],
    now_ts: float,
    rates: Rates,
    to_come: Iterable[tuple[Phase, float]],
    *,
    sent_bytes: int = 0,
    received_bytes: int = 0,
) -> Spent:
    """Return what a rental will have cost once these phases are over too; each with its seconds from now on.

    The bytes are all that will have travelled in the end.
    """
    whole = [_ended(span, now_ts) for span in spans]
    for phase, seconds in to_come:
        from_ts = whole[-1].to_ts if whole and whole[-1].to_ts is not None else now_ts
        to_ts = from_ts + max(0.0, seconds)
        whole.append(Span(phase=phase, from_ts=from_ts, to_ts=to_ts, microusd_per_h=rates.per_h(phase)))
    return spent(whole, now_ts, rates, sent_bytes=sent_bytes, received_bytes=received_bytes)


def lasts_s(left_microusd: int, microusd_per_h: int, reserved_microusd: int = 0) -> int | None:
    """Return for how many whole seconds an amount pays, with what is kept back for traffic; None: for ever."""
    if microusd_per_h <= 0:
        return None
    return max(0, (left_microusd - reserved_microusd) * 3600 // microusd_per_h)


def ends_ts(
    agreed_ts: float | None, now_ts: float, left_microusd: int | None, microusd_per_h: int, reserved_microusd: int = 0
) -> float | None:
    """Return when a rental has to end: as agreed, or earlier, when it has used up what is left; epoch seconds."""
    paid_s = None if left_microusd is None else lasts_s(left_microusd, microusd_per_h, reserved_microusd)
    paid_ts = None if paid_s is None else now_ts + paid_s
    return min((ts for ts in (agreed_ts, paid_ts) if ts is not None), default=None)


def _disk_per_h(span: Span, rates: Rates) -> int:
    return span.microusd_per_h if span.phase is Phase.STOPPED else min(rates.disk_microusd_per_h, span.microusd_per_h)


def _ended(span: Span, now_ts: float) -> Span:
    to_ts = max(span.from_ts, now_ts) if span.to_ts is None else span.to_ts
    return Span(phase=span.phase, from_ts=span.from_ts, to_ts=to_ts, microusd_per_h=span.microusd_per_h)


def _up(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
