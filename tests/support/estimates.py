"""Work, offers and what is known, to estimate with."""

from dataclasses import fields, replace
from typing import Any

from loratui.domain.base_kinds import SD1, KnownFeatures
from loratui.domain.estimate_work import Load, Work
from loratui.domain.offers import Offer
from loratui_protocol.inputs import ModelKind, ModelPurpose, ModelSource

A_LOAD = Load(kind=SD1, steps=1500, units_per_step=4.0, num_pictures=30, num_sample_pictures=31, pixels=512 * 512)
A_WORK = Work(loads=(A_LOAD,), upload_bytes=30_000_000, base_model_bytes=4_270_000_000)
_OF_LOAD = {field.name for field in fields(Load)}


def a_work(work: Work = A_WORK, **changes: Any) -> Work:
    """Return a work with one run, some of it otherwise: fields of the work, or of its load."""
    of_load = {name: value for name, value in changes.items() if name in _OF_LOAD}
    rest = {name: value for name, value in changes.items() if name not in _OF_LOAD}
    return replace(work, loads=(replace(work.loads[0], **of_load),), **rest)


def a_feature_model(address: str, num_bytes: int | None) -> KnownFeatures:
    """Return a model to measure pictures with."""
    source = ModelSource(kind=ModelKind.HUB, name="model", purpose=ModelPurpose.DINO, address=address)
    return KnownFeatures(source=source, num_bytes=num_bytes)


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
