"""Which offer to take for a run: what each would cost in the end, put in the order that the user wants. Pure."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import StrEnum

from loratui.domain import formatting
from loratui.domain.estimate import NOTHING_KNOWN, Estimate, Known, estimate
from loratui.domain.estimate_speeds import gpu_key
from loratui.domain.estimate_work import Work
from loratui.domain.offers import MIN_RELIABILITY, Offer


class SortBy(StrEnum):
    """What comes first: the smallest likely total, hourly price or time; the most reliable; what is no private home."""

    TOTAL = "total"
    PRICE = "price"
    TIME = "time"
    RELIABILITY = "reliability"
    PRIVACY = "privacy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """An offer, and what the run would take on it."""

    offer: Offer
    estimate: Estimate
    given_up: tuple[str, ...] = ()
    """What the run gives up to fit its GPU, in a few words each."""


def quotes(work: Work, offers: Iterable[Offer], known: Known = NOTHING_KNOWN) -> list[Quote]:
    """Return what the run would take on each offer, in their order."""
    listed = list(offers)
    known = replace(known, memory_gb_per_s={**memory_speeds(listed), **known.memory_gb_per_s})
    found = []
    for offer in listed:
        fitted, given_up = work.fitted(offer.vram_mib)
        found.append(Quote(offer=offer, estimate=estimate(fitted, offer, known), given_up=given_up))
    return found


def rank(
    quoted: Iterable[Quote],
    by: SortBy = SortBy.TOTAL,
    *,
    bad_hosts: AbstractSet[tuple[str, str]] = frozenset(),
    bad_kinds: AbstractSet[tuple[str, str]] = frozenset(),
    min_vram_mib: int = 0,
    min_reliability: float = MIN_RELIABILITY,
) -> list[Quote]:
    """Return those that may be taken, the best first.

    Those that can't be rented for as long as the run may take are left out, too. One on which something is given up
    never comes before one that takes the run as it is configured.

    ``bad_hosts``: (provider, machine) that failed before. ``bad_kinds``: (provider, kind) of which one has just failed:
    the next may be another one, so they come last and are not left out. What a provider does not say of its
    reliability counts as enough, and comes last where that is what counts. Where time matters, GPUs without any figure
    come last.
    """
    fit = [
        quote
        for quote in quoted
        if quote.offer.vram_mib >= min_vram_mib
        and (quote.offer.reliability is None or quote.offer.reliability >= min_reliability)
        and not (quote.offer.machine and (quote.offer.provider, quote.offer.machine) in bad_hosts)
        and (quote.offer.longest_s is None or quote.offer.longest_s >= quote.estimate.p90_s)
        and (by is not SortBy.PRIVACY or quote.offer.is_datacenter is True)
    ]
    return sorted(fit, key=lambda quote: (bool(quote.given_up), _is_of(quote, bad_kinds), *_key(quote, by)))


def memory_speeds(offers: Iterable[Offer]) -> dict[str, float]:
    """Return how fast the memory of each GPU is, as the offers say it; of several that differ, the slowest."""
    speeds: dict[str, float] = {}
    for offer in offers:
        if offer.memory_gb_per_s:
            key = gpu_key(offer.gpu_name)
            speeds[key] = min(offer.memory_gb_per_s, speeds.get(key, offer.memory_gb_per_s))
    return speeds


def why(quote: Quote, among: Sequence[Quote]) -> str:
    """Return in a word what there is to say for an offer among others, or else what costs most there."""
    if quote.given_up:
        return "tight"
    if not quote.estimate.is_speed_known:
        return "unknown"
    known = [each for each in among if each.estimate.is_speed_known and not each.given_up]
    if quote.estimate.p50_microusd <= min(each.estimate.p50_microusd for each in known):
        return "cheapest"
    if quote.estimate.p50_s <= min(each.estimate.p50_s for each in known):
        return "fastest"
    return quote.estimate.largest_part.name.split()[0]


def cost_range(estimated: Estimate) -> str:
    """Return the likely cost, and that if it goes badly: "≈$0.12 to $0.31"."""
    return formatting.money_range(estimated.p50_microusd, estimated.p90_microusd)


def time_range(estimated: Estimate) -> str:
    """Return the likely time, and that if it goes badly, in minutes: "≈14 to 31 min"."""
    return formatting.minutes_range(estimated.p50_s, estimated.p90_s)


def fit_sentence(quote: Quote) -> str:
    """Return what makes the run fit the offer's GPU; empty: it fits as configured."""
    return f"fits with {' and '.join(quote.given_up)}" if quote.given_up else ""


def _is_of(quote: Quote, kinds: AbstractSet[tuple[str, str]]) -> bool:
    return (quote.offer.provider, quote.offer.kind) in kinds


def _key(quote: Quote, by: SortBy) -> tuple[float, ...]:
    offer, estimated = quote.offer, quote.estimate
    total, unknown = estimated.p50_microusd, not estimated.is_speed_known
    match by:
        case SortBy.TOTAL | SortBy.PRIVACY:
            return (unknown, total, estimated.p90_microusd)
        case SortBy.PRICE:
            return (offer.price_microusd_per_h, unknown, total)
        case SortBy.TIME:
            return (unknown, estimated.p50_s, total)
        case SortBy.RELIABILITY:
            return (1.0 - (offer.reliability or 0.0), unknown, total)
