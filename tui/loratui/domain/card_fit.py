"""On which sizes of GPUs a training fits, by our own model of its memory: as it is, with less, or rewritten. Pure."""

from dataclasses import dataclass, replace

from loratui.domain.base_kinds import BaseKind
from loratui.domain.memory_need import min_vram_mib, rungs_to_begin_on
from loratui_protocol.config import TrainingConfig

CARDS_GIB = (8, 12, 16, 24, 32, 48, 80)
"""Of GPUs that are rented."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFit:
    """A GPU of ``vram_mib``, and a training on it."""

    vram_mib: int
    spare_mib: int
    """As configured; below zero: so much is missing."""
    given_up: tuple[str, ...] = ()
    """What makes it fit where it does not as configured; empty: it does, or nothing helps."""
    spare_then_mib: int | None = None
    """With that given up; None: it fits anyway, or nothing helps."""

    @property
    def fits(self) -> bool:
        """Return whether it fits as configured."""
        return self.spare_mib >= 0


def card_fit(config: TrainingConfig, kind: BaseKind, vram_mib: int) -> CardFit:
    """Return how a training fits a GPU from its first step on, where what is learned must not change."""
    spare = vram_mib - min_vram_mib(config, kind)
    if spare >= 0:
        return CardFit(vram_mib=vram_mib, spare_mib=spare)
    for rung in rungs_to_begin_on(config, kind):
        left = vram_mib - rung.min_vram_mib
        if left >= 0:
            return CardFit(vram_mib=vram_mib, spare_mib=spare, given_up=rung.given_up, spare_then_mib=left)
    return CardFit(vram_mib=vram_mib, spare_mib=spare)


def cards(config: TrainingConfig, kind: BaseKind) -> list[CardFit]:
    """Return how it fits each size of GPU."""
    return [card_fit(config, kind, gib * 1024) for gib in CARDS_GIB]


def fitted(config: TrainingConfig, kind: BaseKind, vram_mib: int) -> TrainingConfig:
    """Return the config as it is best written for a GPU: the first of these that is small enough, else the smallest.

    The pictures of a step stay as many. Smaller micro-batches come before checkpointing, which takes a third more time.
    A config with ``[[datasets]]`` only gets or loses the checkpointing: these have batches of their own.
    """
    written = _written(config)
    return next((each for each in written if min_vram_mib(each, kind) <= vram_mib), written[-1])


def least_gb(config: TrainingConfig, kind: BaseKind) -> int | None:
    """Return the memory of the smallest GPU that the config can be written for, None if there is none so large."""
    needed_mib = min_vram_mib(_written(config)[-1], kind)
    return next((gb for gb in CARDS_GIB if gb * 1024 >= needed_mib), None)


def _written(config: TrainingConfig) -> list[TrainingConfig]:
    """Return how a config can be written to compute the same, the preferred first; the last needs the least memory."""
    wanted = config.train_batch_size * config.gradient_accumulation_steps
    micro_batches = [config.train_batch_size]
    if not config.datasets:
        micro_batches = [size for size in range(wanted, 0, -1) if wanted % size == 0]
    return [
        replace(
            config,
            gradient_checkpointing=is_checkpointed,
            train_batch_size=size,
            gradient_accumulation_steps=config.gradient_accumulation_steps if config.datasets else wanted // size,
        )
        for is_checkpointed in (False, True)
        for size in micro_batches
    ]
