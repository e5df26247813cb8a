"""``advice``: which file the scores speak for and why, and what to try next, each change as a config to accept."""

import difflib
import json
import math
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.new_files import write_new
from loratui.cli.runs import choose
from loratui.domain import formatting
from loratui.domain.remedies import Evidence, Remedy, continuing, remedies
from loratui.domain.run import RunView
from loratui.domain.score_table import cell, columns_of, width_of
from loratui.sessions.recalled import recalled
from loratui.settings import Settings
from loratui.store import Download, Store, StoredRun
from loratui.store.ratings import ratings
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_edit import with_value, without
from loratui_protocol.config_file import parse_config
from loratui_protocol.config_fix import without_secrets
from loratui_protocol.dataset import scan_config
from loratui_protocol.errors import LoratuiError, StorageError, UsageError
from loratui_protocol.harmless import clean
from loratui_protocol.judging.advice import Advice, Pair, advise, error_of, pairs_of
from loratui_protocol.judging.scores import SCORES


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A remedy as a config. ``text`` is empty where no setting mends it; times and money are those of its steps."""

    remedy: Remedy
    text: str
    diff: str
    steps: int
    seconds: float | None
    microusd: int | None


def advice(arguments: Arguments) -> int:
    """Print what is advised, or write one of the changed configs."""
    preferences = settings.load()
    with Store(preferences.database) as store:
        run = choose(store.runs(), arguments.run)
        downloads = store.downloads(run.id)
    view = recalled(preferences, run)
    advised = advise(pairs_of(view.scores))
    changes = list(_changes(preferences, run, view, advised, downloads))
    if arguments.write is not None:
        return _write(arguments, run, changes)
    stars = {artifact: given for (of, artifact, _), given in ratings(preferences.database).items() if of == run.id}
    if arguments.json:
        print(json.dumps(_fields(run, advised, changes, stars)))
        return 0
    for line in [*_table(advised, stars), *_reasons(advised), *_told(run, changes)]:
        print(clean(line))
    return 0


# --- what to try next -------------------------------------------------------------------------------------------------


def _changes(
    preferences: Settings, run: StoredRun, view: RunView, advised: Advice, downloads: dict[str, Download]
) -> Iterator[_Change]:
    try:
        config = parse_config(run.config_toml, preferences.run_folder(run.id)).config
    except LoratuiError:
        # It was found on a host, or another version wrote it: there is nothing to change.
        return
    known = Evidence(
        config=config,
        scores=view.scores,
        looks=view.validations,
        size=max(view.delta_norms.relative.values(), default=None) if view.delta_norms else None,
        captions=_captions(config),
        total=view.total,
    )
    found = remedies(known)
    if config.evaluate_loras:
        # It trained nothing: what it was told is not what they were trained with.
        found = [replace(each, changes={}) for each in found]
    elif advised.advised is not None and (here := downloads.get(advised.advised.artifact_id)) is not None:
        found.append(continuing(known, str(here.path), advised.advised.step))
    for remedy in found:
        yield _change(remedy, run, view)


def _captions(config: TrainingConfig) -> list[str]:
    """Return the captions as the trainer reads them; none where the pictures are not here any more."""
    try:
        pictures = scan_config(config, tell_all=True).pictures
    except LoratuiError:
        return []
    around = config.caption_prefix or "", config.caption_suffix or ""
    return [f"{around[0]} {picture.caption} {around[1]}" for picture in pictures if not picture.is_reg]


def _change(remedy: Remedy, run: StoredRun, view: RunView) -> _Change:
    text = run.config_toml
    for key, value in remedy.changes.items():
        text = with_value(text, key, value)
    if "max_train_steps" in remedy.changes:
        # It would decide, and a training that stops to be looked at has another end.
        text = without(text, "stop_at_epoch")
    before, after = ([without_secrets(clean(line)) for line in each.splitlines()] for each in (run.config_toml, text))
    diff = "\n".join(difflib.unified_diff(before, after, run.name, f"{run.name}, {remedy.code}", lineterm="", n=1))
    steps = _steps(remedy, view)
    seconds = steps / view.it_s if view.it_s and view.it_s > 0 and remedy.changes else None
    price = view.price_microusd_per_h or run.price_microusd_per_h
    microusd = round(seconds / 3600 * price) if seconds is not None else None
    return _Change(
        remedy=remedy,
        text=text if remedy.changes else "",
        diff=diff,
        steps=steps,
        seconds=seconds,
        microusd=microusd,
    )


def _steps(remedy: Remedy, view: RunView) -> int:
    if "max_train_steps" in remedy.changes:
        return int(remedy.changes["max_train_steps"])
    if "max_train_epochs" in remedy.changes and view.epoch:
        return round(view.total * int(remedy.changes["max_train_epochs"]) / view.epoch)
    return view.total


def _write(arguments: Arguments, run: StoredRun, changes: list[_Change]) -> int:
    number = arguments.write
    if number is None or number > len(changes):
        there = f"there are {len(changes)}" if changes else "there are none"
        raise UsageError(f"no change has the number {number}: {there}", fix="loratui advice lists them")
    chosen = changes[number - 1]
    if not chosen.text:
        raise UsageError(f"no setting mends that: {chosen.remedy.what}", fix=chosen.remedy.fix)
    path = arguments.output or Path(f"{run.name}.{number}.toml")
    if not write_new(path, chosen.text):
        raise StorageError(f"{path} exists already", fix="name another file with -o", code="file.exists")
    print(f"written: {path}")
    print(f"what it takes and costs elsewhere: loratui plan {shlex.quote(str(path))} --all")
    return 0


# --- in words ---------------------------------------------------------------------------------------------------------


def _table(advised: Advice, stars: dict[str, int]) -> Iterator[str]:
    if not advised.pairs:
        return
    names = columns_of(advised.pairs)
    width = max(len(pair.name) for pair in advised.pairs)
    titles = "".join(f"  {SCORES[name].title:>{width_of(name)}}" for name in names)
    yield f"  {'file':<{width}}  weight{titles}  your stars"
    for pair in advised.pairs:
        mark = "*" if advised.is_on_front(pair) else " "
        cells = "".join(f"  {cell(pair, name):>{width_of(name)}}" for name in names)
        given = stars.get(pair.artifact_id)
        yield f"{mark} {pair.name:<{width}}  {pair.weight:>6g}{cells}  {given or formatting.UNKNOWN}"
    yield "* no other one is as good in every score and better in one"


def _reasons(advised: Advice) -> Iterator[str]:
    yield advised.sentence
    for stage in advised.stages:
        yield f"  {stage.says}"
    if advised.advised is not None:
        for lack in advised.lacks:
            yield f"  {lack}"
        yield "it is advice: nothing was picked, and the table and your eyes may say otherwise"


def _told(run: StoredRun, changes: Iterable[_Change]) -> Iterator[str]:
    for number, change in enumerate(changes, 1):
        remedy = change.remedy
        yield f"{number}. {remedy.what} [{remedy.code}]"
        yield f"   {remedy.fix}"
        if not change.text:
            continue
        for line in change.diff.splitlines():
            yield f"   {line}"
        if change.seconds is not None and change.microusd is not None:
            cost = formatting.money(change.microusd, exact=False)
            took = formatting.duration(change.seconds, exact=False)
            yield f"   {change.steps} steps: {took} and {cost} at the pace and price of this run"
        yield f"   loratui advice {shlex.quote(run.name)} --write {number} -o FILE writes that config"


def _fields(run: StoredRun, advised: Advice, changes: Iterable[_Change], stars: dict[str, int]) -> dict[str, Any]:
    def named(pair: Pair) -> dict[str, Any]:
        return {"artifact_id": pair.artifact_id, "name": pair.name, "step": pair.step, "weight": pair.weight}

    def measured(pair: Pair) -> dict[str, Any]:
        errors = {name: error_of(pair, name) for name in pair.means}
        return {
            name: {"mean": mean.value, "error": errors[name] if math.isfinite(errors[name]) else None, "n": mean.count}
            for name, mean in pair.means.items()
        }

    return {
        "run": run.id,
        "advised": named(advised.advised) if advised.advised else None,
        "sentence": advised.sentence,
        "stages": [
            {"score": stage.score, "says": stage.says, "left_out": [named(pair) for pair in stage.left_out]}
            for stage in advised.stages
        ],
        "lacks": list(advised.lacks),
        "pairs": [
            {
                **named(pair),
                "on_front": advised.is_on_front(pair),
                "scores": measured(pair),
                "stars": stars.get(pair.artifact_id),
            }
            for pair in advised.pairs
        ],
        "remedies": [
            {
                **asdict(change.remedy),
                "diff": change.diff,
                "steps": change.steps,
                "seconds": change.seconds,
                "microusd": change.microusd,
            }
            for change in changes
        ],
    }
