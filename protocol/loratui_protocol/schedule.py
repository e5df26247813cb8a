"""Which pictures each step shows, in which order and with which caption: computed from the seed, never stored."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from loratui_protocol.buckets import Bucket, place
from loratui_protocol.captions import Captions, Moment
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import Picture
from loratui_protocol.errors import DatasetError
from loratui_protocol.held_out import held_out


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """A picture as it is shown once. ``caption`` is final: shuffled or dropped as the config says."""

    picture_index: int
    caption: str
    flipped: bool


class Layout:
    """The exposures of an epoch, each picture's placement, and who shares a bucket."""

    def __init__(self, config: TrainingConfig, pictures: Sequence[Picture]) -> None:
        """Raise ConfigError if no size is possible, DatasetError if there is no picture to train on."""
        self.held_out = held_out(config, pictures)
        unseen = set(self.held_out.indices)
        shown = [index for index, p in enumerate(pictures) if not p.is_reg and index not in unseen]
        train = [index for index in shown for _ in range(pictures[index].num_repeats)]
        if not train:
            raise DatasetError("there is no picture to train on", fix="see train_data_dir", code="dataset.empty")
        reg = [index for index, p in enumerate(pictures) if p.is_reg for _ in range(p.num_repeats)]
        # As many regularisation exposures as training ones: repeated or cut.
        self.exposures = train + list(islice(cycle(reg), len(train)))
        self.placements = place([(picture.width, picture.height) for picture in pictures], config)
        self.members: dict[Bucket, list[int]] = {}
        for bucket, index in sorted((self.placements[index].bucket, index) for index in self.exposures):
            self.members.setdefault(bucket, []).append(index)
        self.batches_per_epoch = sum(-(-len(members) // config.train_batch_size) for members in self.members.values())
        self.steps_per_epoch = -(-self.batches_per_epoch // config.gradient_accumulation_steps)
        epochs = config.max_train_epochs
        self.num_steps = config.max_train_steps if epochs is None else epochs * self.steps_per_epoch


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
        self._captions = Captions(config)
        self._epoch = 0
        self._batches: list[list[int]] = []

    def num_micro(self, step: int) -> int:
        """Return how many micro-batches the step accumulates: fewer at the end of an epoch, at least one."""
        first = self._first_batch(step)
        return min(self._config.gradient_accumulation_steps, self._layout.batches_per_epoch - first)

    def batch(self, step: int, micro: int) -> list[Exposure]:
        """Return what micro-batch ``micro`` of the step shows: pictures of one bucket, ``train_batch_size`` at most."""
        if not 0 <= micro < self.num_micro(step):
            raise IndexError(f"step {step} has no micro-batch {micro}")
        members = self._shuffled((step - 1) // self._layout.steps_per_epoch)[self._first_batch(step) + micro]
        rng = random.Random(f"{self._seed}:{step}:{micro}")
        epoch = (step - 1) // self._layout.steps_per_epoch + 1
        when = Moment(step=step, num_steps=self._layout.num_steps, epoch=epoch)
        return [self._exposure(index, rng, when) for index in members]

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
            size = self._config.train_batch_size
            batches = []
            for members in self._layout.members.values():
                order = rng.sample(members, len(members))
                batches += [order[start : start + size] for start in range(0, len(order), size)]
            rng.shuffle(batches)
            self._epoch, self._batches = epoch, batches
        return self._batches

    def _exposure(self, index: int, rng: random.Random, when: Moment) -> Exposure:
        caption = self._captions.shown(self._pictures[index].caption, rng, when)
        return Exposure(picture_index=index, caption=caption, flipped=self._config.flip_aug and rng.random() < 0.5)
