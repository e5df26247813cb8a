"""Which pictures a LoRA is judged by: files x weights x seeds x prompts, each drawn once, in an order that can stop."""

from collections.abc import Iterator
from dataclasses import dataclass

from loratui_protocol.judging.prompts import GridPrompt, Role

FIRST_SEED = 101


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
    prompts: tuple[GridPrompt, ...]

    def batches(self, size: int = 1) -> Iterator[list[Cell]]:
        """Yield all pictures, those of a file at a weight with one seed together, or with as many as fit ``size``.

        Seeds come one after the other: whoever stops it after a while has a whole grid with fewer seeds.
        """
        at_once = max(1, size // max(1, len(self.prompts)))
        for first in range(0, len(self.seeds), at_once):
            together = self.seeds[first : first + at_once]
            for weight in sorted(self.weights):
                for file in range(len(self.files)) if weight else (-1,):
                    # Another LoRA changes the base model by itself; what that looks like is not of this one.
                    alone = [n for n, each in enumerate(self.prompts) if weight or each.role is not Role.TOGETHER]
                    yield [Cell(file, weight, prompt, seed) for seed in together for prompt in alone]

    @property
    def num_pictures(self) -> int:
        """Return how many there are."""
        return sum(len(batch) for batch in self.batches())


def seeds(count: int) -> tuple[int, ...]:
    """Return the seeds of a grid, the same for every file and every run."""
    return tuple(range(FIRST_SEED, FIRST_SEED + count))


def spread(count: int, most: int) -> list[int]:
    """Return the indices of at most ``most`` of ``count`` files, evenly spaced and the last one always among them."""
    if count <= most:
        return list(range(count))
    return sorted({count - 1 - index * (count - 1) // max(1, most - 1) for index in range(most)})
