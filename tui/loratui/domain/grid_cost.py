"""What a grid of test pictures takes: checkpoints x weights x seeds x prompts, on a GPU and at its price. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loratui.domain.base_kinds import SD1, SDXL, BaseKind
from loratui.domain.estimate_speeds import MeasuredSpeed, gpu_key, speed_of
from loratui.domain.estimate_work import NUM_INFERENCE_STEPS
from loratui.domain.ledger import microseconds, time_microusd
from loratui.domain.seen_before import slow_of, told_by

WEIGHTS = (0.5, 0.7, 0.8, 1.0)
NUM_SEEDS = 5
SHIPPED_GPU = "RTX 4090"
_SHIPPED_S: Mapping[str, tuple[float, float]] = {SD1.name: (1, 2), SDXL.name: (4, 6)}
"""Seconds a picture of ``unit_px``. Nobody has confirmed them: samples of a run of one's own take their place."""
_ELSEWHERE = 0.25
LOAD_S, SLOW_LOAD_S = 20, 60
"""Until a model is there to draw or to train with: assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What is drawn: every combination once."""

    num_checkpoints: int = 1
    num_weights: int = len(WEIGHTS)
    num_seeds: int = NUM_SEEDS
    num_prompts: int

    @property
    def num_pictures(self) -> int:
        """Return how many pictures that is."""
        return self.num_checkpoints * self.num_weights * self.num_seeds * self.num_prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredPicture:
    """How long a sample picture took in a run of ours. ``seconds``: brought to ``unit_px`` of its kind."""

    gpu: str
    kind: BaseKind
    seconds: float
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureTime:
    """Seconds a picture, likely and if it goes badly, and where that comes from."""

    likely_s: float
    slow_s: float
    source: str
    is_measured: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GridCost:
    """What a grid takes on a machine that is there already: its set-up is not in it."""

    num_pictures: int
    likely_s: int
    slow_s: int
    likely_microusd: int
    slow_microusd: int
    source: str


def picture_time(
    gpu: str,
    kind: BaseKind,
    pixels: int,
    pictures: Sequence[MeasuredPicture] = (),
    speeds: Sequence[MeasuredSpeed] = (),
    memory_gb_per_s: Mapping[str, float] | None = None,
) -> PictureTime:
    """Return how long a GPU draws at a picture.

    ``pictures`` and ``speeds`` are runs of one's own, the newest first. Without one on that GPU the shipped figure is
    taken, as much slower or faster as the GPU trains. For a base model without one, a denoising step takes what a
    picture of training takes.
    """
    size = pixels / kind.unit_px
    ours = [each for each in pictures if gpu_key(each.gpu) == gpu_key(gpu) and each.kind is kind]
    if ours:
        slow_s = max(ours[0].seconds, slow_of([each.seconds for each in ours], _ELSEWHERE))
        return PictureTime(
            likely_s=ours[0].seconds * size,
            slow_s=slow_s * size,
            source=told_by(ours[0].run, len(ours)),
            is_measured=True,
        )
    this = speed_of(gpu, kind, 1.0, speeds, memory_gb_per_s)
    if kind.name not in _SHIPPED_S:
        units = NUM_INFERENCE_STEPS * size
        source = "reckoned from the training: a denoising step as a picture"
        return PictureTime(likely_s=units / this.likely, slow_s=units / this.slow, source=source)
    low, high = _SHIPPED_S[kind.name]
    source = f"unconfirmed: {low:g} to {high:g} s a picture on an {SHIPPED_GPU}"
    ratio = slow_ratio = 1.0
    if gpu_key(gpu) != gpu_key(SHIPPED_GPU):
        theirs = speed_of(SHIPPED_GPU, kind, 1.0, speeds, memory_gb_per_s)
        ratio = theirs.likely / this.likely
        slow_ratio = max(ratio, theirs.slow / this.slow)
        source += f", scaled to {gpu} by how fast both train"
    return PictureTime(likely_s=low * size * ratio, slow_s=high * size * slow_ratio, source=source)


def grid_cost(grid: Grid, each: PictureTime, price_microusd_per_h: int = 0) -> GridCost:
    """Return what drawing it takes, and costs at a price an hour; 0: on a machine that costs nothing."""
    likely_s = math.ceil(LOAD_S + grid.num_pictures * each.likely_s)
    slow_s = math.ceil(SLOW_LOAD_S + grid.num_pictures * each.slow_s)
    return GridCost(
        num_pictures=grid.num_pictures,
        likely_s=likely_s,
        slow_s=slow_s,
        likely_microusd=time_microusd(price_microusd_per_h, microseconds(likely_s)),
        slow_microusd=time_microusd(price_microusd_per_h, microseconds(slow_s)),
        source=each.source,
    )
