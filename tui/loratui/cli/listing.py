"""``ls`` and ``status``: what is known here about runs, and what the agent says now of those in progress."""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.runs import choose
from loratui.domain import formatting, signals
from loratui.domain.known_price import SSH_PRICE, cost_told, cost_usd, is_cost_known
from loratui.domain.ledger import Rates, by_phase, spent
from loratui.domain.phases import amount, title
from loratui.domain.run import RunView
from loratui.headless.json_lines import to_json
from loratui.sessions.rented import rental_label
from loratui.sessions.steady_clock import steady_ts
from loratui.store import Store, StoredRun
from loratui.store.picked import picked_records
from loratui.store.rentals import Rentals
from loratui_protocol.errors import LoratuiError
from loratui_protocol.messages import (
    MICROUSD_PER_USD,
    DeltaNorms,
    JobStatus,
    Metrics,
    Scores,
    Setup,
    State,
    Step,
    Validation,
)
from loratui_protocol.state_files import step_of_folder

if TYPE_CHECKING:
    from loratui.domain.early_stop import EarlyStop
    from loratui.remote.agent_client import Transport

_OF_EARLY_STOP = (Validation.tag, DeltaNorms.tag, Scores.tag, Metrics.tag)
_ASK_TIMEOUT_S = 2.0
_ASK_HOST_TIMEOUT_S = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """A run as it is now, or, if ``is_live`` is false, as it was when it was last heard of."""

    run: StoredRun
    is_live: bool
    is_machine_gone: bool = False
    """Whether it was on a rented machine that was shown to be gone before the run was over."""
    deadline_s: float | None = None
    is_unfetched: bool = False
    """Whether it came to its end while nobody here followed it: its files are not here yet."""


def ls(arguments: Arguments) -> int:
    """List all runs, newest first; with ``--on`` also those of that host, whoever started them."""
    preferences = settings.load()
    if arguments.on is not None:
        _take_up(preferences, arguments)
    with Store(preferences.database) as store:
        runs = store.runs()
    statuses = runs_now(preferences, runs)
    if arguments.json:
        print(f"[{', '.join(to_json(_fields(status)) for status in statuses)}]")
    else:
        for status in statuses:
            run = status.run
            steps = f"{run.step}/{run.total}" if run.total else ""
            spent = cost_told(run, exact=status.is_live or run.state.is_final)
            created = formatting.day_and_time(run.created_ts)
            origin = f", goes on from {run.resumed_from}{_at_step(run)}" if run.resumed_from else ""
            where = f"{run.target}{origin}"
            print(f"{run.id}  {run.name:<24} {_state(status):<13} {steps:>13}  {spent:>8}  {created}  {where}")
    return 0


def status(arguments: Arguments) -> int:
    """Say how one run is doing."""
    preferences = settings.load()
    with Store(preferences.database) as store:
        known = store.runs()
        run = choose(known, arguments.run)
        [now] = runs_now(preferences, [run])
        last_state, last_step = store.last(run.id, State), store.last(run.id, Step)
        metrics, norms = store.last(run.id, Metrics), store.last(run.id, DeltaNorms)
        setup = None if run.total or run.state.is_final else store.last(run.id, Setup)
        stop = _early_stop(preferences, run, last_step)
        files = {download.artifact_id: str(download.path) for download in store.downloads(run.id).values()}
    if arguments.json:
        measured = {} if last_step is None else _measured(last_step, metrics, norms)
        why = {
            "reason": last_state.reason if last_state else "",
            "detail": last_state.detail if last_state else "",
        }
        rental = _rental_fields(preferences, run)
        later = {"resumed_as": [other.id for other in known if other.resumed_from == run.id]}
        rented = {"rental": rental} if rental else {}
        phase = setup and {"name": setup.phase, "done": setup.done, "total": setup.total, "unit": setup.unit}
        said = {
            "rights": run.rights,
            "phase": phase,
            "early_stop": stop and {**asdict(stop), "sentence": stop.sentence},
        }
        print(to_json({**_fields(now), **said, **later, **why, **measured, **rented, "files": files}))
        return 0
    run = now.run
    rental = _rental_fields(preferences, run)
    how_far = f", step {run.step} of {run.total}" if run.total else ""
    if setup is not None:
        # Before the steps, and where files are tried out, there is that to tell.
        how_far = f", {title(setup.phase)} {amount(setup)}".rstrip()
    print(f"{run.name} on {run.target}: {_state(now)}{how_far} ({run.id})")
    if now.is_unfetched:
        # By its id: a newer one may have the same name.
        print(f"its last files are on {run.target} still: {formatting.attach_command(run.id)} fetches them")
    for sentence in _family(run, known):
        print(sentence)
    if last_state is not None and last_state.state is run.state and last_state.detail:
        print(last_state.detail + (f" [{last_state.reason}]" if last_state.reason else ""))
    if last_step is not None:
        loss = f"loss {formatting.loss(last_step.loss)} (of one step: noisy)"
        print(f"{loss}, {formatting.speed(last_step.it_s)} at step {last_step.step}")
    if metrics is not None:
        print(f"{signals.pace(metrics)} at step {metrics.step}")
        rates = signals.effective_lrs(metrics.effective_lr)
        print(f"each picture shown {signals.exposures(metrics)}; learning rate x alpha / rank: {rates}")
    if norms is not None:
        print(f"{signals.strength(norms)} at step {norms.step}")
    if stop is not None:
        print(stop.sentence)
    print(f"{_cost_sentence(now)}, auto-stop: {formatting.auto_stop(now.deadline_s)}")
    if rental:
        print(_rental_sentence(rental))
    if run.rights:
        print(f"rights: {run.rights}")
    for path in files.values():
        print(path)
    return 0


