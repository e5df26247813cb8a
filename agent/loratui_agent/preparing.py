"""A job between its start and its trainer: what it needs is brought, while it can be stopped and its time runs."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from loratui_agent.blobs import has_blob
from loratui_agent.deadman import abandoned_after_s
from loratui_agent.environment.recipe import blob_of
from loratui_agent.job import Job
from loratui_agent.provision import Provisions, provision
from loratui_agent.rental import read_rental
from loratui_agent.secrets import forget_secrets
from loratui_protocol.errors import LoratuiError, StorageError
from loratui_protocol.ids import new_id
from loratui_protocol.inputs import JobInputs
from loratui_protocol.messages import JobState, Setup, Stop, Warn
from loratui_protocol.paths import AgentHome

log = logging.getLogger(__name__)
_LOOK_EVERY_S = 0.1
_STOPPED_DETAIL = "it was stopped before its training began"


@dataclass(frozen=True, slots=True)
class Unprepared:
    """Why a job gets no trainer: the state that it ends in."""

    state: JobState
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an agent knows of its clients and of its other jobs, asked by a job's id."""

    has_client: Callable[[str], bool] = lambda _job: True
    """A living client follows it."""
    are_others_unprepared: Callable[[str], bool] = lambda _job: False
    """Another job is still to be prepared, or is being so."""


async def prepare(
    job: Job, inputs: JobInputs, around: Surroundings, *, cost_every_s: float, abandoned_min_s: float
) -> Provisions | Unprepared:
    """Bring what the job needs, or return why it ends without. Cancelled, it leaves all for the next agent."""
    # A job lies in the folder of its home's jobs.
    home = AgentHome(job.folder.parent.parent)
    facts = job.facts
    # A rental that is to end bills until then.
    ends_something = bool(facts.on_done) or read_rental(home.run) is not None
    patience_s = abandoned_after_s(facts.keep_s, ends_something=ends_something, minimum_s=abandoned_min_s)
    upload = _Upload(job, inputs, home, around, patience_s)
    ended: Unprepared | None = None
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(_provision(job, inputs, home, upload.report), name="provision")
        costed_s = time.monotonic()
        while not work.done():
            if ended is None:
                ended = _stopped(job) or upload.abandoned()
                if ended is not None:
                    # Once: a second time it would no longer wait for its threads, which would go on beside a new start.
                    work.cancel()
            await asyncio.wait([work], timeout=_LOOK_EVERY_S)
            if time.monotonic() - costed_s >= cost_every_s:
                costed_s = time.monotonic()
                job.keep_count()
    if not around.are_others_unprepared(job.id):
        # A token that was entered for this download is not kept for another.
        await asyncio.to_thread(forget_secrets, home)
    if work.cancelled():
        return ended or Unprepared(JobState.STOPPED, job.facts.stop_reason, _STOPPED_DETAIL)
    return work.result()


def _stopped(job: Job) -> Unprepared | None:
    """Return how the job ends that a person stops, or whose time is up."""
    if not job.facts.stop_reason and job.meter().left_s() == 0:
        # Where a full disk keeps it from being written down, it is stopped all the same.
        with contextlib.suppress(StorageError):
            job.forward(Stop(id=new_id(), author="agent", job=job.id), stop_reason="deadline")
        return Unprepared(JobState.STOPPED, "deadline", _STOPPED_DETAIL)
    return Unprepared(JobState.STOPPED, job.facts.stop_reason, _STOPPED_DETAIL) if job.facts.stop_reason else None


class _Upload:
    """The files of a job that a client is to bring: are they still coming?"""

    def __init__(self, job: Job, inputs: JobInputs, home: AgentHome, around: Surroundings, patience_s: float) -> None:
        self._job = job
        self._home = home
        self._has_client = around.has_client
        self._patience_s = patience_s
        self._named = [
            sha256 for sha256 in (blob_of(inputs.environment.uv), *inputs.environment.lock_sha256s) if sha256
        ]
        self._has_dataset = (job.folder / "inputs").is_dir()
        self._heard_s = time.monotonic()

    def report(self, event: Setup | Warn) -> None:
        """Write down what is said of the preparation."""
        if isinstance(event, Setup):
            self._heard_s = time.monotonic()
            if event.phase == "dataset":
                self._has_dataset = event.done == event.total
        self._job.record(event)

    def abandoned(self) -> Unprepared | None:
        """Return how the job ends when nothing has come for long, and no client is there that could bring the rest."""
        now_s = time.monotonic()
        if self._has_client(self._job.id):
            self._heard_s = now_s
        if now_s - self._heard_s < self._patience_s:
            return None
        if self._has_dataset and all(has_blob(self._home, sha256) for sha256 in self._named):
            return None
        detail = (
            f"its files are not all here, and for {self._patience_s / 60:.0f} min nothing came and no client was "
            "there. Fix: start the run again; what has come is kept, and the upload goes on from there"
        )
        return Unprepared(JobState.FAILED, "upload.abandoned", detail)


async def _provision(
    job: Job, inputs: JobInputs, home: AgentHome, report: Callable[[Setup | Warn], None]
) -> Provisions | Unprepared:
    """Provision; every failure becomes the job's: it must not take the agent down, nor be tried again forever."""
    try:
        return await provision(job.folder, inputs, home, report)
    except LoratuiError as error:
        detail = f"{error.what}. Fix: {error.fix}" if error.fix else error.what
        return Unprepared(JobState.FAILED, error.code, detail)
    except Exception as error:
        log.exception("job=%s could not be prepared", job.id)
        return Unprepared(JobState.FAILED, "bug", f"{type(error).__name__}: {error}")
