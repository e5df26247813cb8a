"""A client whose own disk is full for real: what it has is whole, and what it has not it does not say it has."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loratui.store import Store, StoredRun
from loratui_protocol.ids import new_id
from loratui_protocol.link import ACK_EVERY_RECORDS
from loratui_protocol.messages import Log, Record
from support import following_client
from support.agent_process import client_of, running_agent, wait_until
from support.fake_agent import FakeAgent, FakeJob, fake_agent
from support.local_cli import Command
from support.small_disk import SmallDisk, needs_small_disk, small_disk
from support.stand_in_trainer import lora

pytestmark = needs_small_disk
LORA_BYTES = 20_000_000
NUM_FLOODED = 5_000


def remember(disk: SmallDisk, folder: Path, run_id: str, home: Path) -> None:
    """Put a run of the agent at ``home`` into the client's store on the disk."""
    run = StoredRun(id=run_id, name="n", target="local", created_ts=1.0, config_toml="", home=home, is_ours=False)
    with Store(folder / "loratui.sqlite3") as store:
        store.add_run(run)
    shutil.copytree(folder, disk.path / "state")


@contextmanager
def following(disk: SmallDisk, run_id: str) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, following_client.__file__, str(disk.inside / "state"), run_id]
    with subprocess.Popen(disk.argv(*argv), stdout=subprocess.PIPE) as client:
        try:
            yield client
        finally:
            client.kill()


def stored(disk: SmallDisk, client: subprocess.Popen[bytes], folder: Path) -> list[Record]:
    """Return what the client would have if it were killed now."""
    os.kill(client.pid, signal.SIGSTOP)
    try:
        shutil.copytree(disk.path / "state", folder, ignore=shutil.ignore_patterns("*-shm"))
    finally:
        os.kill(client.pid, signal.SIGCONT)
    with Store(folder / "loratui.sqlite3") as store:
        [run] = store.runs()
        records = list(store.records(run.id))
        assert run.head == len(records)
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    return records


def flood(agent: FakeAgent, run_id: str, name: str) -> None:
    agent.emit(run_id, *(Log(level="INFO", line=f"{name} {index} {'x' * 300}") for index in range(NUM_FLOODED)))


def test_nothing_is_acknowledged_that_found_no_room_and_all_of_it_comes_again_once_there_is_some(tmp_path):
    run_id = new_id()
    with small_disk(12) as disk, fake_agent(tmp_path / "home") as agent:
        agent.jobs[run_id] = FakeJob()
        remember(disk, tmp_path / "state", run_id, agent.home)
        with following(disk, run_id) as client:
            wait_until(lambda: agent.follows, "the client")
            disk.fill(leave=500_000)
            flood(agent, run_id, "first")
            wait_until(lambda: len(agent.follows) > 2, "the client to find no room, again and again")
            acknowledged = agent.acked(run_id)
            kept = stored(disk, client, tmp_path / "when full")
            assert 0 < acknowledged <= len(kept) < NUM_FLOODED
            assert kept == agent.jobs[run_id].records[: len(kept)]
            disk.free()
            flood(agent, run_id, "second")
            wait_until(lambda: agent.acked(run_id) > 2 * NUM_FLOODED - ACK_EVERY_RECORDS, "nearly all of it")
            wait_until(lambda: asked(agent, run_id) == 2 * NUM_FLOODED, "the rest")
            assert stored(disk, client, tmp_path / "in the end") == agent.jobs[run_id].records


def asked(agent: FakeAgent, run_id: str) -> int:
    """Return what is acknowledged, which a client says at the latest when it hears that the agent lives."""
    agent.beat()
    return agent.acked(run_id)


@contextmanager
def attached(disk: SmallDisk, folder: Path, run_id: str) -> Iterator[Command]:
    """Follow the run from a command line, until it and its files are settled."""
    state = str(disk.inside / "state")
    environment = {**os.environ, "LORATUI_STATE_DIR": state, "LORATUI_CONFIG_DIR": state}
    argv = disk.argv(sys.executable, "-m", "loratui.cli", "attach", run_id, "--plain")
    command = Command(argv, environment, folder)
    try:
        yield command
    finally:
        command.kill()


async def test_a_file_that_finds_no_room_is_not_there_is_named_and_comes_whole_once_there_is_some(tmp_path):
    with small_disk(100) as disk, running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            run_id = await client.start(f"steps = 3\nlora_bytes = {LORA_BYTES}")
            await client.until_state(run_id, "done")
        remember(disk, tmp_path / "state", run_id, agent.home.path)
        # Slow enough to be met on its way.
        (disk.path / "state" / "config.toml").write_text("[downloads]\nmax_mbit_s = 50\n")
        files = disk.path / "state" / "runs" / run_id
        with attached(disk, tmp_path, run_id) as first:
            wait_until(
                lambda: any(path.stat().st_size > 1_000_000 for path in files.glob("*.part")), "some of the file"
            )
            disk.fill()
            first.finish()
        [told] = [line for line in first.errors if "thing.safetensors is not here" in line]
        assert "No space left on device; the file stays on the agent" in told
        assert [path.suffix for path in files.iterdir()] == [".part"]
        [part] = files.iterdir()
        kept = part.read_bytes()
        assert 1_000_000 < len(kept) < LORA_BYTES
        assert lora(LORA_BYTES).startswith(kept)
        assert agent.state(run_id)["acked"] == []
        disk.free()
        with attached(disk, tmp_path, run_id) as second:
            assert second.finish() == 0
        assert not any("is not here" in line for line in second.errors)
        assert (files / "thing.safetensors").read_bytes() == lora(LORA_BYTES)
        assert not list(files.glob("*.part"))
        wait_until(lambda: agent.state(run_id)["acked"] == ["lora"], "the agent to know")
