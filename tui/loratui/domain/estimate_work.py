"""What a run comes to as work for a machine: steps, pictures, bytes; from its config and plan alone. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from loratui_protocol.base_model import BUILTIN_PREFIX
from loratui_protocol.config import TrainingConfig
from loratui_protocol.inputs import EnvironmentKind
from loratui_protocol.plan import Plan
from loratui_protocol.subsets import datasets_of

UNIT_PX = 512 * 512
"""A unit of work is one Stable Diffusion 1.x picture of so many pixels, once forward and once backward."""
NUM_INFERENCE_STEPS = 25
"""Denoising steps of a sample picture; two forward passes each, which take about what one unit takes."""
NUM_SHEET_PICTURES = 25
"""On the contact sheet, which is drawn in the end of every run with prompts: docs/decisions.md."""
PICTURE_BYTES = 600_000
"""Of a PNG of 512 x 512, at most about."""
_FILE_BYTES_PER_RANK = 1_200_000
_STATE_BYTES_PER_RANK = 6 * _FILE_BYTES_PER_RANK
"""Weights and two moments of AdamW, all in 32 bits."""
_CHECKPOINTING = 4 / 3
"""What recomputing activations adds: docs/config.md."""
_MIB_PER_GB = 1000**3 / 2**20
_VRAM_BASE_GB, _VRAM_PICTURE_GB = 7, 1
_VRAM_TINY_GB = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A run as a machine sees it."""

    steps: int
    num_pictures: int
    """To be encoded before the first step."""
    pixels: int = UNIT_PX
    """Of one picture."""
    units_per_step: float
    """The work of one step."""
    num_sample_pictures: int = 0
    num_files: int = 1
    """LoRA files, those on the way included."""
    file_bytes: int = 40_000_000
    """Of one of them."""
    state_bytes: int = 0
    """Of a saved state, to go on from elsewhere; 0: none is fetched."""
    num_states: int | None = None
    """That are saved; None: by the clock."""
    upload_bytes: int
    """What this laptop sends: dataset, and the base model where that is here."""
    base_model_bytes: int | None = None
    """What the machine downloads; 0: nothing, None: nobody knows how much."""
    environment: EnvironmentKind = EnvironmentKind.OVERLAY
    min_vram_mib: int = 0
    """Below it the run can't fit."""

    @property
    def training_units(self) -> float:
        """Return the work of all steps, and of encoding every picture once, which takes less than a step."""
        return self.steps * self.units_per_step + self.num_pictures * self.pixels / UNIT_PX

    @property
    def sample_units(self) -> float:
        """Return the work of all sample pictures."""
        return self.num_sample_pictures * NUM_INFERENCE_STEPS * self.pixels / UNIT_PX

    @property
    def last_bytes(self) -> int:
        """Return what is fetched once the training is over, if all that came before was fetched meanwhile."""
        return self.file_bytes + min(self.num_sample_pictures, NUM_SHEET_PICTURES) * PICTURE_BYTES

    @property
    def result_bytes(self) -> int:
        """Return all that leaves the machine."""
        return self.num_files * self.file_bytes + self.num_sample_pictures * PICTURE_BYTES


def work_of(
    config: TrainingConfig,
    plan: Plan,
    *,
    upload_bytes: int,
    base_model_bytes: int | None,
    environment: EnvironmentKind = EnvironmentKind.OVERLAY,
    brings_states: bool = True,
) -> Work:
    """Return what a config with this plan comes to. ``brings_states``: saved states are fetched, too."""
    width, height = config.resolution
    num_samples = plan.num_sample_pictures + (NUM_SHEET_PICTURES if plan.draws_sheet else 0)
    precision = 2 if config.save_precision == "float" else 1
    return Work(
        steps=plan.steps,
        num_pictures=plan.num_pictures + plan.num_reg_pictures,
        pixels=width * height,
        units_per_step=_average_step(config, plan),
        num_sample_pictures=num_samples,
        num_files=len(plan.save_points) + 1,
        file_bytes=config.network_dim * _FILE_BYTES_PER_RANK * precision,
        state_bytes=config.network_dim * _STATE_BYTES_PER_RANK if brings_states else 0,
        num_states=None if plan.checkpoint_steps is None else len(plan.checkpoint_steps),
        upload_bytes=upload_bytes,
        base_model_bytes=base_model_bytes,
        environment=environment,
        min_vram_mib=min_vram_mib(config),
    )


