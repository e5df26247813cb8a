"""What happens on the box after a job: once its files are fetched, or nobody came for them in time.

Each job's ``on_done`` happens once, whatever is killed in between: ``state.json`` says how far it has come. What ends
agent, machine or rental comes last: never before the files of every other job had their time, too. What the reaper did
is written into the journal here.
"""

import asyncio
import contextlib
import functools
import logging
import shutil
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Protocol

from loratui_agent.clock import now
from loratui_agent.deadman import (
    CLIENT_ENDS_S,
    POWER_CHECK_S,
    EndedJob,
    PowerVerdict,
    after_end,
    effective_keep_s,
    holds_others,
    power_verdict,
)
from loratui_agent.deeds import DEEDS, deeds_of
from loratui_agent.job import Job
from loratui_agent.on_done_command import LIMIT_S, LOG_NAME, run_command
from loratui_agent.power import power_off
from loratui_agent.rental import END
from loratui_protocol.errors import StorageError
from loratui_protocol.messages import Deadman
from loratui_protocol.paths import AgentHome

log = logging.getLogger(__name__)
STOP = "stop"
POWER_OFF = "poweroff"
RUN = "run:"
MAX_COMMAND_CHARS = 4096
_LOOK_EVERY_S = 0.5
_LEASE_EVERY_S = 15.0
_TELL_S = 5.0
_TELL_EVERY_S = 0.05
_ROOM_EVERY_S = 1.0

_Work = Callable[..., Coroutine[None, None, None]]


def is_on_done(text: str) -> bool:
    """Return whether the text says something that can happen after a job."""
    command = text.removeprefix(RUN)
    is_run = command != text and bool(command.strip()) and len(command) <= MAX_COMMAND_CHARS and "\x00" not in command
    return text in ("", STOP, POWER_OFF, END) or is_run


class Clients(Protocol):
    """What the connected clients hold; the agent's server."""

    def num_leases(self, job: str) -> int:
        """Return how many living clients follow the job."""
        ...

    def acked_seq(self, job: str) -> int:
        """Return up to which record some client has the job's journal on its disk."""
        ...


