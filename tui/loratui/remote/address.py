"""Where the agent of a box is, and how its programs are run there. It can be remembered: the token opens the agent."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from loratui.remote.box import command_line

_CLEAN_PYTHON = ("PYTHONSAFEPATH=1", "PYTHONNOUSERSITE=1", "PYTHONHOME=")
"""Neither the folder that a shell starts in nor the user's own packages may come before the bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAddress:
    """An agent on a box; the paths are the box's own."""

    home: str
    python: str
    bundle: str
    """The folder of the code that this client pushed; a busy agent may run an earlier one."""
    socket: str
    token: str
    agent_bundle: str = ""
    """The name of the bundle that the agent runs."""

    def to_dict(self) -> dict[str, str]:
        """Return it as JSON fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: object) -> Self | None:
        """Return the address in JSON fields, None when they are not one."""
        if not isinstance(fields, Mapping) or not all(isinstance(fields.get(name), str) for name in _NEEDED):
            return None
        known = {name: fields[name] for name in cls.__dataclass_fields__ if isinstance(fields.get(name), str)}
        return cls(**known) if is_sayable(known) else None


_NEEDED = ("home", "python", "bundle", "socket", "token")


def is_sayable(fields: Mapping[str, Any]) -> bool:
    """Return whether all values can be words of a command on the box."""
    try:
        # Half a surrogate pair is no character of any encoding: that is a ValueError too.
        command_line([str(text) or "-" for text in fields.values()]).encode()
    except ValueError:
        return False
    return True


def agent_argv(address: AgentAddress, *words: str) -> Sequence[str]:
    """Return the command that runs a program of our bundle on the box: ``agent_argv(address, "proxy", ...)``.

    ``--home`` is added; a ``--nonce`` is the caller's.
    """
    command, *others = words
    return [*python_argv(address), "-m", "loratui_agent.cli", command, "--home", address.home, *others]


def python_argv(address: AgentAddress) -> Sequence[str]:
    """Return the command that runs a Python on the box which sees our bundle."""
    return ["/usr/bin/env", f"PYTHONPATH={address.bundle}", *_CLEAN_PYTHON, address.python]