def _cost_sentence(now: RunStatus) -> str:
    run = now.run
    if not is_cost_known(run):
        return f"what it costs is not known ({SSH_PRICE} is not set)"
    spent = cost_told(run, exact=now.is_live or run.state.is_final)
    return f"spent {spent} at {formatting.hourly_price(run.price_microusd_per_h)}"


def _family(run: StoredRun, known: Iterable[StoredRun]) -> Iterator[str]:
    """Yield which run this one goes on from, and which ones go on from it: they bear the same name."""
    by_id = {other.id: other for other in known}
    if run.resumed_from:
        origin = by_id.get(run.resumed_from)
        yield f"goes on from {run.resumed_from}{_at_step(run)}" + (f", on {origin.target}" if origin else "")
    for other in by_id.values():
        if other.resumed_from == run.id:
            yield f"{other.id} goes on from it{_at_step(other)}, on {other.target}"


def _at_step(run: StoredRun) -> str:
    step = step_of_folder(Path(run.state_dir).name)
    return "" if step is None else f" at step {step}"


def _rental_fields(preferences: settings.Settings, run: StoredRun) -> dict[str, object]:
    """Return what the rental that a run is, or was, on has cost by its time; nothing where it is on none."""
    label = rental_label(run.target)
    if not label:
        return {}
    now_ts = steady_ts()
    with Rentals(preferences.database) as ledger:
        rental, spans = ledger.rental(label), ledger.spans(label)
    cost = spent(spans, now_ts, Rates.of(rental.offer, rental.price_microusd_per_h))
    left_s = None if rental.deadline_ts is None or rental.state.is_over else max(0.0, rental.deadline_ts - now_ts)
    return {
        "label": label,
        "provider": rental.provider,
        "state": str(rental.state),
        "usd": cost.total_microusd / MICROUSD_PER_USD,
        "phases_usd": {str(phase): cost / MICROUSD_PER_USD for phase, cost in by_phase(spans, now_ts).items()},
        "usd_per_h": rental.price_microusd_per_h / MICROUSD_PER_USD,
        "cap_usd": None if rental.cap_microusd is None else rental.cap_microusd / MICROUSD_PER_USD,
        "ends_in_s": left_s,
        "armed": rental.armed,
        "stops_for": rental.stops_for,
    }


def _rental_sentence(rental: dict[str, Any]) -> str:
    parts = ", ".join(f"{phase.replace('_', ' ')} ${usd:.4f}" for phase, usd in rental["phases_usd"].items())
    ends = ""
    if rental["ends_in_s"] is not None:
        why = f" ({rental['stops_for']})" if rental["stops_for"] else ""
        who = "it ends itself" if rental["armed"] == "end" else "no machine of its own will end it; this laptop does"
        ends = f"; {who} in {formatting.duration(rental['ends_in_s'])}{why}"
    return f"rental {rental['label']} is {rental['state']}: ${rental['usd']:.4f} for its time ({parts}){ends}"


def _take_up(preferences: settings.Settings, arguments: Arguments) -> None:
    from loratui.cli.following import hosting
    from loratui.cli.hosts import find_runs

    with hosting(preferences) as host, Store(preferences.database) as store:
        find_runs(host, store, arguments.on or "", arguments)


def runs_now(preferences: settings.Settings, runs: Sequence[StoredRun]) -> list[RunStatus]:
    """Return the runs' states, asking the agents of those that are not over."""
    gone = _gone(preferences)
    open_runs = [run for run in runs if not run.state.is_final and rental_label(run.target) not in gone]
    answers = asyncio.run(_ask_all(preferences, open_runs)) if open_runs else {}
    return [
        replace(
            _merged(run, answers.get(run.id)),
            is_machine_gone=not run.state.is_final and rental_label(run.target) in gone,
        )
        for run in runs
    ]


