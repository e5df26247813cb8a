"""What a provider has to rent: an offer as all of them can be read, and what a user asks for. Pure.

Amounts are micro-dollars, sizes are in the unit that their name says; what a provider does not say is None, never 0.
"""

from dataclasses import dataclass, field
from typing import Any

MIN_RELIABILITY = 0.98
"""What a machine must have unless the user says otherwise."""
MIN_DISK_GB = 40
"""What is rented at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A machine that can be rented now. On Vast.ai it is one machine; on RunPod a kind of GPU somewhere."""

    provider: str
    id: str
    """What the provider wants to hear when it is rented."""
    gpu_name: str
    """Without the maker: "RTX 4090"."""
    num_gpus: int = 1
    vram_mib: int
    """Of one GPU."""
    memory_gb_per_s: float | None = None
    """How fast the GPU's memory is, in 10^9 bytes a second, as the provider measured it."""
    price_microusd_per_h: int
    """While it runs, with the disk that was asked for; traffic comes on top."""
    disk_microusd_per_h: int = 0
    """What of that is for the disk."""
    stopped_microusd_per_h: int | None = None
    """What the disk goes on costing while it does not run."""
    sent_microusd_per_gb: int = 0
    """What leaves the machine: results."""
    received_microusd_per_gb: int = 0
    """What arrives there: image, packages, base model, dataset."""
    disk_gb: int
    """What the price is for."""
    compute_capability: tuple[int, int] | None = None
    driver: str = ""
    cuda: tuple[int, int] | None = None
    """The newest that the driver can run."""
    num_cpus: int | None = None
    ram_gib: float | None = None
    download_mbit_s: float | None = None
    upload_mbit_s: float | None = None
    reliability: float | None = None
    """0 to 1, as the provider measured it."""
    availability: str = ""
    """How many of them there are, in the provider's word: HIGH, MEDIUM, LOW; empty: this very machine is free."""
    region: str = ""
    """A country's two letters, or the provider's own name of a place."""
    is_datacenter: bool | None = None
    machine: str = ""
    """What stays the same when this machine is offered again; empty: nobody can tell."""
    kind: str = ""
    """Where nobody can tell: what stays the same when its kind of machine, in that place, is offered again."""
    longest_s: float | None = None
    """How long it can be rented."""
    billing_floor_s: float = 0.0
    """What is billed at least."""
    balance_floor_microusd: int = 0
    """What must be on the account to rent it."""


_SAME_PRICE_MICROUSD_PER_H = 100
"""By so much two sums of a provider's may differ for one price: a hundredth of a cent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferQuery:
    """What a machine must have. What is None, or empty, does not matter."""

    min_vram_mib: int = 0
    disk_gb: int = MIN_DISK_GB
    min_cuda: tuple[int, int] | None = None
    min_compute_capability: tuple[int, int] | None = None
    min_reliability: float = MIN_RELIABILITY
    min_download_mbit_s: float = 0.0
    max_price_microusd_per_h: int | None = None
    gpu_name: str = ""
    """A part of the GPU's name, in any case: "4090"."""
    regions: frozenset[str] = field(default_factory=frozenset)
    only_datacenters: bool = False
    min_duration_s: float = 0.0
    limit: int = 64


def fits(offer: Offer, query: OfferQuery) -> bool:
    """Return whether an offer is what was asked for; what a provider does not say counts as fitting.

    Providers are asked with the same conditions, and looked after here: some of them ignore what they don't know.
    """
    return (
        offer.num_gpus == 1
        and offer.vram_mib >= query.min_vram_mib
        and offer.disk_gb >= query.disk_gb
        and _at_least(offer.cuda, query.min_cuda)
        and _at_least(offer.compute_capability, query.min_compute_capability)
        and _at_least(offer.reliability, query.min_reliability)
        and _at_least(offer.download_mbit_s, query.min_download_mbit_s)
        and _at_least(offer.longest_s, query.min_duration_s)
        and (query.max_price_microusd_per_h is None or offer.price_microusd_per_h <= query.max_price_microusd_per_h)
        and query.gpu_name.casefold() in offer.gpu_name.casefold()
        and (not query.regions or offer.region in query.regions)
        and (not query.only_datacenters or offer.is_datacenter is True)
    )


def is_dearer(microusd_per_h: int, agreed_microusd_per_h: int) -> bool:
    """Return whether a price is above the one that was agreed to."""
    return microusd_per_h > agreed_microusd_per_h + _SAME_PRICE_MICROUSD_PER_H


def _at_least(value: Any, least: Any) -> bool:
    """Return whether a number, or a version, is at least that; what nobody knows, or asked for, is."""
    return value is None or least is None or bool(value >= least)


def read_share(text: str) -> float:
    """Return a share: 0.99 is 99 %.

    Raises:
        ValueError: it is no number between 0 and 1.
    """
    share = float(text)
    if not 0.0 <= share <= 1.0:
        raise ValueError(text)
    return share
