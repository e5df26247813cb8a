"""Which pictures a LoRA is judged by: files x weights x seeds x prompts, each drawn once, in an order that can stop."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loratui_protocol.judging.prompts import GridPrompt, Role

FIRST_SEED = 101
SEEDS_APART = 1000
"""Between the seeds of one prompt and those of the next. What is drawn from one seed resembles each other whatever the
prompt: fifteen pictures of three prompts and the same five seeds would say hardly more than five (docs/judging.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedFile:
    """A LoRA file that is tried out."""

    id: str
    """Its artifact's id; of a file from elsewhere its name."""
    name: str
    step: int = 0
    """After which it was written; 0: not known."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture. ``file`` and ``prompt`` are indices; at weight 0 no file is at work, and ``file`` is -1."""

    file: int
    weight: float
    prompt: int
    seed: int

    @property
    def name(self) -> str:
        """Return a name for its file, the same in every attempt."""
        return f"f{self.file + 1:02d}-w{self.weight:g}-p{self.prompt:02d}-s{self.seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What is tried out."""

    files: tuple[TriedFile, ...]
    weights: tuple[float, ...]
    seeds: tuple[int, ...]
    """Of the first prompt."""
    prompts: tuple[GridPrompt, ...]

    def seeds_apart(self, prompt: int) -> int:
        """Return what is added to ``seeds`` for the prompt of that index, with all files alike.

        The same words with and without the trigger, or another LoRA, show what these do only from the same seeds.
        """
        words = [each.plain for each in self.prompts]
        return words.index(words[prompt]) * SEEDS_APART

    def batches(self, size: int = 1) -> Iterator[list[Cell]]:
        """Yield all pictures, at most ``size`` at once, of a file at a weight.

        Seeds come one after the other, or by as few as it takes to fill the batches: whoever stops it after a while has
        a whole grid with fewer seeds.
        """
        apart = [self.seeds_apart(prompt) for prompt in range(len(self.prompts))]
        at_once = self._seeds_at_once(size)
        for first in range(0, len(self.seeds), at_once):
            together = self.seeds[first : first + at_once]
            for weight in sorted(self.weights):
                for file in range(len(self.files)) if weight else (-1,):
                    # Another LoRA changes the base model by itself; what that looks like is not of this one.
                    alone = [n for n, each in enumerate(self.prompts) if weight or each.role is not Role.TOGETHER]
                    places = [(prompt, seed + apart[prompt]) for seed in together for prompt in alone]
                    cells = [Cell(file, weight, prompt, seed) for prompt, seed in places]
                    yield from (cells[start : start + size] for start in range(0, len(cells), size))

    def _seeds_at_once(self, size: int) -> int:
        """Return the least number of seeds with which a file at a weight takes as few batches as it can."""

        def num_batches(at_once: int) -> int:
            whole, rest = divmod(len(self.seeds), at_once)
            return whole * -(-at_once * len(self.prompts) // size) + -(-rest * len(self.prompts) // size)

        return min(range(1, len(self.seeds) + 1), key=num_batches, default=1)

    @property
    def num_pictures(self) -> int:
        """Return how many there are."""
        # Not counted one by one: of a config that is still being written there may be millions.
        alone = sum(each.role is not Role.TOGETHER for each in self.prompts)
        of_files = sum(weight > 0 for weight in self.weights) * len(self.files) * len(self.prompts)
        return len(self.seeds) * (of_files + (alone if 0 in self.weights else 0))


def seeds(count: int) -> tuple[int, ...]:
    """Return the seeds of a grid's first prompt, the same for every file and every run."""
    return tuple(range(FIRST_SEED, FIRST_SEED + count))


def spread_by_step(steps: Sequence[int], most: int) -> list[int]:
    """Return the indices of at most ``most`` of the files written after these steps: evenly spaced, and the last one.

    By steps and not by files, since the last one mostly comes soon after the one before it, and is nearly the same.
    """
    if len(steps) <= most:
        return list(range(len(steps)))
    chosen, before = list[int](), len(steps)
    for number in range(most, 0, -1):
        wanted = steps[-1] * number / most
        # As many as are still to be chosen have to be left below it.
        before = min(range(number - 1, before), key=lambda index: abs(steps[index] - wanted))
        chosen.append(before)
    return chosen[::-1]


def spread(count: int, most: int) -> list[int]:
    """Return the indices of at most ``most`` of ``count`` files, evenly spaced and the last one always among them."""
    if count <= most:
        return list(range(count))
    return sorted({count - 1 - index * (count - 1) // max(1, most - 1) for index in range(most)})