def joined(works: Sequence[Work], num_models: int = 1) -> Work:
    """Return what several runs on one machine come to, one after the other: environment and base model come once.

    ``num_models`` of them have base models of their own; of one whose size nobody knows, none is known.
    """
    if len(works) == 1:
        return works[0]
    steps = sum(work.steps for work in works)
    states = [work.num_states for work in works if work.num_states is not None]
    models = [work.base_model_bytes for work in works]
    known = sorted((size for size in models if size is not None), reverse=True)
    return replace(
        works[0],
        steps=steps,
        num_pictures=sum(math.ceil(work.num_pictures * work.pixels / UNIT_PX) for work in works),
        pixels=UNIT_PX,
        units_per_step=sum(work.steps * work.units_per_step for work in works) / max(1, steps),
        num_sample_pictures=sum(math.ceil(work.num_sample_pictures * work.pixels / UNIT_PX) for work in works),
        num_files=sum(work.num_files for work in works),
        file_bytes=max(work.file_bytes for work in works),
        state_bytes=max(work.state_bytes for work in works),
        num_states=sum(states) if len(states) == len(works) else None,
        upload_bytes=sum(work.upload_bytes for work in works),
        base_model_bytes=None if None in models else sum(known[:num_models]),
        min_vram_mib=max(work.min_vram_mib for work in works),
    )


def units_per_step(config: TrainingConfig) -> float | None:
    """Return the work of one step; None where datasets have steps of different sizes."""
    sizes = {_step_of_dataset(dataset) for dataset in datasets_of(config)}
    return sizes.pop() if len(sizes) == 1 else None


def _average_step(config: TrainingConfig, plan: Plan) -> float:
    """Return the work of one step, on average over the batches of an epoch."""
    sizes = [_step_of_dataset(dataset) for dataset in datasets_of(config)]
    return sum(sizes[use.dataset] * use.num_batches for use in plan.buckets) / plan.batches_per_epoch


def _step_of_dataset(config: TrainingConfig) -> float:
    width, height = config.resolution
    pictures = config.train_batch_size * config.gradient_accumulation_steps
    return pictures * width * height / UNIT_PX * (_CHECKPOINTING if config.gradient_checkpointing else 1)


def min_vram_mib(config: TrainingConfig) -> int:
    """Return the memory below which a GPU is not worth trying, for Stable Diffusion 1.x.

    An assumption until the trainer's own figures are here: 7 GB, and 1 GB more for every picture of 512 x 512 in a
    micro-batch. It gives the 8 GB at batch 1 and the 11 GB at batch 4 that people report (kohya_ss #1730), in 16 bits;
    32 bits double what a picture takes, recomputing activations halves it. Cards keep a part for their driver, so a
    little less will do.
    """
    if config.pretrained_model_name_or_path.startswith(BUILTIN_PREFIX):
        return int(_VRAM_TINY_GB * _MIB_PER_GB)
    pictures = max(each.train_batch_size * math.prod(each.resolution) for each in datasets_of(config)) / UNIT_PX
    if config.gradient_checkpointing:
        pictures /= 2
    if config.mixed_precision == "no":
        pictures *= 2
    return math.floor((_VRAM_BASE_GB + _VRAM_PICTURE_GB * pictures) * _MIB_PER_GB * VRAM_SHARE)


VRAM_SHARE = 0.93
"""Cards of 24 GB say 24 564 MiB, or less: what the driver keeps is not theirs to give."""
