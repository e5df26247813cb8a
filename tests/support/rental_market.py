"""Providers on loopback whose machines are real: a rental there is an SSH server with a home of its own, until it ends.

What a machine's container would have in its environment, its id and its own key, its start script gets; what is started
through SSH finds it where images of the providers leave it, if the machine has a mount namespace of its own.
"""

import base64
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loratui.remote.start_script import FOLDER
from loratui_protocol.paths import AgentHome
from support.delay_proxy import DelayProxy
from support.fake_runpod import FakePod, FakeRunPod, fake_runpod
from support.fake_vast import FakeInstance, FakeVast, fake_vast
from support.sshd import Sshd, Variant, may_unshare

VENV_BIN = Path(sys.executable).parent
TICK_S = 0.3
"""So often time makes a step: a machine gets one state further."""


@dataclass
class Machines:
    """The machines that run now, by the id of their rental."""

    folder: Path
    variant: dict[str, Any] = field(default_factory=dict)
    running: dict[str, Sshd] = field(default_factory=dict)
    starts: list[subprocess.Popen[bytes]] = field(default_factory=list)
    lines: list[dict[str, float]] = field(default_factory=list)
    """How the ways to the next machines are, as ``DelayProxy`` has it; when all are used up, nothing is in the way."""
    proxies: list[DelayProxy] = field(default_factory=list)
    environments: Path | None = None
    """Where all of them keep what they train in, so that only the first makes it. None: each makes its own."""

    def start(
        self, rental_id: str, public_keys: list[str], script: str, environment: dict[str, str]
    ) -> tuple[str, int]:
        """Start a machine; return where its SSH server is."""
        # Short: sockets below it must have room for their path.
        folder = self.folder / rental_id[-6:]
        folder.mkdir(parents=True)
        # As RunPod's images do it, and Vast.ai's own; a file that is there is covered for this machine alone.
        left = folder / "environment"
        left.write_text("".join(f'{name}="{value}"\n' for name, value in environment.items()))
        # Likewise what a start script leaves: each machine has a disk of its own.
        deadman = folder / "deadman"
        deadman.mkdir()
        namespace = []
        if may_unshare():
            namespace = [
                f"mount --bind {left} /etc/environment",
                f"mkdir -p {FOLDER}",
                f"mount --bind {deadman} {FOLDER}",
            ]
        path = f"{VENV_BIN}{os.pathsep}/usr/bin{os.pathsep}/bin"
        options = {"environment": {"PATH": path, "LORATUI_ALLOW_LOOPBACK": "1"}, "namespace": namespace, **self.variant}
        server = Sshd(folder, Variant(**options))
        if self.environments is not None:
            own = AgentHome(server.home / ".loratui")
            own.path.mkdir(mode=0o700)
            own.environments.symlink_to(self.environments)
        for key in public_keys:
            server.authorize(key)
        server.start()
        self.running[rental_id] = server
        start = folder / "onstart.sh"
        start.write_text(script.replace(FOLDER, str(deadman)))
        self.starts.append(
            subprocess.Popen(
                ["/bin/sh", str(start)],
                env={"PATH": "/usr/bin:/bin", "HOME": str(server.home), **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        if not self.lines:
            return "127.0.0.1", server.port
        self.proxies.append(DelayProxy(server.port, **self.lines.pop(0)))
        return "127.0.0.1", self.proxies[-1].port

    def end(self, rental_id: str) -> None:
        """End a machine with everything that runs on it, at once."""
        server = self.running.pop(rental_id, None)
        if server is not None:
            server.stop()
            server.kill_everything()

    def end_all(self) -> None:
        for rental_id in list(self.running):
            self.end(rental_id)
        for start in self.starts:
            start.wait(10)
        for proxy in self.proxies:
            proxy.close()


@contextlib.contextmanager
def vast_with_machines(folder: Path, *, port: int = 0, **variant: Any) -> Iterator[tuple[FakeVast, Machines]]:
    """Run a Vast.ai whose instances are real, and whose time passes."""
    machines = Machines(folder, variant)

    def running(instance: FakeInstance) -> tuple[str, int]:
        environment = {
            "CONTAINER_ID": str(instance.id),
            "CONTAINER_API_KEY": instance.api_key,
            **{name: value for name, value in instance.environment.items() if not name.startswith("-")},
        }
        return machines.start(str(instance.id), instance.public_keys, instance.start_script, environment)

    fake = FakeVast(on_running=running, on_gone=lambda instance: machines.end(str(instance.id)))
    with fake_vast(fake, port), _ticking(fake):
        try:
            yield fake, machines
        finally:
            machines.end_all()


@contextlib.contextmanager
def runpod_with_machines(folder: Path, *, port: int = 0, **variant: Any) -> Iterator[tuple[FakeRunPod, Machines]]:
    """Run a RunPod whose pods are real, and whose time passes."""
    machines = Machines(folder, variant)

    def started(pod: FakePod) -> tuple[str, int, str]:
        script = base64.b64decode(pod.env.get("LORATUI_START", "")).decode()
        host, number = machines.start(pod.id, [pod.env.get("PUBLIC_KEY", "")], script, dict(pod.env))
        return host, number, "root"

    with (
        fake_runpod(
            port=port, on_start=started, on_end=lambda pod: machines.end(pod.id), quota_per_minute=100_000
        ) as fake,
        _ticking(fake),
    ):
        try:
            yield fake, machines
        finally:
            machines.end_all()


@contextlib.contextmanager
def _ticking(fake: FakeVast | FakeRunPod) -> Iterator[None]:
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(TICK_S):
            fake.step()

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
