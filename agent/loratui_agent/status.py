"""What an agent's home says about the agent and its jobs, read from its files: no agent has to answer."""

from typing import Any

from loratui_agent.clock import now
from loratui_agent.facts import read_facts
from loratui_agent.process import is_locked
from loratui_agent.rental import shown
from loratui_protocol.paths import AgentHome

_JOB_FIELDS = ("job", "name", "state", "reason", "detail", "created_ts", "attempt")


def status(home: AgentHome) -> dict[str, Any]:
    """Return whether an agent runs, which, what of the machine's rental is armed, and the jobs, oldest first."""
    agent = read_facts(home.status)
    running = is_locked(home.lock)
    jobs = [read_facts(path) for path in sorted(home.jobs.glob("*/state.json"))]
    return {
        "home": str(home.path),
        "running": running,
        "pid": agent.get("pid") if running else None,
        "version": agent.get("version"),
        "started_ts": agent.get("started_ts") if running else None,
        "rental": shown(home.run, now()),
        "jobs": [{name: job.get(name) for name in _JOB_FIELDS} for job in jobs],
    }