class Afterwards:
    """Ends what is to be ended after jobs. ``stop`` ends the agent."""

    def __init__(
        self,
        jobs: Mapping[str, Job],
        clients: Clients,
        *,
        is_idle: Callable[[], bool],
        stop: Callable[[], None],
        power_check_s: float = POWER_CHECK_S,
        command_limit_s: float = LIMIT_S,
        client_ends_s: float = CLIENT_ENDS_S,
    ) -> None:
        self._jobs = jobs
        self._clients = clients
        self._is_idle = is_idle
        self._stop = stop
        self._power_check_s = power_check_s
        self._command_limit_s = command_limit_s
        self._client_ends_s = client_ends_s
        self._at_work: set[str] = set()
        self._fetched_s: dict[str, float] = {}
        """When each job was first seen to be fetched."""
        self._deeds_ns: dict[str, int] = {}

    @property
    def is_waiting(self) -> bool:
        """Return whether an ended job will need this agent when its time to be fetched is over."""
        return any(
            job.facts.afterwards == "begun" or (_is_due(job) and _keep_s(job) is not None)
            for job in self._jobs.values()
        )

    async def run(self) -> None:
        """Look after the ended jobs, forever."""
        async with asyncio.TaskGroup() as tasks:
            for job in self._jobs.values():
                self._begin(tasks, job, _take_up)
            while True:
                self._round(tasks)
                await asyncio.sleep(_LOOK_EVERY_S)

    def _begin(self, tasks: asyncio.TaskGroup, job: Job, work: _Work, *reason: str) -> None:
        """Do it in a task of its own: what hangs after one job keeps no other waiting."""

        async def done() -> None:
            try:
                await work(job, *reason)
            except StorageError as error:
                log.warning("job=%s what comes after it waits for room: %s", job.id, error.what)
            finally:
                self._at_work.discard(job.id)

        self._at_work.add(job.id)
        tasks.create_task(done(), name=f"after {job.id}")

    def _round(self, tasks: asyncio.TaskGroup) -> None:
        found = [(job, self._look(job)) for job in self._jobs.values() if job.state.is_final]
        due = [(job, reason) for job, ended in found if (reason := self._reason(job, ended))]
        for job, reason in due:
            if job.facts.on_done.startswith(RUN):
                self._begin(tasks, job, self._run, reason)
        for job in self._jobs.values():
            if job.id not in self._at_work and self._has_new_deeds(job):
                self._begin(tasks, job, _write_deeds)
        # A machine that goes takes its agent along, not the other way round.
        for on_done, work in ((END, self._end_rental), (POWER_OFF, self._power_off), (STOP, self._end_agent)):
            for job, reason in due:
                if job.facts.on_done == on_done and self._may_end(job, found):
                    self._begin(tasks, job, work, reason)

    def _has_new_deeds(self, job: Job) -> bool:
        """Return whether the reaper, beside this agent, has done something about the job since this was last asked."""
        try:
            changed_ns = (job.folder / DEEDS).stat().st_mtime_ns
        except OSError:
            return False
        known_ns, self._deeds_ns[job.id] = self._deeds_ns.get(job.id), changed_ns
        return changed_ns != known_ns

    def _look(self, job: Job) -> EndedJob:
        moment = now()
        num_clients = self._clients.num_leases(job.id)
        # What one client does not want another that is here may still be fetching.
        settled = {*job.facts.acked, *(job.facts.declined if num_clients < 2 else ())}
        has_heard = not _is_due(job) or self._clients.acked_seq(job.id) >= job.state_seq
        is_fetched = has_heard and set(job.artifacts) <= settled
        leased = job.facts.leased
        # Where a full disk keeps that from being written down, the next time has to do.
        with contextlib.suppress(StorageError):
            if job.facts.ended is None:
                job.update(ended=moment)
            if num_clients and not is_fetched and (leased is None or leased.seconds_until(moment) > _LEASE_EVERY_S):
                job.update(leased=moment)
        since = job.facts.leased or job.facts.ended or moment
        return EndedJob(
            is_fetched=is_fetched,
            has_client=num_clients > 0,
            kept_s=since.seconds_until(moment),
            keep_s=_keep_s(job),
            fetched_s=self._since_fetched_s(job) if is_fetched else 0.0,
            leaves_it_s=self._client_ends_s if job.facts.on_done == END else 0.0,
        )

    def _since_fetched_s(self, job: Job) -> float:
        now_s = time.monotonic()
        return now_s - self._fetched_s.setdefault(job.id, now_s)

    def _reason(self, job: Job, ended: EndedJob) -> str:
        """Return why something is to be done after the job now, nothing when it is not."""
        if job.id in self._at_work:
            return ""
        if _is_due(job):
            return after_end(ended)
        if not _is_half_off(job) or self._power_verdict(job) is PowerVerdict.WAIT:
            return ""
        # The agent was killed right before it, or the machine stayed on; whoever came since may look around.
        return after_end(ended) or ("" if ended.has_client else "done")

    def _may_end(self, job: Job, found: list[tuple[Job, EndedJob]]) -> bool:
        """Return whether nothing but this job needs agent and machine: no other that trains or waits, no files."""
        others = [(other, ended) for other, ended in found if other is not job]
        return (
            self._is_idle()
            and not self._at_work
            and not any(holds_others(ended) or _is_half_off(other) for other, ended in others)
        )

    async def _run(self, job: Job, reason: str) -> None:
        job.update(afterwards="begun", begun=now())
        log.info("job=%s on_done=run reason=%s", job.id, reason)
        ok, detail = await run_command(job.facts.on_done.removeprefix(RUN), job, self._command_limit_s)
        await _finish(job, Deadman(action="run", reason=reason, ok=ok, detail=detail))

    async def _end_agent(self, job: Job, reason: str) -> None:
        job.update(afterwards="begun", begun=now())
        log.info("job=%s on_done=stop reason=%s", job.id, reason)
        await _finish(job, Deadman(action=STOP, reason=reason))
        await self._tell(job)
        self._stop()

    async def _end_rental(self, job: Job, reason: str) -> None:
        """Ask the reaper for the end of the rental: it has the key, and tries on whatever becomes of this agent."""
        log.info("job=%s on_done=end reason=%s", job.id, reason)
        try:
            job.record(Deadman(action=END, reason=reason))
            await self._tell(job)
        except StorageError as error:
            # Time costs money, written down or not.
            log.warning("job=%s not written down: %s", job.id, error.what)
        # A resume that came meanwhile has the last word.
        if _is_due(job):
            await _written(lambda: job.update(afterwards="begun", begun=now()))
            if reason == "done":
                await asyncio.to_thread(_remove_inputs, job)

    async def _power_off(self, job: Job, reason: str) -> None:
        """Try once to power off; one that stays on is found out later, by ``_reason``."""
        log.info("job=%s on_done=poweroff reason=%s tries=%d", job.id, reason, len(job.facts.power_tries))

        def tell_failure(detail: str) -> None:
            log.error("job=%s the machine stays on: %s", job.id, detail)
            job.record(Deadman(action=POWER_OFF, reason=reason, ok=False, detail=detail))

        try:
            if _is_due(job):
                job.update(afterwards="begun", begun=now(), power_tries=[])
                job.record(Deadman(action=POWER_OFF, reason=reason))
                await self._tell(job)
            elif job.facts.power_tries[-1:] == [""]:
                tell_failure("the machine agreed and stays on: end it where you rent it")
        except StorageError as error:
            # Time costs money, written down or not.
            log.warning("job=%s not written down: %s", job.id, error.what)
        tries = job.facts.power_tries
        if self._power_verdict(job) is PowerVerdict.GIVE_UP:
            await _written(lambda: job.update(afterwards="done"))
            return
        complaint = await asyncio.to_thread(power_off)
        # Only now: an agent that was killed before the switch leaves it to the next one.
        await _written(lambda: job.update(afterwards="begun", begun=now(), power_tries=[*tries, complaint]))
        if complaint:
            await _written(lambda: tell_failure(complaint))

    def _power_verdict(self, job: Job) -> PowerVerdict:
        begun = job.facts.begun or now()
        return power_verdict(len(job.facts.power_tries), begun.seconds_until(now()), self._power_check_s)

    async def _tell(self, job: Job) -> None:
        """Give the clients that follow a moment to have the last record, too."""
        end_s = time.monotonic() + _TELL_S
        while self._clients.num_leases(job.id) and self._clients.acked_seq(job.id) < job.journal.head:
            if time.monotonic() > end_s:
                return
            await asyncio.sleep(_TELL_EVERY_S)


