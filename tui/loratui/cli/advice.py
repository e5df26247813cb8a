"""``advice``: which file the scores speak for and why, and what to try next, each change as a config to accept."""

import json
import math
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.estimating import part_fields
from loratui.cli.new_files import write_new
from loratui.cli.runs import choose
from loratui.domain import formatting
from loratui.domain.score_table import cell, columns_of, width_of
from loratui.sessions.next_steps import Change, next_steps
from loratui.sessions.recalled import recalled
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui.store.ratings import ratings_of
from loratui_protocol.config_file import parse_config
from loratui_protocol.errors import StorageError, UsageError
from loratui_protocol.harmless import clean
from loratui_protocol.judging.advice import Advice, Pair, advise, error_of, pairs_of
from loratui_protocol.judging.scores import SCORES


def advice(arguments: Arguments) -> int:
    """Print what is advised, or write one of the changed configs."""
    preferences = settings.load()
    with Store(preferences.database) as store:
        run = choose(store.runs(), arguments.run)
        downloads = store.downloads(run.id)
    view = recalled(preferences, run)
    advised = advise(pairs_of(view.scores))
    changes = next_steps(preferences, run, view, advised, downloads)
    if arguments.write is not None:
        return _write(arguments, preferences, run, changes)
    stars = ratings_of(preferences.database, run.id)
    if arguments.json:
        print(json.dumps(_fields(run, advised, changes, stars)))
        return 0
    print(clean(f"{run.name} ({run.id})"))
    for line in [*_table(advised, stars), *_reasons(advised), *_told(run, changes)]:
        print(clean(line))
    if not (advised.pairs or view.state.is_final):
        print(
            f"it is {view.state} as far as is known here; {formatting.attach_command(run.id)} follows it, or fetches it"
        )
    return 0


def _write(arguments: Arguments, preferences: Settings, run: StoredRun, changes: list[Change]) -> int:
    number = arguments.write
    if number is None or number > len(changes):
        there = f"there are {len(changes)}" if changes else "there are none"
        raise UsageError(f"no change has the number {number}: {there}", fix="loratui advice lists them")
    chosen = changes[number - 1]
    if chosen.command:
        raise UsageError(
            f"there is no config to write: {chosen.remedy.what}", fix=chosen.command, code="advice.same_run"
        )
    if not chosen.text and parse_config(run.config_toml, preferences.run_folder(run.id)).config.evaluate_loras:
        raise UsageError(
            f"{run.name} tried files out and trained nothing, so it has no config to change: {chosen.remedy.what}",
            fix=f"in the config of their training: {chosen.remedy.fix}",
        )
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


def _told(run: StoredRun, changes: Iterable[Change]) -> Iterator[str]:
    for number, change in enumerate(changes, 1):
        remedy = change.remedy
        yield f"{number}. {remedy.what} [{remedy.code}]"
        yield f"   {remedy.fix}"
        for line in (*change.diff.splitlines(), *change.price):
            yield f"   {line}"
        if change.command:
            yield f"   {change.command} does it"
        elif change.text:
            yield f"   loratui advice {shlex.quote(run.name)} --write {number} -o FILE writes that config"


def _fields(run: StoredRun, advised: Advice, changes: Iterable[Change], stars: dict[str, int]) -> dict[str, Any]:
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
                "command": change.command or None,
                **_cost_fields(change),
            }
            for change in changes
        ],
    }


def _cost_fields(change: Change) -> dict[str, Any]:
    """Return what it takes; null is what is not known. Micro-dollars and seconds are the likely ones."""
    cost = change.cost
    if cost is None:
        return {"steps": None, "seconds": None, "microusd": None, "cost": None}
    estimated, money = cost.estimate, cost.microusd
    return {
        "steps": cost.steps,
        "seconds": estimated.p50_s,
        "microusd": money and money[0],
        "cost": {
            "where": cost.machine.place,
            "step_s": cost.pace_s,
            "total_s": {"p50": estimated.p50_s, "p90": estimated.p90_s},
            "total_microusd": money and {"p50": money[0], "p90": money[1]},
            "phases": [part_fields(part) for part in estimated.parts],
            "says": cost.lines,
        },
    }
