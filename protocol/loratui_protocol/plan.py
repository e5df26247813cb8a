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
from loratui_protocol.findings import Finding, plural, with_paths
from loratui_protocol.held_out import HeldOut, validation_steps
from loratui_protocol.judging.planning import planned_grid
from loratui_protocol.optimizers import sets_own_rate
from loratui_protocol.sample_prompts import Prompts, prompts_of
from loratui_protocol.save_points import SavePoint, save_points
from loratui_protocol.schedule import Exposure, Layout, Schedule

_MUCH_CROPPED = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketUse:
    """How much of an epoch happens in one bucket of a dataset."""

    bucket: Bucket
    dataset: int = 0
    """Index of the dataset."""
    num_pictures: int
    """That are trained on."""
    num_exposures: int
    num_batches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run in numbers. Steps count from 1; exposures and batches are those of one epoch."""

    num_pictures: int
    """That are trained on; a file at two resolutions counts twice."""
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
    stop_step: int
    """After which it ends: the last one, unless ``stop_at_epoch`` comes before."""
    effective_batch: int
    """Pictures in a step, at most."""
    exposures_per_picture: float
    """How often a training picture is shown in the whole run, on average."""
    effective_lr: dict[str, float]
    """Highest learning rate x alpha / rank of each model that learns; empty: the optimizer sets its rate itself."""
    save_points: tuple[SavePoint, ...]
    samples: Prompts
    sample_steps: tuple[int, ...]
    """Steps after which samples are made; 0 is before the first."""
    num_judged_pictures: int
    """Pictures that the LoRA files are judged by in the end."""
    checkpoint_steps: tuple[int, ...] | None
    """Steps after which the full state is saved; None: by the clock."""
    buckets: tuple[BucketUse, ...]
    placements: tuple[Placement, ...]
    """One for each picture, in their order."""
    findings: tuple[Finding, ...]

    @property
    def num_sample_pictures(self) -> int:
        """Return how many samples are made: of each prompt one a time, and once one without the LoRA."""
        return len(self.samples.prompts) * (len(self.sample_steps) + 1) if self.sample_steps else 0

    @property
    def draws_sheet(self) -> bool:
        """Return whether pictures are wanted at all: then there is a contact sheet, too."""
        return bool(self.samples.prompts) and (not self.samples.told or bool(self.sample_steps))

    def epoch_of(self, step: int) -> int:
        """Return the epoch of a step, both counted from 1."""
        return (step - 1) // self.steps_per_epoch + 1


def plan(config: TrainingConfig, pictures: Sequence[Picture]) -> Plan:
    """Return what the config will do with these pictures; where it judges files alone, nothing is trained on them.

    Raises:
        ConfigError: the resolution and the bucket settings leave no possible size.
        DatasetError: there is no picture to train on.
    """
    if config.evaluate_loras:
        return _judging(config, pictures)
    layout = Layout(config, pictures)
    shown = Counter(layout.exposures)
    num_reg_exposures = sum(count for index, count in shown.items() if pictures[index].is_reg)
    num_exposures = len(layout.exposures) - num_reg_exposures
    steps_per_epoch = layout.steps_per_epoch
    steps = layout.num_steps
    epochs = -(-steps // steps_per_epoch)
    stop_step = min(steps, (config.stop_at_epoch or epochs) * steps_per_epoch)
    num_reg = sum(picture.is_reg for picture in pictures)
    num_held = len(layout.held_out.indices)
    num_pictures = len(pictures) - num_reg - num_held
    points = save_points(config, steps, steps_per_epoch, epochs)
    samples = prompts_of(config, pictures)
    grid = planned_grid(config, pictures, points, steps)
    looks = validation_steps(
        config, layout.held_out, steps, steps_per_epoch, [point.step for point in points] if config.keep_best else []
    )
    return Plan(
        num_pictures=num_pictures,
        num_reg_pictures=num_reg,
        held_out=layout.held_out,
        validation_steps=tuple(sorted({*looks, stop_step})) if looks else (),
        num_exposures=num_exposures,
        num_reg_exposures=num_reg_exposures,
        batches_per_epoch=layout.batches_per_epoch,
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        steps=steps,
        stop_step=stop_step,
        effective_batch=max(layout.batch_sizes) * config.gradient_accumulation_steps,
        exposures_per_picture=num_exposures * steps / steps_per_epoch / num_pictures,
        save_points=points,
        samples=samples,
        num_judged_pictures=grid.num_pictures if grid and stop_step == steps else 0,
        sample_steps=_sample_steps(config, steps, steps_per_epoch, stop_step) if samples.prompts else (),
        effective_lr=(
            {}
            if sets_own_rate(config.optimizer_type, config.optimizer_args)
            else effective_lrs(config, planned_rates(config))
        ),
        checkpoint_steps=(
            tuple(range(config.checkpoint_every_n_steps, steps + 1, config.checkpoint_every_n_steps))
            if config.checkpoint_every_n_steps
            else None
        ),
        buckets=tuple(
            BucketUse(
                bucket=group.bucket,
                dataset=group.dataset,
                num_pictures=len(set(members)),
                num_exposures=len(members),
                num_batches=layout.num_batches(group),
            )
            for group, members in layout.members.items()
        ),
        placements=layout.placements,
        findings=(*_findings(config, pictures, layout, shown), *samples.findings),
    )


def _judging(config: TrainingConfig, pictures: Sequence[Picture]) -> Plan:
    grid = planned_grid(config, pictures, (), 0)
    num_reg = sum(picture.is_reg for picture in pictures)
    return Plan(
        num_pictures=len(pictures) - num_reg,
        num_reg_pictures=num_reg,
        held_out=HeldOut(),
        validation_steps=(),
        num_exposures=0,
        num_reg_exposures=0,
        batches_per_epoch=0,
        steps_per_epoch=0,
        epochs=0,
        steps=0,
        stop_step=0,
        effective_batch=0,
        exposures_per_picture=0,
        effective_lr={},
        save_points=(),
        samples=Prompts(),
        num_judged_pictures=grid.num_pictures if grid else 0,
        sample_steps=(),
        checkpoint_steps=(),
        buckets=(),
        placements=(),
        findings=(),
    )


def _sample_steps(config: TrainingConfig, steps: int, steps_per_epoch: int, stop_step: int) -> tuple[int, ...]:
    at = {0} if config.sample_at_first else set()
    if stop_step < steps:
        # It stops for somebody to look.
        at.add(stop_step)
    if every := config.sample_every_n_steps:
        at |= set(range(every, steps + 1, every))
    if every := config.sample_every_n_epochs:
        at |= set(range(every * steps_per_epoch, steps + 1, every * steps_per_epoch))
    return tuple(sorted(at))


def _findings(
    config: TrainingConfig, pictures: Sequence[Picture], layout: Layout, shown: Counter[int]
) -> list[Finding]:
    findings = [*layout.held_out.findings]
    if config.keep_best and not layout.held_out.indices:
        findings.append(
            Finding(
                code="plan.no_best",
                severity="warning",
                what="keep_best has no effect: no pictures are held out to judge the files by",
                fix="add pictures, set validation_split, or remove keep_best",
            )
        )
    unseen = set(layout.held_out.indices)
    unused = [picture for index, picture in enumerate(pictures) if not shown[index] and index not in unseen]
    if unused:
        findings.append(
            with_paths(
                Finding(
                    code="plan.reg_unused",
                    severity="warning",
                    what=f"{plural(len(unused), 'regularisation picture', 'is', 'are')} never shown: an epoch shows as "
                    "many exposures of them as of training pictures, as in sd-scripts",
                    fix="remove some, or raise the repeats of the training folders",
                    path=str(unused[0].path),
                ),
                [each.name for each in unused],
            )
        )
    cropped = [placement.cropped_share for placement in layout.placements]
    worst = max(range(len(cropped)), key=cropped.__getitem__)
    if cropped[worst] > _MUCH_CROPPED:
        width, height = layout.placements[worst].bucket
        much = [each.name for each, share in zip(pictures, cropped, strict=True) if share > _MUCH_CROPPED]
        findings.append(
            with_paths(
                Finding(
                    code="plan.cropped",
                    severity="warning",
                    what=f"{plural(len(much), 'picture', 'loses', 'lose')} more than {_MUCH_CROPPED:.0%} "
                    f"to cropping; {pictures[worst].name} loses {cropped[worst]:.0%} at {width}x{height}",
                    fix="crop them yourself, enable buckets, or widen min_bucket_reso and max_bucket_reso",
                    path=str(pictures[worst].path),
                ),
                much,
            )
        )
    short = sum(len(members) % layout.batch_sizes[group.dataset] > 0 for group, members in layout.members.items())
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
