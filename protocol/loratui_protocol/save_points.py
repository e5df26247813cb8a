"""The LoRA files that a run writes on its way: when, under which names, and which of them stay."""

from collections.abc import Sequence
from dataclasses import dataclass

from loratui_protocol.config import TrainingConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SavePoint:
    """A LoRA file that is written on the way, after ``step``; ``name`` without ``.safetensors``."""

    step: int
    name: str
    epoch: int = 0
    """That it is the end of, counted from 1; 0: it is a file of ``save_every_n_steps``."""


def save_points(config: TrainingConfig, steps: int, steps_per_epoch: int, epochs: int) -> tuple[SavePoint, ...]:
    """Return the files on the way under sd-scripts' names; the last epoch's is the final file itself."""
    points = []
    if every := config.save_every_n_epochs:
        points += [
            SavePoint(step=epoch * steps_per_epoch, name=f"{config.output_name}-{epoch:06d}", epoch=epoch)
            for epoch in range(every, epochs, every)
        ]
    if every := config.save_every_n_steps:
        points += [
            SavePoint(step=step, name=f"{config.output_name}-step{step:08d}") for step in range(every, steps + 1, every)
        ]
    return tuple(sorted(points, key=lambda point: (point.step, point.name)))


def superseded(config: TrainingConfig, saved: Sequence[SavePoint]) -> list[SavePoint]:
    """Return which of the files so far, oldest first, need not stay now that the last one is complete.

    As in sd-scripts files by epoch are counted and files by step measured in steps, each kind by itself; a file of
    ``keep_every_n_epochs`` or ``keep_every_n_steps`` stays.
    """
    by_epoch = [point for point in saved if point.epoch]
    by_step = [point for point in saved if not point.epoch]
    found: list[SavePoint] = []
    if config.save_last_n_epochs is not None:
        stays = config.keep_every_n_epochs
        old = by_epoch[: -config.save_last_n_epochs]
        found += [point for point in old if not stays or point.epoch % stays]
    if config.save_last_n_steps is not None and by_step:
        stays = config.keep_every_n_steps
        first = by_step[-1].step - config.save_last_n_steps
        found += [point for point in by_step if point.step < first and (not stays or point.step % stays)]
    return found


def most_at_once(config: TrainingConfig, points: Sequence[SavePoint]) -> int:
    """Return how many of them lie on the disk together at most: a new one is complete before an old one goes."""
    kept = len(points) - len(superseded(config, points))
    return min(len(points), kept + 1 + config.keep_best)
