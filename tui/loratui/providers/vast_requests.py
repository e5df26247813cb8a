"""What Vast.ai is asked for, in its words and units. Pure."""

import json
from typing import Any

from loratui.domain.offers import OfferQuery
from loratui.providers.base import OfferGoneError, ProviderRefusedError, RentalOrder
from loratui.providers.vast_answers import MIN_DIRECT_PORTS

MAX_START_SCRIPT_BYTES = 4048
"""Its reference says 4096 for script and arguments together, its "key quirks" 4048: what both allow."""
MAX_LABEL_CHARS = 256
MAX_IMAGE_CHARS = 1024
MAX_ENVIRONMENT_CHARS = 32_768
_MANY_OFFERS = 512
_DAY_S = 86_400
_CHARGES_OF_DAYS = 60


def search(query: OfferQuery) -> dict[str, Any]:
    """Return the search; what can't be asked there is looked after by ``fits``."""
    wanted: dict[str, Any] = {
        # Parts of names can't be asked for: whoever wants one of them may have to look far.
        "limit": max(query.limit, _MANY_OFFERS) if query.gpu_name else query.limit,
        "num_gpus": {"eq": 1},
        "gpu_arch": {"eq": "nvidia"},
        "cpu_arch": {"eq": "amd64"},
        "direct_port_count": {"gte": MIN_DIRECT_PORTS},
        "gpu_ram": {"gte": query.min_vram_mib},
        "disk_space": {"gte": query.disk_gb},
        "reliability": {"gte": query.min_reliability},
        **_common(query.disk_gb),
    }
    if query.min_cuda:
        wanted["cuda_max_good"] = {"gte": float("{}.{}".format(*query.min_cuda))}
    if query.min_compute_capability:
        major, minor = query.min_compute_capability
        wanted["compute_cap"] = {"gte": 100 * major + 10 * minor}
    if query.min_download_mbit_s:
        wanted["inet_down"] = {"gte": query.min_download_mbit_s}
    if query.max_price_microusd_per_h is not None:
        # On the wire alone: what comes back is compared exactly.
        wanted["dph_total"] = {"lte": query.max_price_microusd_per_h / 1_000_000}
    if query.regions:
        wanted["geolocation"] = {"in": sorted(query.regions)}
    if query.only_datacenters:
        wanted["datacenter"] = {"eq": True}
    if query.min_duration_s:
        wanted["duration"] = {"gte": query.min_duration_s}
    return wanted


def one_offer(offer_id: int, disk_gb: int) -> dict[str, Any]:
    """Return the search for an offer that is known."""
    return {"id": {"eq": offer_id}, "limit": 1, **_common(disk_gb)}


def creation(order: RentalOrder) -> dict[str, Any]:
    """Return the request for a machine.

    Raises:
        ProviderRefusedError: it would be refused, or mean something else.
        OfferGoneError: it costs more than it may.
    """
    environment = dict(order.environment)
    for what, size, most in (
        ("the start script", len(order.start_script.encode()), MAX_START_SCRIPT_BYTES),
        ("the label", len(order.label), MAX_LABEL_CHARS),
        ("the image's name", len(order.image), MAX_IMAGE_CHARS),
        ("the environment", sum(len(name) + len(value) for name, value in environment.items()), MAX_ENVIRONMENT_CHARS),
    ):
        if size > most:
            raise ProviderRefusedError(f"{what} has {size} characters, vast takes {most}; nothing was rented")
    if order.disk_gb > order.offer.disk_gb:
        raise ProviderRefusedError(f"the price is for {order.offer.disk_gb} GB of disk, not for {order.disk_gb}")
    if order.offer.price_microusd_per_h > order.max_price_microusd_per_h:
        raise OfferGoneError(f"offer {order.offer.id} costs more than was confirmed", fix="take the next")
    return {
        "client_id": "me",
        "image": order.image,
        "label": order.label,
        "disk": order.disk_gb,
        # It replaces the image's entry point by an SSH server of Vast.ai's, which then runs the script.
        "runtype": "ssh_direct",
        "target_state": "running",
        "cancel_unavail": True,
        # An object, as every client sends it; the reference's docker flags are said to be wrong in its guides.
        "env": environment,
        "onstart": order.start_script,
    }


def charges(now_s: float, limit: int) -> dict[str, str]:
    """Return the parameters that list what instances cost lately, ``limit`` of them a page."""
    days = {"gte": int(now_s) - _CHARGES_OF_DAYS * _DAY_S, "lte": int(now_s) + _DAY_S}
    return {"select_filters": json.dumps({"day": days, "type": {"in": ["instance"]}}), "limit": str(limit)}


def _common(disk_gb: int) -> dict[str, Any]:
    # Without "type" interruptible offers come along; without allocated_storage the price is for 8 GB.
    return {
        "type": "on-demand",
        "allocated_storage": disk_gb,
        "verified": {"eq": True},
        "rentable": {"eq": True},
        "order": [["dph_total", "asc"]],
    }