def _remove_inputs(job: Job) -> None:
    """Remove what was brought here: the machine goes, and who has it next, or owns it, need not find pictures on it."""
    home = AgentHome(job.folder.parent.parent)
    for folder in (home.blobs, *home.jobs.glob("*/inputs")):
        shutil.rmtree(folder, ignore_errors=True)


def _is_due(job: Job) -> bool:
    return bool(job.facts.on_done) and job.state.is_final and not job.facts.afterwards


def _is_half_off(job: Job) -> bool:
    return job.facts.on_done == POWER_OFF and job.facts.afterwards == "begun"


def _keep_s(job: Job) -> float | None:
    return effective_keep_s(job.facts.keep_s, job.facts.attempt)


async def _finish(job: Job, event: Deadman) -> None:
    await _written(lambda: job.record(event))
    await _written(lambda: job.update(afterwards="done"))


async def _written(write: Callable[[], None]) -> None:
    """Write down what has happened; on a full disk, as soon as there is room."""
    while True:
        try:
            write()
        except StorageError as error:
            log.warning("waiting for room: %s", error.what)
        else:
            return
        await asyncio.sleep(_ROOM_EVERY_S)


async def _write_deeds(job: Job) -> None:
    """Write the reaper's deeds into the journal, each once."""
    for deed in deeds_of(job.folder):
        done_ts = deed.get("ts")
        if not isinstance(done_ts, float) or done_ts <= job.facts.reaped_ts:
            continue
        action, reason, detail = (str(deed.get(name, "")) for name in ("action", "reason", "detail"))
        ok = deed.get("ok") is True
        event = Deadman(action=action, reason=reason, ok=ok, detail=detail)
        changes: dict[str, object] = {}
        if action == POWER_OFF:
            tries = [*job.facts.power_tries, ""] if ok else [*job.facts.power_tries[:-1], detail]
            has_stayed_on = deed.get("boot") == now().boot
            changes = {"afterwards": "begun" if has_stayed_on else "done", "begun": now(), "power_tries": tries}
        await _written(functools.partial(job.record, event, ts=done_ts))
        await _written(functools.partial(job.update, reaped_ts=done_ts, **changes))


async def _take_up(job: Job) -> None:
    """Write down what happened while no agent was there."""
    await _write_deeds(job)
    # A rental that is to end is the reaper's to end.
    if job.facts.afterwards != "begun" or job.facts.on_done == END:
        return
    if job.facts.on_done == POWER_OFF:
        # A machine that has come back was off in between, and shall not go off again before anyone can look.
        if job.facts.begun is None or job.facts.begun.boot != now().boot:
            await _written(lambda: job.update(afterwards="done"))
    else:
        action = job.facts.on_done.partition(":")[0]
        detail = "the agent was killed in the middle of it" + (f"; see {LOG_NAME}" if action == "run" else "")
        await _finish(job, Deadman(action=action, reason="done", ok=False, detail=detail))
