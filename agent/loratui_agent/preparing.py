"""A job between its start and its trainer: what it needs is brought, while it can be stopped and its time runs."""

import asyncio
import logging
import time
from dataclasses import dataclass

from loratui_agent.job import Job
from loratui_agent.provision import Provisions, provision
from loratui_agent.secrets import forget_secrets
from loratui_protocol.errors import LoratuiError
from loratui_protocol.ids import new_id
from loratui_protocol.inputs import JobInputs
from loratui_protocol.messages import JobState, Stop
from loratui_protocol.paths import AgentHome

log = logging.getLogger(__name__)
_LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Unprepared:
    """Why a job gets no trainer: the state that it ends in."""

    state: JobState
    reason: str
    detail: str = ""


async def prepare(job: Job, inputs: JobInputs, cost_every_s: float) -> Provisions | Unprepared:
    """Bring what the job needs, or return why it ends without. Cancelled, it leaves all for the next agent."""
    # A job lies in the folder of its home's jobs.
    home = AgentHome(job.folder.parent.parent)
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(_provision(job, inputs, home), name="provision")
        costed_s = time.monotonic()
        while not work.done():
            if job.facts.stop_reason:
                work.cancel()
            elif job.meter().left_s() == 0:
                job.forward(Stop(id=new_id(), author="agent", job=job.id), stop_reason="deadline")
            await asyncio.wait([work], timeout=_LOOK_EVERY_S)
            if time.monotonic() - costed_s >= cost_every_s:
                costed_s = time.monotonic()
                job.keep_count()
    # A token that was entered for this download is not kept for another.
    await asyncio.to_thread(forget_secrets, home)
    if work.cancelled():
        return Unprepared(JobState.STOPPED, job.facts.stop_reason, "it was stopped before its training began")
    return work.result()


async def _provision(job: Job, inputs: JobInputs, home: AgentHome) -> Provisions | Unprepared:
    """Provision; every failure becomes the job's: it must not take the agent down, nor be tried again forever."""
    try:
        return await provision(job.folder, inputs, home, job.record)
    except LoratuiError as error:
        detail = f"{error.what}. Fix: {error.fix}" if error.fix else error.what
        return Unprepared(JobState.FAILED, error.code, detail)
    except Exception as error:
        log.exception("job=%s could not be prepared", job.id)
        return Unprepared(JobState.FAILED, "bug", f"{type(error).__name__}: {error}")
