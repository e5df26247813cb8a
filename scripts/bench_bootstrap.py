"""How soon an agent answers on a bare machine: at most 5 s with 80 ms round trip, and what each step of it takes.

A real sshd on loopback, once as it is and once behind a proxy that delays each way. Every time a new home, where
nothing is: connect, probe, send the agent, start it, greet. Then what a start costs when it was sent before.

python scripts/bench_bootstrap.py [--times N]
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from loratui.remote.agent_client import connected
from loratui.remote.bundle import bundle
from loratui.remote.ssh import Instance, SshBox, parse_target
from loratui.remote.ssh_agent import SshAgent
from support.delay_proxy import delay_proxy
from support.sshd import SLOW_AND_NOISY_RC, USER, Sshd, sshd

GATE_S = 5.0
ONE_WAY_S = 0.04


@dataclass
class Figures:
    """Seconds of one kind of start, each time it was tried."""

    total_s: list[float] = field(default_factory=list)
    phases_s: dict[str, list[float]] = field(default_factory=dict)

    def note(self, phase: str, seconds: float) -> None:
        """Note what a phase took this time."""
        self.phases_s.setdefault(phase, []).append(seconds)

    def line(self) -> str:
        """Return the medians."""
        phases = ", ".join(f"{name} {statistics.median(times):.2f}" for name, times in self.phases_s.items())
        return f"median {statistics.median(self.total_s):5.2f} s, slowest {max(self.total_s):5.2f} s   ({phases})"


async def greeted(server: Sshd, port: int, folder: Path, home: str, figures: Figures) -> None:
    """Reach the agent at ``home`` from a laptop that knows nothing but its key."""
    instance = Instance(folder)
    server.authorize(instance.key())
    box = SshBox(parse_target(f"ssh://{USER}@127.0.0.1:{port}"), instance)
    try:
        start_s = time.perf_counter()
        async with box.process(["/bin/sh", "-c", "exit"]) as process:
            await process.wait()
        figures.note("connect and one empty command", time.perf_counter() - start_s)
        agent = SshAgent(box, instance, home=home, say=lambda phase, _, seconds: figures.note(phase, seconds))
        async with connected(agent, "bench"):
            figures.total_s.append(time.perf_counter() - start_s)
    finally:
        await box.close()


def measure(server: Sshd, port: int, folder: Path, times: int) -> tuple[Figures, Figures]:
    """Return the figures of machines where nothing is, and of those where the agent was sent before and has ended."""
    cold, sent = Figures(), Figures()
    for number in range(times):
        place = folder / str(number)
        home = str(server.home / place.name / folder.name / ".loratui")
        asyncio.run(greeted(server, port, place / "first", home, cold))
        server.kill_everything()
        asyncio.run(greeted(server, port, place / "second", home, sent))
        server.kill_everything()
    return cold, sent


def main() -> int:
    """Measure, print a table, and return 1 if the gate is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    started_s = time.perf_counter()
    packed = bundle()
    print(
        f"the agent: {packed.num_files} files, {len(packed.content) / 1000:.0f} kB, "
        f"packed in {time.perf_counter() - started_s:.2f} s"
    )
    rows: list[tuple[str, Figures, bool]] = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with sshd(folder / "plain") as server, delay_proxy(server.port, delay_s=ONE_WAY_S) as way:
            for name, port in (("loopback", server.port), ("80 ms round trip", way.port)):
                cold, sent = measure(server, port, folder / name.partition(" ")[0], times)
                rows += [(f"{name}: nothing there", cold, True), (f"{name}: sent before", sent, False)]
        with sshd(folder / "noisy", rc=SLOW_AND_NOISY_RC) as server, delay_proxy(server.port, delay_s=ONE_WAY_S) as way:
            cold, _ = measure(server, way.port, folder / "rc", 1)
            rows.append(("80 ms, a .bashrc of 0.4 s: nothing there", cold, False))
    is_missed = False
    for name, figures, has_gate in rows:
        gate = f" (at most {GATE_S:.0f})" if has_gate else ""
        print(f"  {name:<42} {figures.line()}{gate}")
        is_missed |= has_gate and statistics.median(figures.total_s) > GATE_S
    return 1 if is_missed else 0


if __name__ == "__main__":
    sys.exit(main())
