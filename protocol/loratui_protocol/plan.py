"""What a run will do, known before it starts: steps, epochs, buckets, files, samples, and what each step shows.

The counts are sd-scripts': an epoch shows every picture as often as its folder repeats it, batches never mix
buckets, the last batch of a bucket may be short, and the last step of an epoch may accumulate fewer batches.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from loratui_protocol.buckets import Bucket, Placement
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import Picture
from loratui_protocol.effective_lr import effective_lrs, planned_rates
from loratui_protocol.findings import Finding
from loratui_protocol.held_out import HeldOut, validation_steps
from loratui_protocol.optimizers import sets_own_rate
from loratui_protocol.schedule import Exposure, Layout, Schedule

_MUCH_CROPPED = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketUse:
    """How much of an epoch happens in one bucket."""

    bucket: Bucket
    num_pictures: int
    """That are trained on."""
    num_exposures: int
    num_batches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SavePoint:
    """A LoRA file that is written on the way, after ``step``; ``name`` without ``.safetensors``."""

    step: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run in numbers. Steps count from 1; exposures and batches are those of one epoch."""

    num_pictures: int
    num_reg_pictures: int
    held_out: HeldOut
    validation_steps: tuple[int, ...]
    """Steps after which the pictures that are held out are looked at; 0 is before the first."""
    num_exposures: int
    """Training pictures shown in an epoch: the sum of their repeats."""
    num_reg_exposures: int
    batches_per_epoch: int
    steps_per_epoch: int
    epochs: int
    steps: int
    effective_batch: int
    exposures_per_picture: float
    """How often a training picture is shown in the whole run, on average."""
    effective_lr: dict[str, float]
    """Highest learning rate x alpha / rank of each model that learns; empty: the optimizer sets its rate itself."""
    save_points: tuple[SavePoint, ...]
    sample_steps: tuple[int, ...]
    """Steps after which samples are made; 0 is before the first."""
    checkpoint_steps: tuple[int, ...] | None
    """Steps after which the full state is saved; None: by the clock."""
    buckets: tuple[BucketUse, ...]
    placements: tuple[Placement, ...]
    """One for each picture, in their order."""
    findings: tuple[Finding, ...]

    def epoch_of(self, step: int) -> int:
        """Return the epoch of a step, both counted from 1."""
        return (step - 1) // self.steps_per_epoch + 1


def plan(config: TrainingConfig, pictures: Sequence[Picture]) -> Plan:
    """Return what the config will do with these pictures.

    Raises:
        ConfigError: the resolution and the bucket settings leave no possible size.
        DatasetError: there is no picture to train on.
    """
    layout = Layout(config, pictures)
    shown = Counter(layout.exposures)
    num_reg_exposures = sum(count for index, count in shown.items() if pictures[index].is_reg)
    num_exposures = len(layout.exposures) - num_reg_exposures
    steps_per_epoch = layout.steps_per_epoch
    steps = layout.num_steps
    epochs = -(-steps // steps_per_epoch)
    num_reg = sum(picture.is_reg for picture in pictures)
    num_held = len(layout.held_out.indices)
    num_pictures = len(pictures) - num_reg - num_held
    return Plan(
        num_pictures=num_pictures,
        num_reg_pictures=num_reg,
        held_out=layout.held_out,
        validation_steps=validation_steps(config, layout.held_out, steps, steps_per_epoch),
        num_exposures=num_exposures,
        num_reg_exposures=num_reg_exposures,
        batches_per_epoch=layout.batches_per_epoch,
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        steps=steps,
        effective_batch=config.train_batch_size * config.gradient_accumulation_steps,
        exposures_per_picture=num_exposures * steps / steps_per_epoch / num_pictures,
        effective_lr=(
            {}
            if sets_own_rate(config.optimizer_type, config.optimizer_args)
            else effective_lrs(config, planned_rates(config))
        ),
        save_points=_save_points(config, steps, steps_per_epoch, epochs),
        sample_steps=_sample_steps(config, steps, steps_per_epoch),
        checkpoint_steps=(
            tuple(range(config.checkpoint_every_n_steps, steps + 1, config.checkpoint_every_n_steps))
            if config.checkpoint_every_n_steps
            else None
        ),
        buckets=tuple(
            BucketUse(
                bucket=bucket,
                num_pictures=len(set(members)),
                num_exposures=len(members),
                num_batches=-(-len(members) // config.train_batch_size),
            )
            for bucket, members in layout.members.items()
        ),
        placements=layout.placements,
        findings=tuple(_findings(config, pictures, layout, shown)),
    )


def _save_points(config: TrainingConfig, steps: int, steps_per_epoch: int, epochs: int) -> tuple[SavePoint, ...]:
    """Return the files on the way under sd-scripts' names; the last epoch's is the final file itself."""
    points = []
    if every := config.save_every_n_epochs:
        points += [
            SavePoint(step=epoch * steps_per_epoch, name=f"{config.output_name}-{epoch:06d}")
            for epoch in range(every, epochs, every)
        ]
    if every := config.save_every_n_steps:
        points += [
            SavePoint(step=step, name=f"{config.output_name}-step{step:08d}") for step in range(every, steps + 1, every)
        ]
    return tuple(sorted(points, key=lambda point: (point.step, point.name)))


def _sample_steps(config: TrainingConfig, steps: int, steps_per_epoch: int) -> tuple[int, ...]:
    if not config.sample_prompts:
        return ()
    at = {0} if config.sample_at_first else set()
    if every := config.sample_every_n_steps:
        at |= set(range(every, steps + 1, every))
    if every := config.sample_every_n_epochs:
        at |= set(range(every * steps_per_epoch, steps + 1, every * steps_per_epoch))
    return tuple(sorted(at))


def _findings(
    config: TrainingConfig, pictures: Sequence[Picture], layout: Layout, shown: Counter[int]
) -> list[Finding]:
    findings = [] if layout.held_out.finding is None else [layout.held_out.finding]
    unseen = set(layout.held_out.indices)
    unused = [picture for index, picture in enumerate(pictures) if not shown[index] and index not in unseen]
    if unused:
        findings.append(
            Finding(
                code="plan.reg_unused",
                severity="warning",
                what=f"{len(unused)} regularisation pictures are never shown: an epoch shows as many exposures of them "
                "as of training pictures, as in sd-scripts",
                fix="remove some, or raise the repeats of the training folders",
                path=str(unused[0].path),
            )
        )
    cropped = [placement.cropped_share for placement in layout.placements]
    worst = max(range(len(cropped)), key=cropped.__getitem__)
    if cropped[worst] > _MUCH_CROPPED:
        width, height = layout.placements[worst].bucket
        findings.append(
            Finding(
                code="plan.cropped",
                severity="warning",
                what=f"{sum(share > _MUCH_CROPPED for share in cropped)} pictures lose more than {_MUCH_CROPPED:.0%} "
                f"to cropping; {pictures[worst].name} loses {cropped[worst]:.0%} at {width}x{height}",
                fix="crop them yourself, enable buckets, or widen min_bucket_reso and max_bucket_reso",
                path=str(pictures[worst].path),
            )
        )
    short = sum(len(members) % config.train_batch_size > 0 for members in layout.members.values())
    if short > 1:
        findings.append(
            Finding(
                code="plan.short_batches",
                severity="info",
                what=f"{short} of {layout.batches_per_epoch} batches of an epoch are short: pictures of different "
                "buckets never share a batch",
                fix="raise bucket_reso_steps for fewer buckets, or crop pictures to common proportions",
            )
        )
    return findings


__all__ = ["BucketUse", "Exposure", "Plan", "SavePoint", "Schedule", "plan"]