def _gone(preferences: settings.Settings) -> set[str]:
    """Return the labels of the rentals that are over."""
    with Rentals(preferences.database) as ledger:
        return {rental.label for rental in ledger.rentals() if rental.state.is_over}


def _merged(run: StoredRun, answer: JobStatus | None) -> RunStatus:
    if answer is None:
        return RunStatus(run=run, is_live=run.state.is_final)
    now = replace(run, state=answer.state, step=answer.step, total=answer.total, spent_microusd=answer.spent_microusd)
    # Only runs that were not over when they were last followed are asked for.
    return RunStatus(run=now, is_live=True, deadline_s=answer.deadline_s, is_unfetched=answer.state.is_final)


async def _ask_all(preferences: settings.Settings, runs: Iterable[StoredRun]) -> dict[str, JobStatus]:
    """Return what the agents of these runs say of their jobs, all asked at once; one that is silent says nothing."""
    # Loaded only when there is someone to ask: a list of finished runs needs no network library.
    from loratui.sessions.targets import LOCAL, Targets

    targets = Targets(preferences, may_start=False)
    answers: dict[str, JobStatus] = {}
    there: dict[tuple[str, Path], list[StoredRun]] = {}
    for run in runs:
        there.setdefault((run.target, run.home), []).append(run)

    async def ask(run: StoredRun, ids: set[str]) -> None:
        timeout_s = _ASK_TIMEOUT_S if run.target == LOCAL else _ASK_HOST_TIMEOUT_S
        with contextlib.suppress(LoratuiError, TimeoutError):
            async with asyncio.timeout(timeout_s):
                jobs = await _ask(targets.way_to(run))
                # What a machine says of runs that are elsewhere is not believed.
                answers.update({run_id: job for run_id, job in jobs.items() if run_id in ids})

    try:
        async with asyncio.TaskGroup() as tasks:
            for its_runs in there.values():
                tasks.create_task(ask(its_runs[-1], {run.id for run in its_runs}))
    finally:
        await targets.close()
    return answers


async def _ask(way: "Transport") -> dict[str, JobStatus]:
    from loratui.remote.agent_client import connected
    from loratui_protocol.ids import new_id

    async with connected(way, new_id()) as agent:
        return {job.job: job for job in agent.hello_ok.jobs}


def _fields(status: RunStatus) -> dict[str, object]:
    run = status.run
    return {
        "run": run.id,
        "name": run.name,
        "target": run.target,
        "state": run.state,
        "live": status.is_live,
        "machine_gone": status.is_machine_gone,
        "fetched": not status.is_unfetched,
        "step": run.step,
        "total": run.total,
        "usd": cost_usd(run),
        "usd_per_h": run.price_microusd_per_h / MICROUSD_PER_USD if is_cost_known(run) else None,
        "deadline_s": status.deadline_s,
        "created_ts": run.created_ts,
        "ended_ts": run.ended_ts,
        "resumed_from": run.resumed_from or None,
    }


def _early_stop(preferences: settings.Settings, run: StoredRun, last: Step | None) -> "EarlyStop | None":
    """Return the advice to stop a run, by the records that it rests on; None: there is none."""
    from loratui.domain.early_stop import course_of, early_stop

    if last is None or run.state.is_final:
        return None
    view = RunView(run_id=run.id, name=run.name, target=run.target, price_microusd_per_h=run.price_microusd_per_h)
    with closing(picked_records(preferences.database, run.id, only=_OF_EARLY_STOP)) as records:
        for record in records:
            view.apply(record)
    view.eta_s = last.eta_s
    return early_stop(course_of(view))


def _measured(step: Step, metrics: Metrics | None, norms: DeltaNorms | None) -> dict[str, object]:
    """Return what the trainer measured last; null is what it did not, or not yet."""
    pace = metrics or Metrics(step=0)
    return {
        "epoch": step.epoch,
        "loss": step.loss,
        "lr": step.lr,
        "it_s": step.it_s,
        "eta_s": step.eta_s,
        "vram_gib": step.vram_gib,
        "ram_gib": step.ram_gib,
        "img_s": pace.img_s,
        "tflop_s": pace.tflop_s,
        "data_wait": pace.data_wait,
        "exposures_per_picture": pace.exposures_per_picture,
        "effective_lr": pace.effective_lr or None,
        "delta_norms": norms.relative if norms else None,
    }


def _state(status: RunStatus) -> str:
    """Return the state, marked when it may be another by now."""
    if status.is_machine_gone:
        return "machine gone"
    if status.is_unfetched:
        return f"{status.run.state}, not fetched"
    return str(status.run.state) if status.is_live else f"{formatting.APPROXIMATELY}{status.run.state}"
