"""What ``offers`` and ``train --on`` a provider ask for: from the options that both share, and the settings."""

import sys
from collections.abc import Callable, Iterable

from loratui.cli.arguments import Arguments
from loratui.domain.estimate_ranking import SortBy
from loratui.domain.memory_need import VRAM_SHARE
from loratui.domain.offers import MIN_DISK_GB, Offer, OfferQuery
from loratui.settings import Settings
from loratui_protocol.errors import UsageError

_MIB_PER_GB = 1000**3 / 2**20
_OPTIONS = (
    "offer",
    "gpu",
    "vram",
    "max_price",
    "wait_price",
    "region",
    "cuda",
    "compute_capability",
    "min_reliability",
    "datacenter",
    "sort",
)
_UNTOLD: dict[str, Callable[[Offer], object]] = {
    "region": lambda offer: offer.region,
    "cuda": lambda offer: offer.cuda,
    "compute_capability": lambda offer: offer.compute_capability,
    "min_reliability": lambda offer: offer.reliability,
}
"""What some providers say nothing of: their offers count as fitting."""


def query_of(arguments: Arguments, preferences: Settings, sort_by: SortBy, disk_gb: int = MIN_DISK_GB) -> OfferQuery:
    """Return what a machine must have."""
    least = arguments.min_reliability
    return OfferQuery(
        min_vram_mib=int(arguments.vram * _MIB_PER_GB * VRAM_SHARE) if arguments.vram else 0,
        disk_gb=disk_gb,
        min_cuda=arguments.cuda,
        min_compute_capability=arguments.compute_capability,
        min_reliability=preferences.rental_min_reliability if least is None else least,
        max_price_microusd_per_h=arguments.max_price,
        gpu_name=arguments.gpu or "",
        regions=arguments.region or frozenset(),
        only_datacenters=arguments.datacenter or sort_by is SortBy.PRIVACY,
    )


def sort_of(arguments: Arguments, *, is_run_known: bool = True) -> SortBy:
    """Return what comes first: the likely total of the run, where it is known, unless somebody says otherwise.

    Raises:
        UsageError: that needs a config.
    """
    if arguments.sort is None:
        return SortBy.TOTAL if is_run_known else SortBy.PRICE
    sort_by = SortBy(arguments.sort)
    if not is_run_known and sort_by in (SortBy.TOTAL, SortBy.TIME):
        raise UsageError(f"--sort {sort_by} depends on what is to be trained", fix="add --for CONFIG")
    return sort_by


def refuse_market_options(arguments: Arguments) -> None:
    """Refuse what chooses among offers where nothing is rented.

    Raises:
        UsageError: some of it was given.
    """
    given = [name for name in _OPTIONS if getattr(arguments, name, None)]
    if given:
        raise UsageError(
            f"{_flag(given[0])} chooses among what can be rented, and {arguments.on} is not rented",
            fix="leave it out, or train --on cheapest",
        )


def tell_untold(arguments: Arguments, offers: Iterable[Offer]) -> None:
    """Say on stderr where a condition was not looked after, because a provider does not say what it is about."""
    listed = list(offers)
    for name, told in _UNTOLD.items():
        if not getattr(arguments, name):
            continue
        for provider in sorted({offer.provider for offer in listed if told(offer) in (None, "")}):
            print(
                f"note: {provider} does not say that of some offers, so {_flag(name)} leaves none of these out",
                file=sys.stderr,
            )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
