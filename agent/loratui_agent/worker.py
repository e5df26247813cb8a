"""Takes one job to its end: starts its trainer or finds it again, watches it, judges how it ended, resumes it.

A trainer is nobody's child for long: it leads its own session and outlives the agent, so it is watched by identity.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loratui_agent.deadman import (
    ABANDONED_MIN_S,
    DRAWING_SILENCE_S,
    SILENCE_MIN_S,
    STOP_GRACE_S,
    TrainerFacts,
    TrainerVerdict,
    may_resume,
    silence_limit_s,
    trainer_verdict,
)
from loratui_agent.deeds import deeds_of
from loratui_agent.job import Job
from loratui_agent.oom import count_oom_kills
from loratui_agent.preparing import Surroundings, prepare
from loratui_agent.process import ProcessIdentity, identify, is_alive, signal_group
from loratui_agent.provision import Provisions
from loratui_agent.secrets import without_secrets
from loratui_protocol.errors import StorageError
from loratui_protocol.ids import new_id
from loratui_protocol.messages import JobState, Stop

log = logging.getLogger(__name__)
TRAINER_ARGV = (sys.executable, "-m", "loratui_agent.train")
RESUMING_DETAIL = "going on from what was saved last"
_LOOK_EVERY_S = 0.1
_LOOK_AT_CONNECTED_EVERY_S = 0.5
"""A trainer that ends hangs up first, which wakes the watch; looking is for the deadline and for hangs."""
_LAST_WORDS_S = 5.0
_ROOM_EVERY_S = 1.0
"""How often a full disk is tried again."""
_OOM_SCORE_ADJ = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a worker waits, in seconds."""

    stop_grace_s: float = STOP_GRACE_S
    silence_min_s: float = SILENCE_MIN_S
    drawing_silence_s: float = DRAWING_SILENCE_S
    cost_every_s: float = 30.0
    sync_every_s: float = 1.0
    abandoned_min_s: float = ABANDONED_MIN_S


