"""What the scores advise: which file at which weight, by a rule that is said in words step by step. Pure.

It is advice: nothing is picked, kept or deleted by it. ``docs/judging.md`` explains the rule.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from loratui_protocol.judging.judgement import Judgement
from loratui_protocol.judging.scores import SCORES
from loratui_protocol.judging.summary import Mean, means_at, means_said
from loratui_protocol.messages import Scores

FIRST = ("concept", "likeness")
"""Whether the LoRA shows what it is for: the first of these that is measured decides what may be advised at all."""
THEN = ("prompt", "copying", "bleed", "artefacts")
"""What narrows it down, in this order."""
_SHARES = ("concept", "copying", "artefacts")
_SHARES_OF_CONCEPT = ("prompt", "bleed", "resisted")
"""Shares, too, where they are judged exactly."""
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A file at a weight, and the means of what was measured of it."""

    artifact_id: str
    name: str
    step: int = 0
    """After which the file was written; 0: not known."""
    weight: float
    means: dict[str, Mean]

    @property
    def told(self) -> str:
        """Return "zorbix-000004.safetensors at 0.8"."""
        return f"{self.name} at {self.weight:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of the rule; ``left_out`` are those that it leaves out, and ``says`` why, or why it leaves out none."""

    score: str
    """Empty: it is about which file is the earliest."""
    says: str
    left_out: tuple[Pair, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What is advised, the way there, and what lacks."""

    pairs: tuple[Pair, ...]
    """All that were measured, by step, name and weight."""
    front: frozenset[tuple[str, float]]
    """Of the pairs (artifact id, weight) those that no other one is as good as in every score, and better in one."""
    advised: Pair | None
    stages: tuple[Stage, ...] = ()
    lacks: tuple[str, ...] = ()
    """Why nothing is advised, or what was not measured."""

    def is_on_front(self, pair: Pair) -> bool:
        """Return whether no other pair beats it."""
        return (pair.artifact_id, pair.weight) in self.front

    @property
    def sentence(self) -> str:
        """Return what is advised, in one sentence."""
        if self.advised is None:
            return "no advice: " + "; ".join(self.lacks)
        return f"{self.advised.told} is what the scores speak for"


def pairs_of(scores: Iterable[Scores]) -> list[Pair]:
    """Return the files at their weights; of one that was tried out twice the newer figures, and not the base model."""
    newest = {(each.artifact_id, each.weight): each for each in scores if each.artifact_id and each.weight}
    return [
        Pair(
            artifact_id=each.artifact_id,
            name=each.name,
            step=each.step,
            weight=each.weight,
            means={name: mean for name, mean in means_said(each).items() if name in SCORES},
        )
        for each in newest.values()
    ]


def pairs_in(judgement: Judgement) -> list[Pair]:
    """Return the files of a judgement at their weights."""
    return [
        Pair(
            artifact_id=file.id,
            name=file.name,
            step=file.step,
            weight=weight,
            means={name: mean for name, mean in means.items() if name in SCORES},
        )
        for index, file in enumerate(judgement.grid.files)
        for weight in judgement.grid.weights
        if weight and (means := means_at(judgement, file=index, weight=weight))
    ]


def advise(pairs: Iterable[Pair]) -> Advice:
    """Return the earliest file that is within one standard error of the best, score by score, and its best weight.

    First of all it must show what it is for; of those left it follows prompts, copies little, bleeds little and draws
    no broken pictures. A score that is not measured of all that are left decides nothing.
    """
    ordered = tuple(sorted(pairs, key=lambda pair: (pair.step, pair.name, pair.artifact_id, pair.weight)))
    front = frozenset((pair.artifact_id, pair.weight) for pair in _undominated(ordered))
    first = next((name for name in FIRST if any(_is_known(pair, name) for pair in ordered)), None)
    if first is None:
        return Advice(pairs=ordered, front=front, advised=None, lacks=(_what_lacks(ordered),))
    left = [pair for pair in ordered if _is_known(pair, first)]
    stages, lacks = [], []
    unknown = tuple(pair for pair in ordered if not _is_known(pair, first))
    if unknown:
        title = SCORES[first].title
        stages.append(Stage(score=first, says=f"{title}: not measured, or of one picture only", left_out=unknown))
    for name in (first, *THEN):
        if all(_is_known(pair, name) for pair in left):
            stage = _narrow(left, name)
            stages.append(stage)
            left = [pair for pair in left if pair not in stage.left_out]
        else:
            lacks.append(f"{SCORES[name].title}: not measured of all that were left, and decides nothing")
    left, stage = _earliest(left)
    stages.append(stage)
    advised, said = _best_weight(left, ordered, first)
    if len(left) > 1:
        others = tuple(pair for pair in left if pair is not advised)
        stages.append(Stage(score=first, says=said, left_out=others))
    return Advice(pairs=ordered, front=front, advised=advised, stages=tuple(stages), lacks=tuple(lacks))


def error_of(pair: Pair, name: str) -> float:
    """Return the standard error of a pair's score.

    A share that all pictures agree in has none by itself, however few they are. One picture that said yes and one that
    said no are added to them, so that ten of ten is not taken for certainty.
    """
    return error_in(pair.means, name)


def error_in(means: Mapping[str, Mean], name: str) -> float:
    """Return the standard error of one of the scores that were measured together, as ``error_of``."""
    mean = means[name]
    if name not in _SHARES and not ("concept" in means and name in _SHARES_OF_CONCEPT):
        return mean.error
    return max(mean.error, math.sqrt((mean.count + 1) / (mean.count + 3)) / (mean.count + 2))


def _narrow(pairs: Sequence[Pair], name: str) -> Stage:
    best = max(pairs, key=lambda pair: (_goodness(pair, name), -error_of(pair, name)))
    error = error_of(best, name)
    out = tuple(pair for pair in pairs if _goodness(pair, name) < _goodness(best, name) - error)
    said = f"{SCORES[name].title}: best {best.means[name].value:.2f} ± {error:.2f} ({best.told}); "
    if not out:
        return Stage(score=name, says=f"{said}all {len(pairs)} within one standard error of it")
    return Stage(score=name, says=f"{said}{_first_few(out)} further off and left out", left_out=out)


def _earliest(pairs: list[Pair]) -> tuple[list[Pair], Stage]:
    if not all(pair.step for pair in pairs):
        return pairs, Stage(score="", says="which file is the earliest is not known: all that are left count")
    step = min(pair.step for pair in pairs)
    kept = [pair for pair in pairs if pair.step == step]
    later = tuple(pair for pair in pairs if pair.step != step)
    said = f"{_first_few(later)} no better, and later" if later else "no other one left"
    return kept, Stage(score="", says=f"the earliest is that of step {step}; {said}", left_out=later)


def _best_weight(left: Sequence[Pair], tried: Sequence[Pair], first: str) -> tuple[Pair, str]:
    """Return the one that is best score by score and what is said of that.

    Of weights that are equal in every score, all other files at the same weights are asked: fifteen pictures of fifteen
    say the same of a weight that is just enough and of one that is ample, files that are not as far tell them apart.
    """
    order = [first, *(name for name in (*THEN, *SCORES) if name != first)]
    ranks = {id(pair): [_goodness(pair, name) for name in order] for pair in left}
    equal = [pair for pair in left if ranks[id(pair)] == max(ranks.values())]
    title = SCORES[first].title
    if len(equal) == 1:
        return equal[0], f"the highest value of {title} is at {equal[0].told}"
    elsewhere = [_goodness_elsewhere(pair, equal, tried, first) for pair in equal]
    best = equal[elsewhere.index(max(elsewhere))]
    both = f"{_first_few(equal)} equal in every score"
    if len(set(elsewhere)) == 1:
        return best, f"{both}: the first of them"
    return best, f"{both}; the other files have the highest value of {title} at {best.weight:g}"


def _goodness_elsewhere(pair: Pair, equal: Sequence[Pair], tried: Sequence[Pair], name: str) -> float:
    """Return the sum, at the pair's weight, over the other files that are tried at the weights of all of ``equal``."""
    values = {(each.artifact_id, each.weight): _goodness(each, name) for each in tried if _is_known(each, name)}
    weights = {each.weight for each in equal}
    files = {file for file, _ in values} - {each.artifact_id for each in equal}
    shared = sorted(file for file in files if all((file, weight) in values for weight in weights))
    return math.fsum(values[file, pair.weight] for file in shared)


def _undominated(pairs: Sequence[Pair]) -> list[Pair]:
    names = [name for name in SCORES if pairs and all(name in pair.means for pair in pairs)]
    rows = [[_goodness(pair, name) for name in names] for pair in pairs]
    return [
        pair
        for pair, row in zip(pairs, rows, strict=True)
        if names and not any(other != row and all(a >= b for a, b in zip(other, row, strict=True)) for other in rows)
    ]


def _is_known(pair: Pair, name: str) -> bool:
    return name in pair.means and math.isfinite(pair.means[name].error)


def _goodness(pair: Pair, name: str) -> float:
    """Return a value that is higher where the score is better; of what was not measured the lowest."""
    return SCORES[name].better * pair.means[name].value if name in pair.means else -math.inf


def _what_lacks(pairs: Sequence[Pair]) -> str:
    if not pairs:
        return "no file has been tried out"
    if any(name in pair.means for pair in pairs for name in FIRST):
        return "there is one picture of each file and weight; with evaluate_seeds = 2 or more differences can be told"
    return "likeness is not measured; it takes evaluate_dino, the training pictures and prompts with the trigger"


def _first_few(pairs: Sequence[Pair]) -> str:
    more = f" and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else ""
    verb = "is" if len(pairs) == 1 else "are"
    return ", ".join(pair.told for pair in pairs[:_NAMED]) + f"{more} {verb}"
