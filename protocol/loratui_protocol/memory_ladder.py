"""What a training may give up to fit its device, in which order, and in which words.

The trainer takes these rungs on the machine, and the client tells them before one is rented. The first ones change how
a step is computed and not what is learned: the pictures of a micro-batch go through the UNet in parts, activations are
computed twice, frozen text encoders wait in RAM. Only then does anything else go.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from loratui_protocol.captions import captions_vary
from loratui_protocol.config import TrainingConfig
from loratui_protocol.optimizers import IN_8BIT, misfits
from loratui_protocol.subsets import datasets_of

_LOWER = 7 / 8
"""What a side of ``resolution`` becomes when nothing else is left to give up."""


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


def as_configured(config: TrainingConfig) -> Fit:
    """Return how a config wants to use memory: with nothing given up."""
    largest = max(dataset.train_batch_size for dataset in datasets_of(config))
    return Fit(pictures_at_once=largest, checkpointing=config.gradient_checkpointing)


def reserves_of(config: TrainingConfig, *, trains_text: bool, trains_unet: bool, has_8bit: bool) -> Reserves:
    """Return what a run could do without; ``has_8bit``: the machine has what 8-bit optimizers come from."""
    name = IN_8BIT.get(config.optimizer_type)
    return Reserves(
        captions_vary=captions_vary(config),
        trains_text=trains_text,
        trains_unet=trains_unet,
        optimizer_8bit=name is not None and not misfits(name, config.optimizer_args) and has_8bit,
    )


def reserves_told(config: TrainingConfig, *, has_8bit: bool = True) -> Reserves:
    """Return what a run could do without, as its config alone tells it."""
    return reserves_of(
        config,
        trains_text=any(config.effective_text_encoder_lrs),
        trains_unet=config.effective_unet_lr > 0,
        has_8bit=has_8bit,
    )


def rungs(config: TrainingConfig, fit: Fit, reserves: Reserves) -> Iterator[tuple[Fit, str]]:
    """Yield all that may be given up in the middle of a run, the next first, each with a sentence about it."""
    if fit.pictures_at_once > 1:
        most, fewer = fit.pictures_at_once, -(-fit.pictures_at_once // 2)
        yield (
            replace(fit, pictures_at_once=fewer),
            f"a micro-batch's pictures {fewer} at a time instead of {most}: slower, the effective batch stays the same",
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


def ladder(config: TrainingConfig, reserves: Reserves) -> list[tuple[Fit, str]]:
    """Return all rungs of a config from what it wants down to the last, each with what it takes beyond the one above.

    The trainer looks before the first step whether the config fits, and takes as many as it needs at once.
    """
    fit, taken = as_configured(config), list[tuple[Fit, str]]()
    while lower := next(rungs(config, fit, reserves), None):
        taken.append(lower)
        fit = lower[0]
    return taken


def _lowered(side: int, step: int) -> int:
    return int(side * _LOWER) // step * step