class Worker:
    """Runs jobs, one at a time; ``trainer_socket`` is where trainers report."""

    def __init__(
        self,
        trainer_socket: Path,
        *,
        argv: Sequence[str] = TRAINER_ARGV,
        patience: Patience | None = None,
        around: Surroundings | None = None,
    ) -> None:
        self._socket = trainer_socket
        self._around = around or Surroundings()
        self._argv = argv
        self._patience = patience or Patience()
        self._child: subprocess.Popen[bytes] | None = None
        self._end: _End | None = None
        """How the last trainer ended, until that is written down."""
        self._hurried = False

    def hurry(self) -> None:
        """Kill the trainer that was told to stop, instead of waiting for it any longer."""
        self._hurried = True

    async def run(self, job: Job) -> None:
        """Take the job to a final state. Cancelled, it leaves the trainer alone: the next agent finds it.

        Where a full disk keeps it from writing down what happened, it goes on from there once there is room, as the
        next agent would.
        """
        job.last_heard_s = time.monotonic()
        while True:
            try:
                job.repair()
                await self._run(job)
                self._end = None
                return
            except StorageError as error:
                if error.code != "disk.full":
                    raise
                log.warning("job=%s waits for room: %s", job.id, error.what)
            await asyncio.sleep(_ROOM_EVERY_S)

    async def _run(self, job: Job) -> None:
        if job.state is JobState.INTERRUPTED:
            job.move(JobState.RESUMING, detail=RESUMING_DETAIL)
        while not job.state.is_final:
            trainer = job.facts.trainer
            if trainer is None:
                provisions = await self._prepare(job)
                if provisions is None:
                    return
                trainer = self._start(job, provisions)
            elif is_alive(trainer):
                log.info("job=%s trainer=%d found alive", job.id, trainer.pid)
            if self._end is None:
                oom_kills = count_oom_kills()
                verdict = await self._watch(job, trainer)
                exit_code = self._child.returncode if self._child is not None else None
                self._child = None
                await self._hear_last_words(job)
                self._end = _End(verdict, exit_code, oom_killed=count_oom_kills() > oom_kills)
            self._judge(job, self._end)

    async def _prepare(self, job: Job) -> Provisions | None:
        """Have everything there that the trainer needs; return None when the job has ended without one."""
        inputs = job.inputs
        if inputs is None:
            return Provisions()
        if job.state is JobState.QUEUED:
            job.start_meter()
            job.move(JobState.PREPARING)
        prepared = await prepare(
            job,
            inputs,
            self._around,
            cost_every_s=self._patience.cost_every_s,
            abandoned_min_s=self._patience.abandoned_min_s,
        )
        if isinstance(prepared, Provisions):
            return prepared
        self._finish(job, prepared.state, prepared.reason, prepared.detail)
        return None

    def _start(self, job: Job, provisions: Provisions) -> ProcessIdentity:
        self._end = None
        attempt = job.facts.attempt + 1
        (job.folder / "exit.json").unlink(missing_ok=True)
        # Before the trainer exists: should this agent die in between, the next one starts another attempt, and this
        # one is turned away.
        if job.state is JobState.QUEUED:
            job.start_meter()
            job.move(JobState.PREPARING, attempt=attempt)
        else:
            job.update(attempt=attempt)
        arguments = ["--job-dir", str(job.folder), "--socket", str(self._socket), "--attempt", str(attempt)]
        with (job.folder / "log").open("ab") as output:
            self._child = subprocess.Popen(
                [provisions.python or self._argv[0], *self._argv[1:], *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**without_secrets(os.environ), **provisions.environment},
                cwd=job.folder,
                start_new_session=True,
            )
        with contextlib.suppress(OSError):
            # Should memory run out, the kernel takes the trainer and not the agent, which can start it again.
            Path(f"/proc/{self._child.pid}/oom_score_adj").write_text(str(_OOM_SCORE_ADJ), "ascii")
        trainer = identify(self._child.pid) or ProcessIdentity(pid=self._child.pid, mark="")
        job.update(trainer=trainer)
        job.last_heard_s = time.monotonic()
        log.info("job=%s trainer=%d attempt=%d started", job.id, trainer.pid, attempt)
        return trainer

    async def _watch(self, job: Job, trainer: ProcessIdentity) -> TrainerVerdict:
        """Wait until the trainer is gone; return why it was killed, if it was."""
        patience = self._patience
        verdict = TrainerVerdict.GO_ON
        stopping_since_s: float | None = None
        synced_s = costed_s = time.monotonic()
        while self._is_running(trainer):
            await self._doze(job)
            now_s = time.monotonic()
            if job.facts.stop_reason and stopping_since_s is None:
                stopping_since_s = now_s
            if verdict is TrainerVerdict.GO_ON:
                stopping_s = None if stopping_since_s is None else now_s - stopping_since_s
                verdict = self._look(job, now_s, stopping_s)
                if verdict is TrainerVerdict.STOP:
                    try:
                        job.forward(Stop(id=new_id(), author="agent", job=job.id), stop_reason="deadline")
                    except StorageError:
                        # Nobody can be told of it yet; time costs money all the same.
                        signal_group(trainer, signal.SIGTERM)
                        stopping_since_s = now_s
                    verdict = TrainerVerdict.GO_ON
                elif verdict is not TrainerVerdict.GO_ON:
                    log.warning("job=%s trainer=%d killed: %s", job.id, trainer.pid, verdict.name)
                    signal_group(trainer, signal.SIGKILL)
            if now_s - costed_s >= patience.cost_every_s:
                costed_s = now_s
                job.keep_count()
            if job.journal.is_dirty and now_s - synced_s >= patience.sync_every_s:
                synced_s = now_s
                # In a thread: a busy disk takes its time, and events must not wait for it.
                await asyncio.to_thread(job.journal.sync)
        return verdict

    @staticmethod
    async def _doze(job: Job) -> None:
        """Wait until it is time to look again; a trainer that hangs up ends the wait."""
        if job.without_line.is_set():
            await asyncio.sleep(_LOOK_EVERY_S)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_AT_CONNECTED_EVERY_S):
                await job.without_line.wait()

    def _look(self, job: Job, now_s: float, stopping_s: float | None) -> TrainerVerdict:
        if self._hurried:
            return TrainerVerdict.KILL_OVERDUE
        return trainer_verdict(
            TrainerFacts(
                is_stepping=job.state is JobState.RUNNING,
                silent_s=now_s - job.last_heard_s,
                step_times_s=job.step_times_s,
                overdue_s=job.meter().overdue_s(),
                stopping_s=stopping_s,
                # Without a reason it was told to stop on a full disk, for the deadline.
                stopping_for_deadline=job.facts.stop_reason in ("deadline", ""),
                grace_s=self._patience.stop_grace_s,
                silence_min_s=self._silence_min_s(job),
            )
        )

    def _silence_min_s(self, job: Job) -> float:
        # A batch of pictures takes as long as it takes, and no step says how long that is.
        return self._patience.drawing_silence_s if job.is_trying_out else self._patience.silence_min_s

    def _is_running(self, trainer: ProcessIdentity) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return is_alive(trainer)

    @staticmethod
    async def _hear_last_words(job: Job) -> None:
        """Wait until what a dead trainer had sent is read: its end must come last in the journal."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await job.without_line.wait()

    def _judge(self, job: Job, end: "_End") -> None:
        """Decide what a trainer's end means: a result, another attempt, or a failure."""
        verdict, exit_code = end.verdict, end.exit_code
        stop_reason = job.facts.stop_reason
        ended = read_exit(job.folder / "exit.json")
        unheard = ended is not None and ended.outcome == "done" and not job.heard_done
        if unheard and may_resume(job.facts.interruptions_ts, time.time()):
            # It ended while no agent listened, so nobody knows its files: another attempt has only them to name.
            self._resume(job, "unheard", "the trainer ended while no agent listened")
        elif ended is not None and ended.outcome == "done":
            self._finish(job, JobState.DONE)
        elif ended is not None and ended.outcome == "stopped":
            # The reaper stops a trainer at the auto-stop while no agent is there, and before its machine's rental ends.
            is_overdue = job.meter().left_s() == 0 or any(deed.get("action") == "stop" for deed in deeds_of(job.folder))
            reason = stop_reason or ended.code or ("deadline" if is_overdue else "signal")
            self._finish(job, JobState.STOPPED, reason, ended.sentence)
        elif ended is not None and ended.outcome == "again":
            # No interruption: each time there is less left that another attempt could give up.
            job.move(JobState.INTERRUPTED, reason=ended.code, detail=ended.what, trainer=None)
            job.move(JobState.RESUMING, detail=RESUMING_DETAIL)
        elif ended is not None:
            self._finish(job, JobState.FAILED, ended.code, ended.sentence)
        elif verdict is TrainerVerdict.KILL_OVERDUE:
            detail = "the trainer did not stop in time and was killed; what it had saved is kept"
            self._finish(job, JobState.STOPPED, stop_reason, detail)
        elif end.oom_killed:
            detail = "the machine ran out of memory. Fix: a smaller resolution or batch, then resume the run"
            self._finish(job, JobState.FAILED, "oom_ram", detail)
        elif exit_code is not None and exit_code > 0:
            detail = f"the trainer ended with status {exit_code}: {_last_line(job.folder / 'log')}"
            self._finish(job, JobState.FAILED, "trainer.crashed", detail)
        elif verdict is TrainerVerdict.KILL_HUNG and job.facts.hangs:
            self._finish(job, JobState.FAILED, "hang", "the trainer hung again after it was resumed")
        elif not may_resume(job.facts.interruptions_ts, time.time()):
            detail = "the trainer was killed again and again; what it had saved is kept"
            self._finish(job, JobState.FAILED, "killed", detail)
        elif verdict is TrainerVerdict.KILL_HUNG:
            limit_s = silence_limit_s(job.step_times_s, self._silence_min_s(job))
            self._resume(job, "hang", f"nothing came from the trainer for {limit_s:.0f} s")
        else:
            self._resume(job, "killed", "the trainer was killed" + ("" if exit_code is None else f" ({exit_code})"))

    @staticmethod
    def _finish(job: Job, state: JobState, reason: str = "", detail: str = "") -> None:
        for command in job.pending():
            asked_for = isinstance(command, Stop) and state is not JobState.FAILED
            job.answer(command, ok=asked_for, code="" if asked_for else "job.not_running", message="the run has ended")
        job.move(state, reason=reason, detail=detail, trainer=None, pending=[], stop_reason="")

    @staticmethod
    def _resume(job: Job, reason: str, detail: str) -> None:
        job.move(
            JobState.INTERRUPTED,
            reason=reason,
            detail=detail,
            trainer=None,
            interruptions_ts=[*job.facts.interruptions_ts, time.time()],
            hangs=job.facts.hangs + (reason == "hang"),
        )
        job.move(JobState.RESUMING, detail=RESUMING_DETAIL)


@dataclass(frozen=True, slots=True)
class _End:
    """A trainer's end as it is seen from outside; ``exit_code`` None: it was not this agent's child."""

    verdict: TrainerVerdict
    exit_code: int | None
    oom_killed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerExit:
    """What a trainer wrote about its end."""

    outcome: str
    code: str = ""
    what: str = ""
    fix: str = ""

    @property
    def sentence(self) -> str:
        """Return what happened and what to do."""
        return f"{self.what}. Fix: {self.fix}" if self.fix else self.what


def read_exit(path: Path) -> TrainerExit | None:
    """Return what ``exit.json`` says, None when a trainer was killed before it could write it."""
    try:
        stored = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return TrainerExit(**{name: str(stored.get(name, "")) for name in TrainerExit.__dataclass_fields__})


def _last_line(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it wrote nothing"
