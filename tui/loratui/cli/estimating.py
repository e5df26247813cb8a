"""``offers --for`` and ``plan --gpu``: puts into words what a run would take on offers."""

import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

from loratui.cli.wrapped import print_wrapped
from loratui.domain import formatting
from loratui.domain.disk_need import DiskNeed
from loratui.domain.estimate import EstimatePart, Take
from loratui.domain.estimate_ranking import Quote, cost_range, fit_sentence, time_range, why
from loratui.sessions.market import Answered

T = TypeVar("T")
_PHASE = 17
"""Columns of a phase's name, and the space around it."""


def tell_failures(answers: Iterable[Answered[T]]) -> None:
    """Say on stderr which providers could not be understood."""
    for answer in answers:
        if answer.error is not None:
            print(f"{answer.provider}: {answer.error}", file=sys.stderr)


def exit_status(answers: Iterable[Answered[T]]) -> int:
    """Return 4 if no provider could be understood."""
    return 4 if all(answer.error is not None for answer in answers) else 0


def quote_row(quote: Quote, among: Sequence[Quote]) -> str:
    """Return an offer and its estimate on a line."""
    offer, estimated = quote.offer, quote.estimate
    reliable = f"{100 * offer.reliability:.1f} %" if offer.reliability is not None else formatting.UNKNOWN
    return (
        f"{cost_range(estimated):<17} {time_range(estimated):<21} "
        f"{formatting.hourly_price(offer.price_microusd_per_h):>8}  {offer.provider:<7} {offer.gpu_name:<23} "
        f"{offer.vram_mib / 1024:>3.0f} GiB  {reliable:>7}  {why(quote, among):<11} "
        f"{offer.availability or offer.region:<8} {offer.id:<8} {fit_sentence(quote)}"
    ).rstrip()


def quote_fields(quote: Quote, among: Sequence[Quote]) -> dict[str, object]:
    """Return the estimate for ``--json``."""
    estimated = quote.estimate
    return {
        "total_microusd": {"p50": estimated.p50_microusd, "p90": estimated.p90_microusd},
        "total_s": {"p50": estimated.p50_s, "p90": estimated.p90_s},
        "why": why(quote, among),
        "given_up": quote.given_up,
        "is_speed_known": estimated.is_speed_known,
        "phases": [part_fields(part) for part in estimated.parts],
    }


def tell_sources(quote: Quote, disk: DiskNeed | None) -> None:
    """Say on stderr what an estimate is made of, and where each figure comes from."""
    offer = quote.offer
    print_wrapped(
        f"{offer.gpu_name} at {formatting.hourly_price(offer.price_microusd_per_h)} ({offer.provider} {offer.id}), "
        "phase by phase; the second figure is for when it goes badly:",
        sys.stderr,
    )
    for part in quote.estimate.parts:
        time = f"{formatting.duration(part.p50.seconds, exact=False)} to {formatting.duration(part.p90.seconds)}"
        cost = f"{formatting.money(part.p50.microusd, exact=False)} to {formatting.money(part.p90.microusd)}"
        print_wrapped(f"  {part.name:<14} {time:<26} {cost:<20} {part.source}", sys.stderr, indent=_PHASE)
    if disk is not None:
        print_wrapped(f"  {'disk':<14} {f'{offer.disk_gb} GB':<47} {disk.sentence}", sys.stderr, indent=_PHASE)


def part_fields(part: EstimatePart) -> dict[str, object]:
    """Return a phase for ``--json``."""
    return {"phase": part.name, "p50": _take_fields(part.p50), "p90": _take_fields(part.p90), "source": part.source}


def _take_fields(take: Take) -> dict[str, int]:
    return {"s": take.seconds, "time_microusd": take.time_microusd, "traffic_microusd": take.traffic_microusd}
