"""Of many pictures' scores the means, each with its standard error: what files and weights are compared by."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loratui_protocol.judging.judgement import Judged, Judgement
from loratui_protocol.judging.prompts import Role

_OF_THIS_FILE = tuple(role for role in Role if role is not Role.TOGETHER)


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean and its standard error; with one picture the error is not known, and infinite."""

    value: float
    error: float
    count: int


def mean_of(values: Sequence[float]) -> Mean:
    """Return the mean of at least one value."""
    count = len(values)
    value = math.fsum(values) / count
    if count < 2:
        return Mean(value, math.inf, count)
    variance = math.fsum((each - value) ** 2 for each in values) / (count - 1)
    return Mean(value, math.sqrt(variance / count), count)


def means_of(pictures: Iterable[Judged]) -> dict[str, Mean]:
    """Return the mean of every score that any of the pictures has."""
    values: dict[str, list[float]] = {}
    for each in pictures:
        for name, value in each.scores.items():
            values.setdefault(name, []).append(value)
    return {name: mean_of(found) for name, found in values.items()}


def means_at(judgement: Judgement, *, file: int, weight: float) -> dict[str, Mean]:
    """Return the means of a file at a weight, whose pictures with another LoRA are left out."""
    return means_of(judgement.of(file=file, weight=weight, roles=_OF_THIS_FILE))
