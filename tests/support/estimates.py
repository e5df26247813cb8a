"""Work, offers and what is known, to estimate with."""

from typing import Any

from loratui.domain.estimate_work import Work
from loratui.domain.offers import Offer

A_WORK = Work(
    steps=1500,
    units_per_step=4.0,
    num_pictures=30,
    num_sample_pictures=31,
    upload_bytes=30_000_000,
    base_model_bytes=4_270_000_000,
)


def an_offer(**changes: Any) -> Offer:
    """Return an offer like many."""
    facts: dict[str, Any] = {
        "provider": "vast",
        "id": "101",
        "gpu_name": "RTX 4090",
        "vram_mib": 24_564,
        "price_microusd_per_h": 352_800,
        "sent_microusd_per_gb": 3907,
        "received_microusd_per_gb": 1954,
        "disk_gb": 40,
        "download_mbit_s": 842.9,
        "upload_mbit_s": 713.2,
        "reliability": 0.9971,
        "machine": "2101",
    }
    return Offer(**{**facts, **changes})
