"""Taking up the runs of a host that this machine has not started: whoever has the key may follow them."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from loratui.domain.local_names import run_name
from loratui.remote.agent_client import connected
from loratui.sessions.machine import Machine
from loratui.store import Store, StoredRun
from loratui_protocol.ids import is_id, new_id
from loratui_protocol.messages import JobStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsThere:
    """The runs of a machine, as its agent lists them; ``home`` is the agent's folder there."""

    home: str
    jobs: tuple[JobStatus, ...]


async def runs_on(machine: Machine) -> RunsThere:
    """Ask a machine's agent for its runs.

    Raises:
        HostError, AgentUnreachableError: it can't be asked.
    """
    if not await asyncio.to_thread(machine.agent.remembered_home):
        facts = await machine.agent.probe()
        machine.remember_options()
        # Where nothing ever ran nothing is brought, or started, only to be asked.
        if not any(home.num_jobs or home.running_pid for home in facts.homes):
            return RunsThere(home="", jobs=())
    async with connected(machine.agent, new_id()) as agent:
        machine.remember_options()
        address = await machine.agent.address()
        return RunsThere(home=address.home, jobs=tuple(job for job in agent.hello_ok.jobs if is_id(job.job)))


def adopt(store: Store, target: str, there: RunsThere) -> list[str]:
    """Remember the runs of a machine that are not known here; return the ids of all of them, oldest first.

    A run that is known to be elsewhere is none of them, whatever the machine says.
    """
    for job in there.jobs:
        store.add_run(
            StoredRun(
                id=job.job,
                name=run_name(job.name),
                target=target,
                # A host may say anything; no run began in the future.
                created_ts=max(0.0, min(job.created_ts, time.time())),
                config_toml="",
                home=Path(there.home),
                price_microusd_per_h=job.price_microusd_per_h,
                is_ours=False,
            )
        )
    return [job.job for job in there.jobs if store.run(job.job).target == target]
