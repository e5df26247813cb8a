"""How a run fits the memory of its device: what it may give up, in which order, and what it has given up.

The first rungs change how a step is computed and not what is learned: the pictures of a micro-batch go through the
UNet in parts, activations are computed twice, frozen text encoders wait in RAM. Only then does anything else go.
"""

import importlib.machinery
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import torch

from loratui_agent.files import write_json
from loratui_agent.train.job import Job
from loratui_protocol.config import TrainingConfig
from loratui_protocol.optimizers import IN_8BIT, misfits
from loratui_protocol.subsets import datasets_of

FIT_FILE = "fit.json"
_LOWER = 7 / 8
"""What a side of ``resolution`` becomes when nothing else is left to give up."""


class AgainError(Exception):
    """This attempt ends, and another one goes on from the last state in the way that ``keep_fit`` has kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a run uses memory, from the start or from some step on."""

    pictures_at_once: int
    """Pictures that go through the UNet together; a micro-batch of more is taken in parts."""
    checkpointing: bool
    text_aside: bool = False
    """Whether frozen text encoders wait in RAM and encode the captions of many steps at once."""
    learns_text: bool = True
    """Whether the text encoders that the config trains still learn; if not they keep what they have learned."""
    is_8bit: bool = False
    """Whether the optimizer's averages have 8 bits, though the config does not say so."""
    resolution: tuple[int, int] | None = None
    """What the pictures are resized to instead of the config's ``resolution``."""

    def fitted(self, config: TrainingConfig) -> TrainingConfig:
        """Return the config as it is trained."""
        if self.resolution is not None:
            config = replace(config, resolution=self.resolution)
        if self.is_8bit:
            config = replace(config, optimizer_type=IN_8BIT[config.optimizer_type])
        return config


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserves:
    """What a run could still do without."""

    captions_vary: bool
    """Whether frozen text encoders are needed at every step."""
    trains_text: bool
    trains_unet: bool
    optimizer_8bit: bool

    def has_text_on_device(self, fit: Fit) -> bool:
        """Return whether frozen text encoders lie on the device for every step's sake."""
        return self.captions_vary and not (self.trains_text and fit.learns_text) and not fit.text_aside


def fit_of(job: Job) -> Fit:
    """Return how the job fits so far: as configured, or as an earlier attempt found out."""
    try:
        kept = json.loads((job.folder / FIT_FILE).read_text("utf-8"))
    except FileNotFoundError:
        largest = max(dataset.train_batch_size for dataset in datasets_of(job.config))
        return Fit(pictures_at_once=largest, checkpointing=job.config.gradient_checkpointing)
    resolution = kept.pop("resolution")
    return Fit(**kept, resolution=resolution and (resolution[0], resolution[1]))


def keep_fit(job: Job, fit: Fit) -> None:
    """Leave to the next attempt how the job fits."""
    write_json(job.folder / FIT_FILE, asdict(fit))


def reserves_of(config: TrainingConfig, *, captions_vary: bool, trains_text: bool, trains_unet: bool) -> Reserves:
    """Return what a run could do without."""
    name = IN_8BIT.get(config.optimizer_type)
    return Reserves(
        captions_vary=captions_vary,
        trains_text=trains_text,
        trains_unet=trains_unet,
        optimizer_8bit=name is not None
        and not misfits(name, config.optimizer_args)
        and torch.cuda.is_available()
        and _is_installed("bitsandbytes"),
    )


def step_down(job: Job, config: TrainingConfig, fit: Fit, reserves: Reserves) -> str:
    """Keep the next rung for another attempt and return a sentence about it; empty: there is none left."""
    for lower, sentence in rungs(config, fit, reserves):
        keep_fit(job, lower)
        return sentence
    return ""


def rungs(config: TrainingConfig, fit: Fit, reserves: Reserves) -> Iterator[tuple[Fit, str]]:
    """Yield all that may be given up in the middle of a run, the next first, each with a sentence about it."""
    if fit.pictures_at_once > 1:
        fewer = -(-fit.pictures_at_once // 2)
        yield (
            replace(fit, pictures_at_once=fewer),
            f"{fewer} at a time of a micro-batch's pictures instead of {fit.pictures_at_once}: slower, the effective "
            "batch stays what it was",
        )
    if not fit.checkpointing:
        yield replace(fit, checkpointing=True), "gradient checkpointing: about a third more time, the same result"
    if reserves.has_text_on_device(fit):
        yield (
            replace(fit, text_aside=True),
            "the text encoders wait in RAM and encode many steps' captions at once: a little slower, the same result",
        )
    if reserves.trains_text and reserves.trains_unet and fit.learns_text:
        yield (
            replace(fit, learns_text=False),
            "the text encoders learn no more and keep what they have learned; the UNet goes on",
        )
    if reserves.optimizer_8bit and not fit.is_8bit:
        name = IN_8BIT[config.optimizer_type]
        yield replace(fit, is_8bit=True), f"{name} instead of {config.optimizer_type}: its averages begin anew"
    least = config.min_resolution
    if least is not None:
        width, height = fit.resolution or config.resolution
        lower = (_lowered(width, config.bucket_reso_steps), _lowered(height, config.bucket_reso_steps))
        if min(lower) >= least:
            yield (
                replace(fit, resolution=lower),
                f"{lower[0]}x{lower[1]} pixels instead of {width}x{height}, as min_resolution allows",
            )


def _is_installed(module: str) -> bool:
    # Looked for where it would lie: it is blocked until it is chosen, and whether it works is found out then.
    return importlib.machinery.PathFinder.find_spec(module) is not None


def _lowered(side: int, step: int) -> int:
    return int(side * _LOWER) // step * step
