"""The real command line on laptops of their own, a real sshd that trains, and a package index beside it."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh

from loratui_agent.facts import read_facts
from support.delay_proxy import DelayProxy, delay_proxy
from support.local_cli import Command, LocalCli
from support.sshd import USER, Sshd, sshd
from support.wheel_index import locked_wheels, wheel_index

VENV_BIN = Path(sys.executable).parent


class Laptop(LocalCli):
    """A user's machine: its own settings and state, and a key that the host knows."""

    def __init__(self, folder: Path, key: Path, target: str, **environment: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, **environment)
        self.target = target
        self._key = key

    def on_host(self, command: str, *arguments: str | Path) -> list[str | Path]:
        """Return the words of a command for the host."""
        return [command, *arguments, "--on", self.target, "--identity", self._key]


class RemoteHost:
    """The machine that trains; every connection to it goes through ``way``."""

    def __init__(self, box: Sshd, way: DelayProxy, key: Path, index_url: str) -> None:
        self.box = box
        self.way = way
        self.target = f"ssh://{USER}@127.0.0.1:{way.port}"
        self.home = box.home / ".loratui"
        self._key = key
        self._index_url = index_url

    @contextlib.contextmanager
    def laptop(self, folder: Path, **environment: str) -> Iterator[Laptop]:
        """Lend a laptop that has never seen the host but has the key."""
        laptop = Laptop(folder, self._key, self.target, LORATUI_REMOTE__INDEX_URL=self._index_url, **environment)
        try:
            yield laptop
        finally:
            laptop.end()

    def facts(self) -> dict[str, Any]:
        """Return ``state.json`` of the only job."""
        [path] = self.home.glob("jobs/*/state.json")
        return read_facts(path)

    def agent_pid(self) -> int:
        """Return the pid of the agent."""
        return int(read_facts(self.home / "run" / "agent.json")["pid"])

    def secrets_in(self, canary: str) -> list[str]:
        """Return where on the host a text is found: files of its home, command lines and environments."""
        found = []
        for path in self.box.home.rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file() and canary.encode() in path.read_bytes():
                    found.append(str(path))
        for process in self.box.processes():
            with contextlib.suppress(Exception):
                if canary in json.dumps([process.cmdline(), process.environ()]):
                    found.append(str(process))
        return found


@contextlib.contextmanager
def remote_host(folder: Path, **variant: Any) -> Iterator[RemoteHost]:
    """Run a host whose image has torch: this interpreter's own. The rest it installs from an index on loopback."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "id_ed25519"
    made = asyncssh.generate_private_key("ssh-ed25519")
    made.write_private_key(str(key))
    key.chmod(0o600)
    path = f"{VENV_BIN}{os.pathsep}/usr/bin{os.pathsep}/bin"
    # A hub of the tests has no certificate and no address of its own.
    variant.setdefault("environment", {"PATH": path, "LORATUI_ALLOW_LOOPBACK": "1"})
    with sshd(folder / "box", **variant) as box, wheel_index(locked_wheels()) as index, delay_proxy(box.port) as way:
        box.authorize(made)
        yield RemoteHost(box, way, key, index.url)


__all__ = ["Command", "Laptop", "RemoteHost", "remote_host"]
