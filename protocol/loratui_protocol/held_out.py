"""Which pictures are kept out of training, to be judged by: laptop and box choose the same ones."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import Picture
from loratui_protocol.findings import Finding, Severity, plural
from loratui_protocol.subsets import datasets_of

LEAST = 3
"""Fewer say more of themselves than of the training."""
TIMESTEPS_PER_PICTURE = 4
"""At which each of them is looked at."""
_SHARE, _MOST_SHARE = 0.07, 0.10
_MOST_TIMES = 40
_SHARE_OF_TIME = 0.05


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Pictures by their index, in order. ``compared`` are as many that are trained on."""

    indices: tuple[int, ...] = ()
    compared: tuple[int, ...] = ()
    findings: tuple[Finding, ...] = ()


def held_out(config: TrainingConfig, pictures: Sequence[Picture]) -> HeldOut:
    """Return what ``validation_split`` keeps out of each dataset; with none given about 7 %, where that is enough.

    A file that is kept out of one dataset is kept out of all: at another size it would be learned all the same.
    """
    datasets = datasets_of(config)
    parts = []
    for number, dataset in enumerate(datasets):
        trained = [index for index, each in enumerate(pictures) if each.dataset == number and not each.is_reg]
        if trained:
            where = f" of dataset {number + 1}" if len(datasets) > 1 else ""
            parts.append(_of_dataset(dataset, pictures, trained, where))
    paths = {pictures[index].path for part in parts for index in part.indices}
    return HeldOut(
        tuple(index for index, each in enumerate(pictures) if each.path in paths and not each.is_reg),
        tuple(index for part in parts for index in part.compared if pictures[index].path not in paths),
        tuple(finding for part in parts for finding in part.findings),
    )


def _of_dataset(config: TrainingConfig, pictures: Sequence[Picture], trained: Sequence[int], where: str) -> HeldOut:
    split = config.validation_split
    if split == 0:
        return HeldOut()
    wanted = max(LEAST, round((_SHARE if split is None else split) * len(trained)))
    if split is None and wanted > _MOST_SHARE * len(trained):
        what = f"{plural(len(trained), 'picture')}{where} are too few to hold some out of training"
        return HeldOut(findings=(_off(what, "info"),))
    if split is not None and (round(split * len(trained)) < LEAST or wanted >= len(trained)):
        what = f"validation_split = {split:g} of {len(trained)} pictures{where} leaves fewer than {LEAST}"
        return HeldOut(findings=(_off(what, "warning"),))
    order = random.Random(f"held out:{config.validation_seed or 0}").sample(trained, len(trained))
    indices, rest = sorted(order[:wanted]), sorted(order[wanted : 2 * wanted])
    names = ", ".join(pictures[index].name for index in indices[:LEAST])
    told = Finding(
        code="plan.held_out",
        severity="info",
        what=f"{wanted} of {len(trained)} pictures{where} are not trained on, but looked at: {names}"
        + (" and more" if wanted > LEAST else ""),
        fix="to train on all of them, set validation_split = 0",
    )
    return HeldOut(tuple(indices), tuple(rest), (told,))


def validation_steps(
    config: TrainingConfig, held: HeldOut, num_steps: int, steps_per_epoch: int, also: Iterable[int] = ()
) -> tuple[int, ...]:
    """Return after which steps they are looked at, 0 before the first; as often as costs a twentieth of the time.

    ``also`` are steps that are asked for whatever they cost.
    """
    if not held.indices:
        return ()
    every = config.validate_every_n_steps
    if every is None and config.validate_every_n_epochs is not None:
        every = config.validate_every_n_epochs * steps_per_epoch
    if every is None:
        # Without a backward pass one look at a picture takes about a third of training on it.
        looks = (len(held.indices) + len(held.compared)) * TIMESTEPS_PER_PICTURE / 3
        shown = max(each.train_batch_size for each in datasets_of(config)) * config.gradient_accumulation_steps
        every = max(1, num_steps // _MOST_TIMES, round(looks / shown / _SHARE_OF_TIME))
    return tuple(sorted({0, *range(every, num_steps + 1, every), *also, num_steps}))


def _off(what: str, severity: Severity) -> Finding:
    return Finding(
        code="plan.no_validation",
        severity=severity,
        what=f"{what}: whether it overfits, only samples will show",
        fix="add pictures, or leave it so",
    )
