"""Folders and their repeats: how often each picture is shown, what outweighs what, and whether there are enough."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loratui.preflight.exposures import exposure_findings
from loratui.preflight.naming import first
from loratui.preflight.trained_folders import TrainedFolder
from loratui.preflight.untrained import untrained_findings
from loratui_protocol.base_model import BUILTIN_PREFIX
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import Picture
from loratui_protocol.dataset_folders import repeats_of
from loratui_protocol.findings import Finding, plural, with_paths
from loratui_protocol.harmless import clean
from loratui_protocol.plan import Plan
from loratui_protocol.schedule import Layout
from loratui_protocol.subsets import datasets_of

_FEW = 15
_SIZES = (
    (20, 40, "something simple, as a face or a plain style"),
    (40, 80, "something of medium difficulty, as an outfit or a rich style"),
    (80, 150, "something complex"),
)
_MANY = 150
_MANY_REPEATS = 200
_UNBALANCED = 5
_ADDED = 10
_REPEATS = 10


def folder_findings(
    pictures: Sequence[Picture],
    folders: Sequence[TrainedFolder],
    config: TrainingConfig,
    plan: Plan | None,
    checked: Path,
) -> Iterator[Finding]:
    """Yield what there is to say of folders and counts; without a plan nothing about a whole run.

    ``checked`` as in ``look_at_captions``.
    """
    yield from untrained_findings(folders)
    yield from _layout(folders, config, plan, checked)
    if all(picture.is_reg for picture in pictures):
        return
    yield from _count(pictures, config, plan)
    shown = _shown(pictures, folders, config)
    yield from _exposures(shown, plan)
    if plan is not None and not config.pretrained_model_name_or_path.startswith(BUILTIN_PREFIX):
        yield from exposure_findings(_looks(shown, plan), config, plan)
    yield from _balance(shown)
    yield from _regularisation(shown)
    if plan is not None:
        yield from _small_buckets(pictures, config, plan)


def _after_numbering(config: TrainingConfig, plan: Plan | None) -> str:
    """Return what repeats do to a run, whose length is set already."""
    if plan is None:
        return f"an epoch then shows each {_REPEATS} times, so train a {_REPEATS}th of the epochs"
    if config.max_train_epochs is None:
        return f"max_train_steps still ends the run after {plan.steps:,}"
    epochs = max(1, round(config.max_train_epochs / _REPEATS))
    return (
        f"then divide max_train_epochs by {_REPEATS}, to {epochs}: as it is, "
        f"the run would go from {plan.steps:,} steps to about {_REPEATS * plan.steps:,}"
    )


def _layout(
    folders: Sequence[TrainedFolder], config: TrainingConfig, plan: Plan | None, checked: Path
) -> Iterator[Finding]:
    """Yield folders without a number, and numbers that are no repeats."""
    if config.datasets:
        return
    for folder in folders:
        named = repeats_of(folder.path.name)
        root = Path((config.reg_data_dir if folder.is_reg else config.train_data_dir) or "")
        if named is None:
            yield Finding(
                code="dataset.flat",
                severity="info",
                what=f"{clean(folder.path.name)} is a flat folder: an epoch shows each of its "
                f"{plural(len(folder.told), 'picture')} once, and one without a caption has none; "
                "sd-scripts reads only folders as 10_zorbix",
                fix=f"nothing is needed here; for sd-scripts: loratui check {shlex.quote(str(checked))} --fix "
                f"--repeats {_REPEATS} moves them into a folder {_REPEATS}_name; {_after_numbering(config, plan)}",
                path=str(folder.path),
            )
        elif named[0] > _MANY_REPEATS and folder.path != root:
            yield Finding(
                code="dataset.repeats",
                severity="warning",
                what=f"the name of {clean(folder.path.name)} means {named[0]:,} repeats, as in sd-scripts",
                fix="rename it if the number is no count of repeats",
                path=str(folder.path),
            )


def _count(pictures: Sequence[Picture], config: TrainingConfig, plan: Plan | None) -> Iterator[Finding]:
    number = len({picture.path for picture in pictures if not picture.is_reg})
    if number < _FEW:
        yield Finding(
            code="dataset.few_pictures",
            severity="warning",
            what=f"{plural(number, 'picture', 'is', 'are')} few: from fewer than {_FEW} a model learns the "
            "pictures, not what they show",
            fix=f"add some from other sides and in other light; {_SIZES[0][0]} to {_SIZES[0][1]} are usual for a face",
        )
        return
    fits = [f"{least} to {most} for {what}" for least, most, what in _SIZES if least <= number <= most]
    usual = f"; usual are {', '.join(fits)}" if fits else f"; usual are {_SIZES[0][0]} to {_MANY}"
    if number > _MANY:
        usual = f", more than the {_MANY} that something complex needs{_cost(pictures, config, plan)}"
    code = "dataset.many_pictures" if number > _MANY else "dataset.count"
    fix = "leave out those that are alike or poor: fewer and better ones cost less and train better"
    yield Finding(code=code, severity="info", what=f"{number} pictures{usual}", fix=fix if number > _MANY else "")


def _cost(pictures: Sequence[Picture], config: TrainingConfig, plan: Plan | None) -> str:
    if plan is None:
        return ""
    if config.max_train_epochs is None:
        return f": in {plan.steps:,} steps each is shown {plan.exposures_per_picture:.0f} times"
    repeats = max(1, plan.num_exposures // max(1, sum(not picture.is_reg for picture in pictures)))
    steps = _ADDED * repeats * plan.epochs / plan.effective_batch
    return f": each {_ADDED} take about {max(1, round(steps)):,} of the {plan.steps:,} steps"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """How often an epoch shows the pictures of a folder."""

    folder: TrainedFolder
    num_exposures: int
    most: int
    """Of one picture that is not held out."""

    @property
    def each(self) -> float:
        """Return how often it shows one, on average."""
        return self.num_exposures / len(self.folder.told)


def _shown(pictures: Sequence[Picture], folders: Sequence[TrainedFolder], config: TrainingConfig) -> list[_Shown]:
    counts = Counter(Layout(config, pictures).exposures)
    of_picture = {(picture.subset, picture.path): counts[index] for index, picture in enumerate(pictures)}
    of_folders = [[of_picture[told.picture.subset, told.picture.path] for told in folder.told] for folder in folders]
    return [
        _Shown(folder=folder, num_exposures=sum(each), most=max(each))
        for folder, each in zip(folders, of_folders, strict=True)
    ]


def _exposures(shown: Sequence[_Shown], plan: Plan | None) -> Iterator[Finding]:
    total = sum(each.num_exposures for each in shown)
    epochs = plan.steps / plan.steps_per_epoch if plan else 1
    parts = [
        f"{clean(each.folder.path.name)}{' (regularisation)' if each.folder.is_reg else ''} "
        f"{each.num_exposures / total:.0%}, each of {plural(len(each.folder.told), 'picture')} "
        f"{_times(each.each * epochs)}"
        for each in shown
    ]
    in_all = "in the whole run" if plan else "in an epoch"
    yield Finding(code="dataset.exposures", severity="info", what=f"shown {in_all}: {'; '.join(parts)}")


def _looks(shown: Sequence[_Shown], plan: Plan) -> dict[Path, float]:
    """Return how often the whole run shows a picture of each folder that is trained on, in all datasets together."""
    looks: dict[Path, float] = defaultdict(float)
    for each in shown:
        if not each.folder.is_reg:
            looks[each.folder.path] += each.most * plan.steps / plan.steps_per_epoch
    return looks


def _times(number: float) -> str:
    return f"{number:.3g} time{'' if number == 1 else 's'}"


def _balance(shown: Sequence[_Shown]) -> Iterator[Finding]:
    totals: Counter[Path] = Counter()
    sizes = {}
    for each in shown:
        if not each.folder.is_reg and each.num_exposures:
            totals[each.folder.path] += each.num_exposures
            sizes[each.folder.path] = len(each.folder.told)
    if not totals:
        return
    (most, highest), (least, lowest) = totals.most_common()[0], totals.most_common()[-1]
    if highest < _UNBALANCED * lowest:
        return
    yield Finding(
        code="dataset.unbalanced",
        severity="warning",
        what=f"{clean(most.name)} is shown {highest / lowest:.3g} times as often as {clean(least.name)}",
        fix=f"{plural(round(highest / sizes[least]), 'repeat')} of {clean(least.name)} would make them equal, "
        "if that is wanted",
        path=str(least),
    )


def _regularisation(shown: Sequence[_Shown]) -> Iterator[Finding]:
    trained = [each for each in shown if not each.folder.is_reg]
    reg = [each for each in shown if each.folder.is_reg and each.num_exposures]
    if not reg or not trained:
        return
    often = max(reg, key=lambda each: each.each)
    usual = max(each.each for each in trained)
    if often.each > usual:
        yield Finding(
            code="dataset.reg_often",
            severity="warning",
            what=f"each regularisation picture of {clean(often.folder.path.name)} is shown {often.each:.3g} times an "
            f"epoch, a training picture {usual:.3g} times: so few are learned by heart themselves",
            fix="add regularisation pictures: as many as the training pictures times their repeats",
            path=str(often.folder.path),
        )


def _small_buckets(pictures: Sequence[Picture], config: TrainingConfig, plan: Plan) -> Iterator[Finding]:
    """Yield the buckets whose pictures never fill a batch."""
    sizes = [dataset.train_batch_size for dataset in datasets_of(config)]
    small = [use for use in plan.buckets if use.num_exposures < sizes[use.dataset]]
    if not small:
        return
    wanted = {(use.dataset, use.bucket) for use in small}
    inside = [
        picture
        for picture, placement in zip(pictures, plan.placements, strict=True)
        if (picture.dataset, placement.bucket) in wanted
    ]
    listed = ", ".join(f"{use.bucket.width}x{use.bucket.height} with {use.num_exposures}" for use in small[:_ADDED])
    found = Finding(
        code="dataset.small_buckets",
        severity="info",
        what=f"{plural(len(small), 'bucket', 'never fills', 'never fill')} a batch of {max(sizes)}: an epoch "
        f"shows {listed} ({first(each.path for each in inside)})",
        fix="crop these pictures to common proportions, or raise their repeats",
        path=str(inside[0].path) if inside else "",
    )
    yield with_paths(found, [each.name for each in inside])
