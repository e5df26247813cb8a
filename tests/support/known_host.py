"""A laptop that has met a host before: it knows its agent and may sign in, so following a run takes one channel."""

import sys
from pathlib import Path

from loratui.remote.address import AgentAddress
from loratui.remote.bundle import bundle_name
from loratui.remote.ssh import Instance, host_folder, parse_target
from loratui.settings import Settings
from loratui_protocol.paths import AgentHome, socket_path
from support.sshd import USER, Sshd


def known_host(here: Settings, server: Sshd, port: int, home: Path) -> str:
    """Have the laptop know the agent of ``home``, on the ``server`` behind ``port``; return the target of its runs."""
    target = f"ssh://{USER}@127.0.0.1:{port}"
    server.authorize(instance_of(here, target).key())
    remember_agent(here, target, home)
    return target


def remember_agent(here: Settings, target: str, home: Path) -> None:
    """Write down where the agent is, as this process's client would have: one of another version looks for its own."""
    address = AgentAddress(
        home=str(home),
        python=sys.executable,
        # Only the name counts here: this interpreter finds the agent's code, with its proxy, where it is installed.
        bundle=str(home / "agent" / bundle_name()),
        socket=str(socket_path(home, "agent.sock")),
        token=AgentHome(home).token.read_text("ascii"),
    )
    instance_of(here, target).remember({"agent": address.to_dict()})


def instance_of(here: Settings, target: str) -> Instance:
    return Instance(host_folder(here.state_dir, parse_target(target)))
