"""From a run's target, as it is written on the command line, to the way to its agent."""

from loratui.remote.agent_client import Transport
from loratui.remote.local_agent import LocalAgent
from loratui.store import StoredRun
from loratui_protocol.errors import UsageError

LOCAL = "local"


def transport_to(run: StoredRun, *, may_start: bool = True) -> Transport:
    """Return the way to the agent of a run; with ``may_start`` one on this machine is started where none answers.

    Raises:
        UsageError: this version knows no such target.
    """
    if run.target == LOCAL:
        return LocalAgent(run.home, may_start=may_start)
    raise UsageError(f"{run.target!r} is no target that can be reached", fix="use --on local", code="target.unknown")
