"""Of many pictures' scores the means, each with its standard error: what files and weights are compared by."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loratui_protocol.judging.judgement import MAX_NUMBER, Judged, Judgement
from loratui_protocol.judging.prompts import Role
from loratui_protocol.judging.scores import SCORES
from loratui_protocol.messages import Scores

_OF_THIS_FILE = tuple(role for role in Role if role is not Role.TOGETHER)


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean of so many values and its standard error; with one value the error is not known, and infinite."""

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
    """Return the mean of every score that any of the pictures has, all of one file at one weight.

    Most have a value a picture. What pictures of a prompt have together counts once a prompt: it holds every pair
    twice, and would seem surer than it is.
    """
    by_prompt: dict[str, dict[int, list[float]]] = {}
    for each in pictures:
        for name, value in each.scores.items():
            by_prompt.setdefault(name, {}).setdefault(each.cell.prompt, []).append(value)
    return {name: mean_of(_values(name, list(of_prompts.values()))) for name, of_prompts in by_prompt.items()}


def _values(name: str, of_prompts: Sequence[Sequence[float]]) -> list[float]:
    if name in SCORES and SCORES[name].is_of_prompt:
        return [math.fsum(values) / len(values) for values in of_prompts]
    return [value for values in of_prompts for value in values]


def means_at(judgement: Judgement, *, file: int, weight: float) -> dict[str, Mean]:
    """Return the means of a file at a weight, whose pictures with another LoRA are left out."""
    return means_of(judgement.of(file=file, weight=weight, roles=_OF_THIS_FILE))


def means_said(scores: Scores) -> dict[str, Mean]:
    """Return the means that another machine has told of a file, as far as they can be: larger ones would overflow."""
    return {
        name: Mean(value, _error_said(scores.errors.get(name)), scores.counts.get(name, 0))
        for name, value in scores.means.items()
        if abs(value) <= MAX_NUMBER
    }


def _error_said(error: float | None) -> float:
    return error if error is not None and 0 <= error <= MAX_NUMBER else math.inf
