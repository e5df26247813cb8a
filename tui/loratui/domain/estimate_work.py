"""What a run comes to as work for a machine: steps, pictures, bytes; from its config and plan alone. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from loratui.domain.base_kinds import FEATURE_BYTES, LARGE_FEATURE_BYTES, LARGEST, BaseKind, KnownFeatures
from loratui.domain.memory_need import CHECKPOINTING, Rung, min_vram_mib, rungs_to_begin_on
from loratui_protocol.config import TrainingConfig
from loratui_protocol.inputs import EnvironmentKind
from loratui_protocol.lora_size import lora_size
from loratui_protocol.plan import Plan
from loratui_protocol.subsets import datasets_of

NUM_INFERENCE_STEPS = 25
"""Denoising steps of a sample picture; two forward passes each, which take about what one unit takes."""
NUM_SHEET_PICTURES = 25
"""On the contact sheet, which is drawn in the end of every run with prompts: docs/decisions.md."""
PICTURE_BYTES_PER_PX = 600_000 / 512**2
"""Of a PNG, at most about."""
JPEG_BYTES_PER_PX = 0.4
"""Assumed, of a JPEG of quality 90."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What there is to compute for one run."""

    kind: BaseKind
    is_kind_known: bool = True
    """Else it is reckoned as ``kind``."""
    steps: int
    units_per_step: float
    """The work of one step, in pictures of ``kind.unit_px``, once forward and once backward."""
    num_pictures: int
    """To be encoded before the first step."""
    pixels: int
    """Of one picture."""
    num_sample_pictures: int = 0
    num_judged_pictures: int = 0
    """That the files are judged by in the end."""
    min_vram_mib: int = 0
    """Below it the run can't fit as configured."""
    rungs: tuple[Rung, ...] = ()
    """What it may give up to fit anyway, each with less memory than the one before."""

    @property
    def least_vram_mib(self) -> int:
        """Return the memory below which nothing helps."""
        return self.rungs[-1].min_vram_mib if self.rungs else self.min_vram_mib

    def given_up_on(self, vram_mib: int) -> Rung | None:
        """Return what it gives up on a GPU of so much memory; None: nothing, or nothing helps."""
        if vram_mib >= self.min_vram_mib:
            return None
        return next((rung for rung in self.rungs if vram_mib >= rung.min_vram_mib), None)

    @property
    def tries_out(self) -> bool:
        """Return whether pictures are drawn by files that are there, and nothing is trained."""
        return not self.steps and self.num_judged_pictures > 0

    @property
    def training_units(self) -> float:
        """Return the work of all steps, and of encoding every picture once, which takes less than a step."""
        return self.steps * self.units_per_step + self.num_pictures * self.pixels / self.kind.unit_px

    @property
    def picture_bytes(self) -> int:
        """Return what a sample picture takes as a file."""
        return math.ceil(self.pixels * PICTURE_BYTES_PER_PX)

    @property
    def judgement_bytes(self) -> int:
        """Return what the pictures that files are judged by take together: JPEGs, in one file."""
        return math.ceil(self.num_judged_pictures * self.pixels * JPEG_BYTES_PER_PX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A run as a machine sees it, or several, one after the other."""

    loads: tuple[Load, ...]
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
    features: tuple[KnownFeatures, ...] = ()
    """What it downloads to measure pictures with."""
    environment: EnvironmentKind = EnvironmentKind.OVERLAY

    @property
    def min_vram_mib(self) -> int:
        """Return the memory below which not all of it fits as configured."""
        return max(load.min_vram_mib for load in self.loads)

    @property
    def least_vram_mib(self) -> int:
        """Return the memory below which not all of it fits, whatever is given up."""
        return max(load.least_vram_mib for load in self.loads)

    def fitted(self, vram_mib: int) -> tuple["Work", tuple[str, ...]]:
        """Return the work as it is on a GPU of so much memory, and what is given up there; () where it fits whole."""
        rungs = [load.given_up_on(vram_mib) for load in self.loads]
        if not any(rungs):
            return self, ()
        loads = tuple(
            load if rung is None else replace(load, units_per_step=load.units_per_step * rung.slowdown)
            for load, rung in zip(self.loads, rungs, strict=True)
        )
        words = (word for rung in rungs if rung is not None for word in rung.given_up)
        return replace(self, loads=loads), tuple(dict.fromkeys(words))

    @property
    def model_bytes(self) -> tuple[int, int]:
        """Return what the machine downloads: likely, and if it is a large one."""
        if self.base_model_bytes is not None:
            return self.base_model_bytes, self.base_model_bytes
        kinds = [load.kind for load in self.loads]
        return max(kind.model_bytes for kind in kinds), max(kind.large_model_bytes for kind in kinds)

    @property
    def feature_bytes(self) -> tuple[int, int]:
        """Return what the machine downloads to measure with: likely, and if those of unknown size are large ones."""
        sizes = [each.num_bytes for each in self.features]
        likely = sum(FEATURE_BYTES if size is None else size for size in sizes)
        return likely, sum(LARGE_FEATURE_BYTES if size is None else size for size in sizes)

    @property
    def are_features_known(self) -> bool:
        """Return whether the sizes of all of these are known."""
        return all(each.num_bytes is not None for each in self.features)

    @property
    def last_bytes(self) -> int:
        """Return what is fetched once the training is over, if all that came before was fetched meanwhile."""
        last = [
            min(load.num_sample_pictures, NUM_SHEET_PICTURES) * load.picture_bytes + load.judgement_bytes
            for load in self.loads
        ]
        return self.file_bytes + max(last)

    @property
    def result_bytes(self) -> int:
        """Return all that leaves the machine."""
        pictures = sum(load.num_sample_pictures * load.picture_bytes + load.judgement_bytes for load in self.loads)
        return self.num_files * self.file_bytes + pictures


def work_of(
    config: TrainingConfig,
    plan: Plan,
    kind: BaseKind | None,
    *,
    upload_bytes: int,
    base_model_bytes: int | None,
    features: tuple[KnownFeatures, ...] = (),
    environment: EnvironmentKind = EnvironmentKind.OVERLAY,
    brings_states: bool = True,
) -> Work:
    """Return what a config with this plan comes to. ``kind`` is its base model's, None where nobody knows that.

    ``brings_states``: saved states are fetched, too.
    """
    reckoned = kind or LARGEST
    width, height = config.resolution
    num_samples = plan.num_sample_pictures + (NUM_SHEET_PICTURES if plan.draws_sheet else 0)
    learned = lora_size(reckoned.network, config)
    is_trained = not config.evaluate_loras
    load = Load(
        kind=reckoned,
        is_kind_known=kind is not None,
        steps=plan.steps,
        units_per_step=_average_step(config, plan, reckoned),
        num_pictures=plan.num_pictures + plan.num_reg_pictures,
        pixels=width * height,
        num_sample_pictures=num_samples,
        num_judged_pictures=plan.num_judged_pictures,
        min_vram_mib=min_vram_mib(config, reckoned),
        rungs=tuple(rungs_to_begin_on(config, reckoned)),
    )
    return Work(
        loads=(load,),
        num_files=len(plan.save_points) + is_trained,
        file_bytes=learned.file_bytes(config.save_precision) if is_trained else 0,
        state_bytes=learned.state_bytes if is_trained and brings_states else 0,
        num_states=None if plan.checkpoint_steps is None else len(plan.checkpoint_steps),
        upload_bytes=upload_bytes,
        base_model_bytes=base_model_bytes,
        features=features,
        environment=environment,
    )


def left(planned: Plan, step: int) -> Plan:
    """Return what of a plan is still to be done after ``step``, until it ends or stops for somebody to look."""
    states = planned.checkpoint_steps
    return replace(
        planned,
        steps=max(0, planned.stop_step - max(0, step)),
        save_points=tuple(point for point in planned.save_points if step < point.step <= planned.stop_step),
        sample_steps=tuple(each for each in planned.sample_steps if step < each <= planned.stop_step),
        checkpoint_steps=None if states is None else tuple(n for n in states if step < n <= planned.stop_step),
    )


def joined(works: Sequence[Work], num_models: int = 1) -> Work:
    """Return what several runs on one machine come to, one after the other: environment and models come once.

    ``num_models`` of them have base models of their own; of one whose size nobody knows, none is known.
    """
    if len(works) == 1:
        return works[0]
    states = [work.num_states for work in works if work.num_states is not None]
    models = [work.base_model_bytes for work in works]
    known = sorted((size for size in models if size is not None), reverse=True)
    return replace(
        works[0],
        loads=tuple(load for work in works for load in work.loads),
        num_files=sum(work.num_files for work in works),
        file_bytes=max(work.file_bytes for work in works),
        state_bytes=max(work.state_bytes for work in works),
        num_states=sum(states) if len(states) == len(works) else None,
        upload_bytes=sum(work.upload_bytes for work in works),
        base_model_bytes=None if None in models else sum(known[:num_models]),
        features=tuple({each.source: each for work in works for each in work.features}.values()),
    )


def units_per_step(config: TrainingConfig, kind: BaseKind) -> float | None:
    """Return the work of one step; None where datasets have steps of different sizes."""
    sizes = {_step_of_dataset(dataset, kind) for dataset in datasets_of(config)}
    return sizes.pop() if len(sizes) == 1 else None


def _average_step(config: TrainingConfig, plan: Plan, kind: BaseKind) -> float:
    """Return the work of one step, on average over the batches of an epoch."""
    sizes = [_step_of_dataset(dataset, kind) for dataset in datasets_of(config)]
    if not plan.batches_per_epoch:
        return 0.0
    return sum(sizes[use.dataset] * use.num_batches for use in plan.buckets) / plan.batches_per_epoch


def _step_of_dataset(config: TrainingConfig, kind: BaseKind) -> float:
    width, height = config.resolution
    pictures = config.train_batch_size * config.gradient_accumulation_steps
    return pictures * width * height / kind.unit_px * (CHECKPOINTING if config.gradient_checkpointing else 1)
