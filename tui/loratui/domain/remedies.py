"""What a training lacks, by what was measured of it: each finding with its evidence and the change that may mend it.

Pure. ``docs/judging.md`` has the rules as a table. What was not measured leads to no finding.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist

from loratui.domain.learning import Trend, verdict
from loratui.domain.words import word_pattern
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_write import toml_value
from loratui_protocol.judging.advice import FIRST, Pair, error_of, pairs_of
from loratui_protocol.judging.scores import SCORES
from loratui_protocol.messages import Scores, Validation

CLEARLY = 2.0
"""Standard errors of a difference that are more than chance."""
_SMALL = 0.001
"""Of the weights: a LoRA that is smaller changes pictures hardly more than rounding does."""
_MOST_COPIES = 0.2
_LEAST_PICTURES = 10
"""Fewer that show no clear difference are no evidence that there is none."""
_MOST_BROKEN = 0.5
_LOST = ("prompt", "copying", "diversity", "bleed", "artefacts")
"""What a LoRA loses that is trained for too long."""
_USUAL_RATE = 1e-4
MORE = 0.5
"""Of a training's steps: by how many it is trained further."""
CONTINUE, UNDERTRAINED = "continue", "undertrained"
_RATES = ("learning_rate", "unet_lr", "text_encoder_lr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of a run that was tried out."""

    config: TrainingConfig
    scores: Sequence[Scores] = ()
    looks: Sequence[Validation] = ()
    size: float | None = None
    """Of the LoRA beside the weights it changes, where it is largest; None: not measured."""
    captions: Sequence[str] = ()
    """As the trainer reads them; empty: not known here."""
    total: int = 0
    """Steps of the whole training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """A finding, what it rests on, what to do, and the keys of the config that do it, as TOML."""

    code: str
    what: str
    fix: str
    changes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Told:
    """The files by step at one weight, and the base model, with the score that says what the LoRA is for."""

    files: Sequence[Pair]
    base: Pair
    first: str

    @property
    def is_in_order(self) -> bool:
        """Return whether it is known of all files which is earlier; of those from elsewhere it mostly is not."""
        return all(file.step for file in self.files)

    @property
    def shown(self) -> list[Pair]:
        """Return the files that clearly show it."""
        return [file for file in self.files if difference(file, self.base, self.first) > CLEARLY]


def remedies(known: Evidence) -> list[Remedy]:
    """Return what is found, the cause before what follows from it; nothing: none of the rules applies."""
    found = [*_certain(known)]
    told = _told(known.scores)
    if not found and told is not None:
        found += _of_pictures(known, told)
    return _with_looks(known, found)


def may_continue(found: Sequence[Remedy]) -> bool:
    """Return whether more of the same is worth its money: of a run that lacks something else that comes first."""
    return all(each.code == UNDERTRAINED for each in found)


def continuing(known: Evidence, file: str, step: int, name: str = "the advised file") -> Remedy:
    """Return how a file is trained further: for half as many steps again as the whole training had."""
    weights = {"network_weights": toml_value(file), "dim_from_weights": "true"}
    return Remedy(
        code=CONTINUE,
        what=f"{name} can be trained further{f' from step {step} on' if step else ''}, in a new run",
        fix="it begins with the file's weights; the optimizer and the schedule begin anew",
        changes={**weights, **_length(known, MORE)},
    )


def difference(one: Pair, other: Pair, name: str) -> float:
    """Return by how many standard errors a score of one is better than the other's; 0: it can't be told."""
    if name not in one.means or name not in other.means:
        return 0.0
    error = math.hypot(error_of(one, name), error_of(other, name))
    better = SCORES[name].better * (one.means[name].value - other.means[name].value)
    if not math.isfinite(error) or not better:
        return 0.0
    return better / error if error else math.copysign(math.inf, better)


def lost(last: Pair, earlier: Sequence[Pair], first: str, names: Sequence[str]) -> tuple[Pair | None, list[str]]:
    """Return the earlier file that the last is no better than, and the scores in which it is clearly worse.

    The earlier one is the first of those within one standard error of the best in ``first``. Each file that it was
    chosen from and each score is a chance to look worse by chance: the more there are, the larger a difference has to
    be, so that all of them together mislead no more often than one alone.
    """
    told = [file for file in earlier if first in file.means]
    if not told or first not in last.means:
        return None, []
    best = max(told, key=lambda file: SCORES[first].better * file.means[first].value)
    file = next(file for file in told if difference(best, file, first) <= 1)
    if difference(last, file, first) > CLEARLY:
        return None, []
    measured = [name for name in names if name in last.means and name in file.means]
    least = _clear_of(len(told) + len(measured) - 1)
    return file, [name for name in measured if difference(last, file, name) < -least]


def _clear_of(comparisons: int) -> float:
    """Return the standard errors that are more than chance where so many differences are looked at (Bonferroni)."""
    by_chance = 1 - NormalDist().cdf(CLEARLY)
    return NormalDist().inv_cdf(1 - by_chance / comparisons)


def _certain(known: Evidence) -> Iterator[Remedy]:
    """Yield what leaves nothing to learn: what pictures show then follows from it."""
    config = known.config
    if known.size == 0:
        yield _no_rate(config, "the LoRA is 0 beside the weights it changes")
    trigger = (config.trigger_word or "").strip()
    if trigger and known.captions and not any(_has(trigger, text) for text in known.captions):
        before = config.caption_prefix or ""
        yield Remedy(
            code="trigger.unheard",
            what=f"the trigger {trigger!r} is in none of the {len(known.captions)} captions, and calls nothing",
            fix="put it into every caption, or have it put before each in training",
            changes={"caption_prefix": toml_value(f"{trigger}, {before}")},
        )


def _of_pictures(known: Evidence, told: _Told) -> Iterator[Remedy]:
    files, base, first = told.files, told.base, told.first
    last, title = files[-1], SCORES[first].title
    earliest = files[:1] if told.is_in_order else files
    if all(_is_broken(file) and difference(file, base, "artefacts") <= 0 for file in earliest):
        yield _too_high(known, f"{files[0].means['artefacts'].value:.0%} of the pictures of {files[0].told} are broken")
        return
    if not told.shown and last.means[first].count < _LEAST_PICTURES:
        return
    if not told.shown:
        what = f"{title} {_value(last, first)} at {last.told}, {_value(base, first)} without the LoRA"
        if known.config.effective_unet_lr == 0:
            yield _no_rate(known.config, f"{what}; the UNet has no learning rate")
        elif known.size is not None and known.size < _SMALL:
            small = f"{what}; the LoRA is {known.size:.2%} of the weights it changes"
            yield Remedy(
                code="no_effect",
                what=f"it has no effect: {small}",
                fix="a higher learning rate",
                changes=_rates(known.config, 3),
            )
        else:
            yield _undertrained(known, f"{what}: no clear difference")
        return
    copies = [*_of_copies(known, told)]
    # What copies rises in likeness, too: more steps of that are no gain.
    yield from (each for each in _of_length(known, told) if not (copies and each.code == UNDERTRAINED))
    yield from copies
    shown = told.shown
    if all(difference(file, base, "prompt") < -CLEARLY for file in shown):
        yield Remedy(
            code="captions",
            what="prompts are followed worse than without the LoRA by every file that shows the concept: "
            f"{_value(shown[0], 'prompt')} at {shown[0].told}, {_value(base, 'prompt')} without",
            fix="read the captions beside their pictures: they may be swapped, or not say what can be seen. No setting "
            "mends that; loratui check looks at them, loratui caption drafts them anew",
        )


def _of_length(known: Evidence, told: _Told) -> Iterator[Remedy]:
    files, first = told.files, told.first
    last, title = files[-1], SCORES[first].title
    if len(files) < 2 or not told.is_in_order:
        return
    if difference(last, files[-2], first) > CLEARLY:
        rising = f"{title} {_value(files[-2], first)} at {files[-2].told}, {_value(last, first)} at {last.told}"
        yield _undertrained(known, f"{rising}: it was still rising")
        return
    file, names = lost(last, [file for file in told.shown if file is not last], first, (first, *_LOST))
    if file is not None and names:
        said = ", ".join(
            f"{SCORES[name].title} {_value(file, name)} then and {_value(last, name)} now" for name in names
        )
        yield Remedy(
            code="overtrained",
            what=f"it was trained for too long: {title} is no better than at {file.told}; {said}",
            fix=f"use {file.name}, or train until step {file.step} only",
            changes=_length(known, file.step / known.total) if known.total and file.step else {},
        )


def _of_copies(known: Evidence, told: _Told) -> Iterator[Remedy]:
    last, config = told.files[-1], known.config
    if difference(last, told.base, "copying") < -CLEARLY and last.means["copying"].value > _MOST_COPIES:
        halved = {"network_dim": toml_value(config.network_dim // 2), "network_alpha": toml_value(config.alpha / 2)}
        yield Remedy(
            code="copying",
            what=f"{last.means['copying'].value:.0%} of the pictures of {last.told} are as near to one training "
            f"picture as copies; without the LoRA {told.base.means['copying'].value:.0%}",
            fix="more and more varied pictures, fewer steps, or a lower rank",
            changes=halved if config.network_dim > 1 else {},
        )


def _with_looks(known: Evidence, found: list[Remedy]) -> list[Remedy]:
    """Return the findings with what held-out pictures say, where drawn ones don't know better.

    No two of them ask for opposite things: neither more steps and fewer, nor a higher rate and a lower one.
    """
    said, codes = verdict(known.looks), {each.code for each in found}
    if said.trend is Trend.RATE_TOO_HIGH and not codes & {"rate.zero", "rate.high", "no_effect"}:
        # That it shows nothing, or is still rising, follows from it.
        return [*(each for each in found if each.code != UNDERTRAINED), _too_high(known, said.evidence)]
    if said.trend is not Trend.OVERFITTING or codes & {"overtrained", "rate.zero", "no_effect"}:
        return found
    if UNDERTRAINED in codes:
        aside = f"; the held-out error says otherwise ({said.evidence}), but pictures count for more"
        return [replace(each, what=each.what + aside) if each.code == UNDERTRAINED else each for each in found]
    if not known.total:
        return found
    best = min(known.looks, key=lambda look: look.loss)
    changes = _length(known, best.step / known.total) if best.step else {}
    too_long = Remedy(
        code="overtrained",
        what=f"it was trained for too long: {said.evidence}",
        fix=f"use the file nearest to step {best.step}, or train until there only",
        changes=changes,
    )
    return [*found, too_long]


def _no_rate(config: TrainingConfig, why: str) -> Remedy:
    # Prodigy multiplies it by what it finds. A text encoder that was left alone is none of the cause.
    rate = toml_value(1.0 if config.optimizer_type == "Prodigy" else _USUAL_RATE)
    changes = {"learning_rate" if config.unet_lr is None else "unet_lr": rate}
    return Remedy(code="rate.zero", what=f"nothing was learned: {why}", fix="give it a learning rate", changes=changes)


def _too_high(known: Evidence, why: str) -> Remedy:
    changes = _rates(known.config, 1 / 3)
    return Remedy(code="rate.high", what=f"the learning rate is too high: {why}", fix="a third of it", changes=changes)


def _undertrained(known: Evidence, why: str) -> Remedy:
    return Remedy(
        code=UNDERTRAINED,
        what=f"it was not trained for long enough: {why}",
        fix="half as many steps more",
        changes=_length(known, 1 + MORE),
    )


def _told(scores: Sequence[Scores]) -> _Told | None:
    """Return the files at the weight nearest to 1 at which any was tried; None: they can't be compared."""
    pairs = pairs_of(scores)
    bases = pairs_of([_as_file(each) for each in scores if not each.weight])
    first = next((name for name in FIRST if any(name in pair.means for pair in pairs)), None)
    if first is None or not bases or first not in bases[-1].means:
        return None
    weight = min((pair.weight for pair in pairs), key=lambda each: abs(each - 1))
    files = [pair for pair in pairs if pair.weight == weight and first in pair.means]
    return _Told(sorted(files, key=lambda pair: pair.step), bases[-1], first) if files else None


def _as_file(base: Scores) -> Scores:
    return Scores(
        artifact_id="base",
        name="the base model",
        step=0,
        weight=1.0,
        means=base.means,
        errors=base.errors,
        counts=base.counts,
    )


def _rates(config: TrainingConfig, times: float) -> dict[str, str]:
    changes = {}
    for key in _RATES:
        rate = getattr(config, key)
        if rate is not None:
            each = (
                tuple(_rounded(value * times) for value in rate) if isinstance(rate, tuple) else _rounded(rate * times)
            )
            changes[key] = toml_value(each)
    return changes


def _rounded(rate: float) -> float:
    return float(f"{rate:.2g}")


def _length(known: Evidence, share: float) -> dict[str, str]:
    """Return the key that sets the length, for a training so many times as long."""
    if known.config.max_train_epochs is not None:
        epochs = max(1, round(known.config.max_train_epochs * share))
        # Of few epochs a part of one is no change.
        return {"max_train_epochs": toml_value(epochs)} if epochs != known.config.max_train_epochs else {}
    return {"max_train_steps": toml_value(max(1, round((known.total or known.config.max_train_steps) * share)))}


def _is_broken(pair: Pair) -> bool:
    return "artefacts" in pair.means and pair.means["artefacts"].value >= _MOST_BROKEN


def _value(pair: Pair, name: str) -> str:
    mean = pair.means[name]
    return f"{mean.value:.2f} ± {error_of(pair, name):.2f}"


def _has(trigger: str, text: str) -> bool:
    """Return whether it is a word of the text, in any case."""
    return re.search(word_pattern(trigger), text, re.IGNORECASE) is not None
