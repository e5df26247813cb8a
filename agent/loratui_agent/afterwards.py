"""What happens on the box after a job: once its files are fetched, or nobody came for them in time.

Each job's ``on_done`` happens once, whatever is killed in between: ``state.json`` says how far it has come. What the
reaper did is written into the journal here, too.
"""

import asyncio
import logging
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from loratui_agent.clock import now
from loratui_agent.deadman import EndedJob, after_end
from loratui_agent.job import Job
from loratui_agent.power import power_off
from loratui_agent.reaper import deeds_of
from loratui_agent.worker import without_secrets
from loratui_protocol.messages import Deadman

log = logging.getLogger(__name__)
STOP = "stop"
POWER_OFF = "poweroff"
RUN = "run:"
MAX_COMMAND_CHARS = 4096
LOG_NAME = "on_done.log"
_LOOK_EVERY_S = 0.5
_LEASE_EVERY_S = 15.0
_TELL_S = 5.0
_TELL_EVERY_S = 0.05


def is_on_done(text: str) -> bool:
    """Return whether the text says something that can happen after a job."""
    command = text.removeprefix(RUN)
    is_run = command != text and bool(command.strip()) and len(command) <= MAX_COMMAND_CHARS and "\x00" not in command
    return text in ("", STOP, POWER_OFF) or is_run


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
        self, jobs: Mapping[str, Job], clients: Clients, *, is_idle: Callable[[], bool], stop: Callable[[], None]
    ) -> None:
        self._jobs = jobs
        self._clients = clients
        self._is_idle = is_idle
        self._stop = stop

    @property
    def is_waiting(self) -> bool:
        """Return whether an ended job will need this agent when its time to be fetched is over."""
        return any(
            job.facts.afterwards == "begun" or (_is_due(job) and job.facts.keep_s is not None)
            for job in self._jobs.values()
        )

    async def run(self) -> None:
        """Look after the ended jobs, forever."""
        for job in self._jobs.values():
            _take_up(job)
        while True:
            for job in list(self._jobs.values()):
                if _is_due(job):
                    await self._look(job)
                elif job.facts.on_done == POWER_OFF and job.facts.afterwards == "begun" and self._is_idle():
                    # An agent was killed right before it: the machine was never off.
                    await self._switch_off(job, "done")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look(self, job: Job) -> None:
        facts, moment = job.facts, now()
        num_clients = self._clients.num_leases(job.id)
        has_client = num_clients > 0
        # What one client does not want another that is here may still be fetching.
        settled = {*facts.acked, *(facts.declined if num_clients < 2 else ())}
        since = facts.leased or facts.ended or moment
        if facts.ended is None:
            job.update(ended=moment)
        if has_client and (facts.leased is None or facts.leased.seconds_until(moment) > _LEASE_EVERY_S):
            job.update(leased=moment)
        reason = after_end(
            EndedJob(
                is_fetched=set(job.artifacts) <= settled and self._clients.acked_seq(job.id) >= job.state_seq,
                has_client=has_client,
                kept_s=since.seconds_until(moment),
                keep_s=facts.keep_s,
            )
        )
        # Another job may be running here, or wait for its turn: it needs agent and machine.
        if reason and (facts.on_done.startswith(RUN) or self._is_idle()):
            await self._act(job, reason)

    async def _act(self, job: Job, reason: str) -> None:
        on_done = job.facts.on_done
        log.info("job=%s on_done=%s reason=%s", job.id, on_done.partition(":")[0], reason)
        job.update(afterwards="begun", begun=now())
        if on_done.startswith(RUN):
            ok, detail = await _run(on_done.removeprefix(RUN), job)
            _finish(job, Deadman(action="run", reason=reason, ok=ok, detail=detail))
            return
        job.record(Deadman(action=on_done, reason=reason))
        if on_done == STOP:
            job.update(afterwards="done")
            await self._tell(job)
            self._stop()
            return
        await self._tell(job)
        await self._switch_off(job, reason)

    @staticmethod
    async def _switch_off(job: Job, reason: str) -> None:
        os.sync()
        complaint = await asyncio.to_thread(power_off)
        if complaint:
            log.error("job=%s the machine stays on: %s", job.id, complaint)
            job.record(Deadman(action=POWER_OFF, reason=reason, ok=False, detail=complaint))
        # Only now: an agent that was killed before the switch leaves it to the next one.
        job.update(afterwards="done")

    async def _tell(self, job: Job) -> None:
        """Give the clients that follow a moment to have the last record, too."""
        end_s = time.monotonic() + _TELL_S
        while self._clients.num_leases(job.id) and self._clients.acked_seq(job.id) < job.journal.head:
            if time.monotonic() > end_s:
                return
            await asyncio.sleep(_TELL_EVERY_S)


def _is_due(job: Job) -> bool:
    return bool(job.facts.on_done) and job.state.is_final and not job.facts.afterwards


def _finish(job: Job, event: Deadman) -> None:
    job.record(event)
    job.update(afterwards="done")


def _take_up(job: Job) -> None:
    """Write down what happened while no agent was there."""
    for deed in deeds_of(job.folder):
        done_ts = deed.get("ts")
        if not isinstance(done_ts, float) or done_ts <= job.facts.reaped_ts:
            continue
        action, reason, detail = (str(deed.get(name, "")) for name in ("action", "reason", "detail"))
        job.record(Deadman(action=action, reason=reason, ok=deed.get("ok") is True, detail=detail), ts=done_ts)
        job.update(reaped_ts=done_ts, **({"afterwards": "done"} if action == POWER_OFF else {}))
    if job.facts.afterwards != "begun":
        return
    if job.facts.on_done == POWER_OFF:
        # A machine that has come back was off in between.
        if job.facts.begun is None or job.facts.begun.boot != now().boot:
            job.update(afterwards="done")
    else:
        action = job.facts.on_done.partition(":")[0]
        detail = "the agent was killed in the middle of it" + (f"; see {LOG_NAME}" if action == "run" else "")
        _finish(job, Deadman(action=action, reason="done", ok=False, detail=detail))


async def _run(command: str, job: Job) -> tuple[bool, str]:
    """Run the user's command in the job's folder; return whether it went well, and how it ended."""
    began_s = time.monotonic()
    environment = without_secrets(os.environ) | {"LORATUI_RUN": job.id, "LORATUI_STATE": str(job.state)}
    try:
        with (job.folder / LOG_NAME).open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=job.folder,
                env=environment,
                start_new_session=True,
            )
            status = await process.wait()
    except OSError as error:
        return False, str(error)
    took = f"status {status} after {time.monotonic() - began_s:.0f} s"
    said = _last_line(job.folder / LOG_NAME)
    return status == 0, f"{took}: {said}" if said else took


def _last_line(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 2048))
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else ""
