"""What the metadata of a LoRA file says: its base model, its trigger, how it was trained. All of it is others' text."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from loratui.preflight.lora_keys import SD1, SD2, SDXL
from loratui_protocol.foreign_settings import number
from loratui_protocol.harmless import clean
from loratui_protocol.lora_datasets import json_of

_MOST_CHARS = 200
_MOST_LIKELY = 3
_OF_VERSIONS = (("sdxl", SDXL), ("sd_v2", SD2), ("sd_v1", SD1), ("sd1", SD1), ("sd_1", SD1))
_OF_ARCHITECTURES = (
    ("stable-diffusion-xl", SDXL),
    ("stable-diffusion-v2", SD2),
    ("stable-diffusion-v1", SD1),
)
_RATES = ("ss_learning_rate", "ss_unet_lr", "ss_text_encoder_lr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a file says of itself, as far as it does."""

    is_empty: bool
    """It says nothing at all."""
    base: str
    """The kind of base model, in the same words as of ``lora_keys.base_of``, or else in the file's own."""
    version: str
    """``ss_base_model_version``, by which A1111 sorts."""
    base_file: str
    """What the base model was called that it was trained on."""
    trigger: str
    likely_triggers: tuple[str, ...] = ()
    """The most frequent tags of its captions, where it says no trigger."""
    says_training: bool = False
    """Whether a config can be made of it."""
    has_no_rate: bool = False
    """All learning rates it tells are 0."""
    adapter_scale: float | None = None
    """What PEFT's own settings, which diffusers alone reads, multiply by; None: it has none, or several."""


def words_of(metadata: Mapping[str, str]) -> Words:
    """Return what the metadata says."""

    def said(name: str) -> str:
        text = clean(metadata.get(name, ""), _MOST_CHARS).strip()
        return "" if text == "None" else text

    rates = [rate for rate in (number(said(name)) for name in _RATES) if rate is not None]
    trigger = said("modelspec.trigger_phrase") or said("ss_trigger_word")
    return Words(
        is_empty=not any(name != "format" for name in metadata),
        base=_base(said("ss_v2"), said("ss_base_model_version"), said("modelspec.architecture")),
        version=said("ss_base_model_version"),
        base_file=said("ss_sd_model_name"),
        trigger=trigger,
        likely_triggers=() if trigger else _frequent_tags(metadata.get("ss_tag_frequency", "")),
        says_training=not metadata.keys().isdisjoint(("ss_optimizer", "ss_network_module")),
        has_no_rate=bool(rates) and not any(rates),
        adapter_scale=_adapter_scale(metadata.get("lora_adapter_metadata", "")),
    )


def _base(is_v2: str, version: str, architecture: str) -> str:
    if is_v2 == "True":
        return SD2
    of_version = next((base for start, base in _OF_VERSIONS if version.startswith(start)), version)
    return of_version or next((b for start, b in _OF_ARCHITECTURES if architecture.startswith(start)), architecture)


def _frequent_tags(written: str) -> tuple[str, ...]:
    found = json_of(written)
    counted: Counter[str] = Counter()
    for tags in found.values() if isinstance(found, dict) else ():
        for tag, times in tags.items() if isinstance(tags, dict) else ():
            if isinstance(times, int | float) and math.isfinite(times):
                counted[clean(tag, _MOST_CHARS).strip()] += int(times)
    return tuple(tag for tag, _ in counted.most_common(_MOST_LIKELY) if tag)


def _adapter_scale(written: str) -> float | None:
    found = json_of(written)
    if not isinstance(found, dict):
        return None
    scales = set()
    for key, rank in found.items():
        alpha = number(found.get(f"{key[: -len('r')]}lora_alpha")) if key == "r" or key.endswith(".r") else None
        if alpha is not None and number(rank):
            scales.add(alpha / float(rank))
    return scales.pop() if len(scales) == 1 else None
