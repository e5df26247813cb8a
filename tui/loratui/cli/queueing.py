"""``queue``: what trains and waits on each machine, in its order, and what is taken out of that."""

import time
from collections.abc import Iterator
from dataclasses import replace

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.control import carried_out
from loratui.cli.following import hosting, say, take_up
from loratui.cli.listing import RunStatus, runs_now
from loratui.cli.runs import choose
from loratui.domain import formatting
from loratui.domain.formatting import one_line
from loratui.domain.overview import RunLine
from loratui.domain.queue import Queue, QueueLine, queues
from loratui.headless.json_lines import to_json
from loratui.sessions.overview import overview
from loratui.sessions.queued_steps import queued_steps
from loratui.store import Store, StoredRun
from loratui_protocol.errors import JobError
from loratui_protocol.messages import MICROUSD_PER_USD, JobState, Step

_NAME_CHARS = 24
_ENDING = (JobState.STOPPING, JobState.FINISHING)


def show(arguments: Arguments) -> int:
    """List the runs of each machine that has some, in the order in which it takes them up."""
    found, live = _queues()
    if arguments.json:
        print(to_json({"queues": [_queue_fields(queue, live) for queue in found]}))
        return 0
    for queue in found:
        print(_heading(queue))
        for line in queue.lines:
            print(_row(line, is_live=line.run.id in live))
    if not found:
        say("nothing trains, and nothing waits: loratui queue add CONFIG --on TARGET lets something")
    return 0


def remove(arguments: Arguments) -> int:
    """Take a run that waits out of its queue; with ``--undo`` put back one that was."""
    preferences = settings.load()
    with Store(preferences.database) as store:
        run = choose(store.runs(), arguments.run)
    with hosting(preferences) as host:
        refusal = take_up(host, run.id)
        if refusal is not None:
            raise refusal
        _check(run, host.view(run.id).state, has_begun=host.view(run.id).step > 0, is_undone=arguments.undo)
        carried_out(host, run, "resume" if arguments.undo else "stop")
        state = host.view(run.id).state
    name = one_line(run.name)
    if arguments.json:
        print(to_json({"run": run.id, "name": run.name, "queue": "put_back" if arguments.undo else "removed"}))
    elif arguments.undo:
        print(f"{name} waits again, at the end of the queue")
    elif state in _ENDING:
        # Between the look and the word its turn had come.
        print(f"{name} had just begun: it ends after its step, with what it has learned")
    else:
        print(f"{name} is removed; to put it back, at the end: loratui queue remove {run.id} --undo")
    return 0


def _check(run: StoredRun, state: JobState, *, has_begun: bool, is_undone: bool) -> None:
    """Return if the run waits, or, to be put back, was removed while it did.

    Raises:
        JobError: it does not, or was not.
    """
    if is_undone and (state is not JobState.STOPPED or has_begun):
        raise JobError(
            f"{run.name} is {state}, and was not removed from a queue: nothing has changed",
            fix=f"loratui resume {run.id} lets a run go on that was stopped",
            code="queue.not_removed",
        )
    if not is_undone and state is not JobState.QUEUED:
        raise JobError(
            f"{run.name} is {state} and does not wait: nothing has changed",
            fix="loratui queue lists what waits" if state.is_final else f"to end it: loratui stop {run.id}",
            code="queue.not_waiting",
        )


def _queues() -> tuple[list[Queue], set[str]]:
    """Return the queues as the records have them with what agents say now, and the runs that are heard."""
    preferences = settings.load()
    with Store(preferences.database) as store:
        statuses = runs_now(preferences, [run for run in store.runs() if not run.state.is_final])
        now = {status.run.id: (status, store.last(status.run.id, Step)) for status in statuses}
    known = overview(preferences)
    known = replace(known, runs=tuple(_heard(line, *now.get(line.id, (None, None))) for line in known.runs))
    waiting = [line.id for line in known.runs if line.state is JobState.QUEUED and not line.total]
    found = queues(known, None, queued_steps(preferences, waiting), time.time())
    return found, {line.id for line in known.runs if line.is_live or line.state.is_final}


def _heard(line: RunLine, status: RunStatus | None, last: Step | None) -> RunLine:
    """Return what the records say of a run with what its agent says."""
    if status is None or not status.is_live:
        return line
    run = status.run
    is_training = run.state is JobState.RUNNING and last is not None and last.it_s and run.total
    end = (last.stop if last is not None else None) or run.total
    eta_s = (end - run.step) / last.it_s if is_training and last is not None and last.it_s else None
    return replace(
        line,
        state=run.state,
        step=run.step,
        total=run.total or line.total,
        spent_microusd=run.spent_microusd,
        eta_s=eta_s,
        stop=None if last is None else last.stop,
        is_live=True,
    )


def _heading(queue: Queue) -> str:
    return ", ".join([_place(queue), *_sums(queue)])


def _place(queue: Queue) -> str:
    rental = queue.rental
    if rental is None:
        return "this machine" if queue.target == "local" else one_line(queue.target)
    return one_line(f"{rental.provider} {rental.instance_id or rental.label} {rental.gpu}")


def _sums(queue: Queue) -> Iterator[str]:
    yield f"{sum(line.is_waiting for line in queue.lines)} waiting"
    spent = f"{formatting.money(queue.spent_microusd, exact=queue.is_exact)} so far"
    yield spent if queue.is_cost_known else "price not known"
    if queue.rental is not None:
        yield formatting.hourly_price(queue.rental.price_microusd_per_h)
    if queue.ends_in_s is not None:
        yield f"all done in {formatting.APPROXIMATELY}{formatting.duration(queue.ends_in_s)}"


def _row(line: QueueLine, *, is_live: bool) -> str:
    run = line.run
    state = "machine gone" if run.is_machine_gone else run.state
    mark = "" if is_live or run.is_over else formatting.APPROXIMATELY
    steps = f"{line.step}/{line.total}" if line.total else ""
    ends = "" if line.ends_in_s is None else f"ends in {formatting.APPROXIMATELY}{formatting.duration(line.ends_in_s)}"
    cost = formatting.money(line.spent_microusd, exact=line.is_exact) if line.is_cost_known else formatting.UNKNOWN
    parts = (
        f"{line.number:>3}",
        run.id,
        f"{one_line(run.name, _NAME_CHARS):<{_NAME_CHARS}}",
        f"{mark + state:<13}",
        f"{steps:>13}",
        f"{cost:>8}",
        ends,
    )
    return "  ".join(parts).rstrip()


def _queue_fields(queue: Queue, live: set[str]) -> dict[str, object]:
    rental = queue.rental
    return {
        "target": queue.target,
        "rental": rental.label if rental else None,
        "usd": queue.spent_microusd / MICROUSD_PER_USD if queue.is_cost_known else None,
        "usd_per_h": rental.price_microusd_per_h / MICROUSD_PER_USD if rental else None,
        "ends_in_s": queue.ends_in_s,
        "runs": [_run_fields(line, is_live=line.run.id in live) for line in queue.lines],
    }


def _run_fields(line: QueueLine, *, is_live: bool) -> dict[str, object]:
    return {
        "run": line.run.id,
        "name": line.run.name,
        "state": line.run.state,
        "live": is_live,
        "waiting": line.is_waiting,
        "machine_gone": line.run.is_machine_gone,
        "step": line.step,
        "total": line.total,
        "usd": line.spent_microusd / MICROUSD_PER_USD if line.is_cost_known else None,
        "ends_in_s": line.ends_in_s,
    }
