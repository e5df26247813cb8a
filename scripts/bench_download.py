"""Measures how fast a finished file comes from a host: against a raw ``cat`` through the same SSH server, near and far.

    python scripts/bench_download.py [--mb 100]

A real sshd on loopback, a proxy that adds 40 ms each way, a real agent; the file is verified and written to the disk,
as it is in use. The ``cat`` has a window of 16 MiB and its bytes are thrown away.
"""

import argparse
import asyncio
import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path

import asyncssh

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from loratui.domain.read_ahead import ReadAhead
from loratui.remote.file_stream import FileWay
from loratui.remote.ssh import Instance, SshBox, parse_target
from loratui.remote.transfer import download
from loratui_protocol.messages import Artifact, ArtifactKind
from support.agent_process import AgentProcess, client_of, running_agent
from support.delay_proxy import DelayProxy
from support.sshd import USER, Sshd, sshd
from support.way_to_agent import WayToAgent

SHARE = 0.8
WINDOW_BYTES = 16 << 20
ONE_WAY_S = 0.04
ROUNDS = 3


async def cat_s(port: int, key: Path, path: Path) -> float:
    """Return how long a raw cat takes."""
    async with asyncssh.connect(
        "127.0.0.1",
        port,
        username=USER,
        client_keys=[str(key)],
        known_hosts=None,
        config=None,
        agent_path=None,
        compression_algs=None,
        encryption_algs=["aes256-gcm@openssh.com", "aes128-gcm@openssh.com"],
    ) as connection:
        start_s = time.perf_counter()
        async with connection.create_process(f"cat {path}", encoding=None, window=WINDOW_BYTES) as process:
            received = 0
            while content := await process.stdout.read(1 << 18):
                received += len(content)
        took_s = time.perf_counter() - start_s
        assert received == (await asyncio.to_thread(path.stat)).st_size
        return took_s


async def ours_s(way: WayToAgent, job: str, artifact: Artifact, folder: Path) -> float:
    """Return how long the whole download takes: asked for, received, hashed, written, synced, named."""
    destination = folder / "fetched.png"
    destination.unlink(missing_ok=True)
    start_s = time.perf_counter()
    files = FileWay(opened=way.files, token=way.token)
    await download(files, job, artifact, destination, ahead=ReadAhead())
    return time.perf_counter() - start_s


async def measure(
    server: Sshd, port: int, agent: AgentProcess, job: str, path: Path, folder: Path
) -> tuple[float, float]:
    """Return the best of the rounds, in MB/s: a raw cat, and ours; by turns, since the machine is shared."""
    instance = Instance(folder / f"instance-{port}")
    box = SshBox(parse_target(f"ssh://{USER}@127.0.0.1:{port}"), instance)
    key = folder / f"key-{port}"
    pair = asyncssh.generate_private_key("ssh-ed25519")
    pair.write_private_key(str(key))
    server.authorize(pair)
    server.authorize(instance.key())
    content = await asyncio.to_thread(path.read_bytes)
    artifact = Artifact(
        id="lora", kind=ArtifactKind.SAMPLE, name="x.png", size=len(content), sha256=hashlib.sha256(content).hexdigest()
    )
    cats, ours = [], []
    try:
        for _ in range(ROUNDS):
            cats.append(await cat_s(port, key, path))
            ours.append(await ours_s(WayToAgent(box, agent.home), job, artifact, folder))
    finally:
        await box.close()
    size_mb = len(content) / 1e6
    return size_mb / min(cats), size_mb / min(ours)


async def finished_job(agent: AgentProcess) -> str:
    """Return a run that is done and has an artifact."""
    async with client_of(agent) as client:
        job = await client.start("steps = 2")
        await client.until_state(job, "done")
        return job


def main() -> int:
    """Measure, print a table, and return 1 if a limit is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=int, default=100)
    size = parser.parse_args().mb * 1_000_000
    missed = False
    with (
        tempfile.TemporaryDirectory() as name,
        sshd(Path(name) / "sshd") as server,
        running_agent(Path(name) / "home") as agent,
    ):
        folder = Path(name)
        job = asyncio.run(finished_job(agent))
        path = agent.home.job(job) / "artifacts" / "lora"
        path.write_bytes(os.urandom(size))
        proxy = DelayProxy(server.port, delay_s=ONE_WAY_S)
        try:
            print(f"{size / 1e6:.0f} MB, best of {ROUNDS}      cat MB/s   ours MB/s   share")
            for title, port in (("loopback", server.port), ("80 ms round trip", proxy.port)):
                cat, ours = asyncio.run(measure(server, port, agent, job, path, folder))
                holds = ours >= SHARE * cat
                missed |= not holds
                print(f"  {title:<24} {cat:>10.1f} {ours:>11.1f} {ours / cat:>7.0%}" + ("" if holds else "   MISSED"))
        finally:
            proxy.close()
    return missed


if __name__ == "__main__":
    sys.exit(main())
