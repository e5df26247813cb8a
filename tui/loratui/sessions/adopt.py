"""Taking up the runs of a host that this machine has not started: whoever has the key may follow them."""

from dataclasses import dataclass
from pathlib import Path

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
    async with connected(machine.agent, new_id()) as agent:
        machine.remember_options()
        address = await machine.agent.address()
        return RunsThere(home=address.home, jobs=tuple(job for job in agent.hello_ok.jobs if is_id(job.job)))


def adopt(store: Store, target: str, there: RunsThere) -> list[str]:
    """Remember the runs of a machine that are not known here; return the ids of all of them, oldest first."""
    for job in there.jobs:
        store.add_run(
            StoredRun(
                id=job.job,
                name=job.name,
                target=target,
                created_ts=job.created_ts,
                config_toml="",
                home=Path(there.home),
                price_microusd_per_h=job.price_microusd_per_h,
                is_ours=False,
            )
        )
    return [job.job for job in there.jobs]
