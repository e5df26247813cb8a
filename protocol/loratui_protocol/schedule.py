"""Which pictures each step shows, in which order and with which caption: computed from the seed, never stored."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import NamedTuple

from loratui_protocol.buckets import Bucket, Placement, place
from loratui_protocol.captions import Captions, Moment
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import Picture
from loratui_protocol.errors import DatasetError
from loratui_protocol.held_out import held_out
from loratui_protocol.subsets import datasets_of, subsets_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """A picture as it is shown once. ``caption`` is final: shuffled or dropped as the config says."""

    picture_index: int
    caption: str
    flipped: bool


class Group(NamedTuple):
    """Pictures that may share a batch: those in one bucket of one dataset."""

    dataset: int
    bucket: Bucket


class Layout:
    """The exposures of an epoch, each picture's placement, and who shares a bucket, dataset by dataset."""

    def __init__(self, config: TrainingConfig, pictures: Sequence[Picture]) -> None:
        """Raise ConfigError if no size is possible, DatasetError if there is no picture to train on."""
        datasets = datasets_of(config)
        self.batch_sizes = [dataset.train_batch_size for dataset in datasets]
        self.held_out = held_out(config, pictures)
        unseen = set(self.held_out.indices)
        self.exposures: list[int] = []
        for number in range(len(datasets)):
            own = [index for index, picture in enumerate(pictures) if picture.dataset == number]
            repeated = [index for index in own if index not in unseen for _ in range(pictures[index].num_repeats)]
            train = [index for index in repeated if not pictures[index].is_reg]
            reg = [index for index in repeated if pictures[index].is_reg]
            # As many regularisation exposures as training ones: repeated or cut.
            self.exposures += train + list(islice(cycle(reg), len(train)))
        if not self.exposures:
            raise DatasetError("there is no picture to train on", fix="see train_data_dir", code="dataset.empty")
        self.placements = _placements(datasets, pictures)
        self.members: dict[Group, list[int]] = {}
        groups = [Group(p.dataset, placement.bucket) for p, placement in zip(pictures, self.placements, strict=True)]
        for group, index in sorted((groups[index], index) for index in self.exposures):
            self.members.setdefault(group, []).append(index)
        self.batches_per_epoch = sum(self.num_batches(group) for group in self.members)
        self.steps_per_epoch = -(-self.batches_per_epoch // config.gradient_accumulation_steps)
        epochs = config.max_train_epochs
        self.num_steps = config.max_train_steps if epochs is None else epochs * self.steps_per_epoch

    def num_batches(self, group: Group) -> int:
        """Return how many batches of an epoch are of this group; the last one may be short."""
        return -(-len(self.members[group]) // self.batch_sizes[group.dataset])


def _placements(datasets: Sequence[TrainingConfig], pictures: Sequence[Picture]) -> tuple[Placement, ...]:
    """Return a placement for each picture, by its own dataset's settings."""
    placed = [
        iter(place([(p.width, p.height) for p in pictures if p.dataset == number], dataset))
        for number, dataset in enumerate(datasets)
    ]
    return tuple(next(placed[picture.dataset]) for picture in pictures)


class Schedule:
    """What every step shows: a pure function of the config, the pictures, the seed and the step's number.

    Nothing is carried from step to step, so to resume is to ask for the next one. Steps count from 1, micro-batches
    from 0.
    """

    def __init__(self, config: TrainingConfig, pictures: Sequence[Picture], seed: int) -> None:
        """Errors as in ``plan``."""
        self._config = config
        self._pictures = pictures
        self._seed = seed
        self._layout = Layout(config, pictures)
        subsets = subsets_of(config)
        self._captions = [Captions(subset.config) for subset in subsets]
        self._flips = [subset.config.flip_aug for subset in subsets]
        self._epoch = 0
        self._batches: list[list[int]] = []

    def num_micro(self, step: int) -> int:
        """Return how many micro-batches the step accumulates: fewer at the end of an epoch, at least one."""
        first = self._first_batch(step)
        return min(self._config.gradient_accumulation_steps, self._layout.batches_per_epoch - first)

    def batch_sizes(self, step: int) -> list[int]:
        """Return how many pictures each micro-batch of the step shows."""
        first = self._first_batch(step)
        batches = self._shuffled((step - 1) // self._layout.steps_per_epoch)
        return [len(members) for members in batches[first : first + self.num_micro(step)]]

    def batch(self, step: int, micro: int) -> list[Exposure]:
        """Return what micro-batch ``micro`` of the step shows: pictures of one bucket and dataset."""
        if not 0 <= micro < self.num_micro(step):
            raise IndexError(f"step {step} has no micro-batch {micro}")
        members = self._shuffled((step - 1) // self._layout.steps_per_epoch)[self._first_batch(step) + micro]
        rng = random.Random(f"{self._seed}:{step}:{micro}")
        epoch = (step - 1) // self._layout.steps_per_epoch + 1
        when = Moment(step=step, num_steps=self._layout.num_steps, epoch=epoch)
        return [self._exposure(index, rng, when) for index in members]

    def largest_batch(self) -> list[Exposure]:
        """Return the micro-batch of an epoch that has the most pixels, as its pictures' captions are whole."""
        placements = self._layout.placements
        indices = max(self._shuffled(0), key=lambda batch: sum(math.prod(placements[each].bucket) for each in batch))
        pictures = [self._pictures[index] for index in indices]
        captions = [self._captions[picture.subset].whole(picture.caption) for picture in pictures]
        return [
            Exposure(picture_index=index, caption=caption, flipped=False)
            for index, caption in zip(indices, captions, strict=True)
        ]

    def num_shown(self, step: int) -> int:
        """Return how often training pictures were shown up to this step, regularisation pictures left out."""
        epochs, steps = divmod(step, self._layout.steps_per_epoch)
        # Of an epoch that has not begun nothing is shuffled.
        begun = self._shuffled(epochs)[: steps * self._config.gradient_accumulation_steps] if steps else []
        whole = sum(not self._pictures[index].is_reg for index in self._layout.exposures)
        return epochs * whole + sum(not self._pictures[index].is_reg for members in begun for index in members)

    def _first_batch(self, step: int) -> int:
        if step < 1:
            raise IndexError("steps count from 1")
        return (step - 1) % self._layout.steps_per_epoch * self._config.gradient_accumulation_steps

    def _shuffled(self, epoch: int) -> list[list[int]]:
        """Return the batches of an epoch (counted from 0), kept until another epoch is asked for."""
        if not self._batches or epoch != self._epoch:
            rng = random.Random(f"{self._seed}:{epoch}")
            batches = []
            for group, members in self._layout.members.items():
                size = self._layout.batch_sizes[group.dataset]
                order = rng.sample(members, len(members))
                batches += [order[start : start + size] for start in range(0, len(order), size)]
            rng.shuffle(batches)
            self._epoch, self._batches = epoch, batches
        return self._batches

    def _exposure(self, index: int, rng: random.Random, when: Moment) -> Exposure:
        picture = self._pictures[index]
        caption = self._captions[picture.subset].shown(picture.caption, rng, when)
        return Exposure(
            picture_index=index, caption=caption, flipped=self._flips[picture.subset] and rng.random() < 0.5
        )
