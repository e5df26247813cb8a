"""The memory that a training needs on a GPU, by our own model: as configured, and with what it may give up. Pure.

It is a lower bound. What a run really takes is measured on the machine before its first step, where the trainer takes
the fastest of the ways that fit.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from loratui.domain.base_kinds import BaseKind
from loratui_protocol.captions import captions_vary
from loratui_protocol.config import TrainingConfig
from loratui_protocol.lora_size import lora_size
from loratui_protocol.memory_ladder import Fit, as_configured, ladder, reserves_told
from loratui_protocol.optimizers import STATE_BYTES
from loratui_protocol.subsets import datasets_of

CHECKPOINTING = 4 / 3
"""What recomputing activations adds to the work: docs/config.md."""
VRAM_SHARE = 0.93
"""Cards of 24 GB say 24 564 MiB, or less: what the driver keeps is not theirs to give."""
_LEARNED_BYTES = 8
"""Of each number that is learned: itself and its gradient, in 32 bits."""
_MIB_PER_GB = 1000**3 / 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A way to train with less memory from the first step on, where what is learned stays the same."""

    min_vram_mib: int
    given_up: tuple[str, ...]
    """What is otherwise than configured, in a few words each."""
    slowdown: float
    """How many times the work of a step becomes."""


def min_vram_mib(config: TrainingConfig, kind: BaseKind, fit: Fit | None = None) -> int:
    """Return the memory below which a GPU is not worth trying, trained as configured, or as ``fit`` has it.

    Of files that are only tried out: to draw with them.

    A lower bound made to agree with what people report (docs/estimates.md), not a measurement. Cards keep a part for
    their driver, so a little less will do.
    """
    memory = kind.memory
    if config.evaluate_loras:
        # Nothing is learned. A picture that is drawn holds no more than a checkpointed step does, and batches get as
        # small as they have to (judge/draw.py): in 16 bits, whatever the training had.
        pictures = math.prod(config.resolution) / kind.unit_px
        return _mib(memory.base_gb + memory.text_gb + pictures * memory.checkpointed_gb)
    fit = fit or as_configured(config)
    config = fit.fitted(config)
    datasets = datasets_of(config)
    sizes = (min(fit.pictures_at_once, each.train_batch_size) * math.prod(each.resolution) for each in datasets)
    pictures = max(sizes) / kind.unit_px
    gb = memory.base_gb
    pictures_gb = pictures * (memory.checkpointed_gb if fit.checkpointing else memory.picture_gb)
    learns_text = any(config.effective_text_encoder_lrs) and fit.learns_text
    text_gb = memory.text_gb if learns_text or (captions_vary(config) and not fit.text_aside) else 0.0
    if config.mixed_precision == "no":
        gb, pictures_gb, text_gb = gb + memory.weights_gb, 2 * pictures_gb, 2 * text_gb
    learned_bytes = _LEARNED_BYTES + STATE_BYTES[config.optimizer_type]
    learned_gb = lora_size(kind.network, config).num_parameters * learned_bytes / 1e9
    return _mib(gb + pictures_gb + text_gb + learned_gb)


def _mib(gb: float) -> int:
    return math.floor(gb * _MIB_PER_GB * VRAM_SHARE)


def rungs_to_begin_on(config: TrainingConfig, kind: BaseKind) -> Iterator[Rung]:
    """Yield the rungs of the memory ladder that a run may begin on, each with less memory than the one before.

    The others are for a run that has learned something already. None where nothing is trained.
    """
    if config.evaluate_loras:
        return
    wanted = as_configured(config)
    reserves = replace(reserves_told(config), trains_unet=False)
    for fit, _ in ladder(replace(config, min_resolution=None), reserves):
        yield Rung(
            min_vram_mib=min_vram_mib(config, kind, fit),
            given_up=tuple(_given_up(wanted, fit)),
            slowdown=CHECKPOINTING if fit.checkpointing and not wanted.checkpointing else 1.0,
        )


def _given_up(wanted: Fit, fit: Fit) -> Iterator[str]:
    if fit.pictures_at_once != wanted.pictures_at_once:
        yield f"{fit.pictures_at_once} of {wanted.pictures_at_once} pictures at a time"
    if fit.checkpointing and not wanted.checkpointing:
        yield "gradient checkpointing"
    if fit.text_aside:
        yield "text encoders in RAM"
    if fit.is_8bit:
        yield "an 8-bit optimizer"
