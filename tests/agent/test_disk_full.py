"""A disk that is full for real: under the agent and its journals, under the trainer's saves, under an upload."""

import asyncio
import hashlib
import random
import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from loratui.remote.upload import LocalBlob, Uploaded, upload
from loratui_agent.process import is_alive, signal_group
from loratui_agent.train.job import Outcome, reserve_room
from loratui_agent.worker import read_exit
from loratui_protocol import messages
from loratui_protocol.errors import StorageError
from loratui_protocol.ids import new_id
from loratui_protocol.messages import JobState
from support.agent_process import AgentProcess, Client, client_of, running_agent, wait_until
from support.local_box import LocalBox, receive_argv
from support.small_disk import SmallDisk, needs_small_disk, small_disk
from support.tiny_training import tiny_config, write_pictures
from support.trainer_process import TrainerProcess, trainer, write_job

pytestmark = needs_small_disk
PAGE_BYTES = 4096
RESUMED = ["interrupted", "resuming", "preparing", "running"]
ENDLESS = "steps = 1000000\nstep_s = 0.005\ncheckpoint_every = 1000000\n"


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with small_disk(8) as lent:
        yield lent


@pytest.fixture
def agent(disk: SmallDisk) -> Iterator[AgentProcess]:
    # What is written down again and again meets the full disk as soon as events do.
    with running_agent(disk.path / "home", patience={"cost_every_s": 0.05}) as started:
        yield started


def connections(agent: AgentProcess, job: str) -> set[str]:
    """Return the sockets that the job's trainer has open."""
    trainer = agent.trainer(job)
    assert trainer is not None
    links = [str(path.readlink()) for path in Path(f"/proc/{trainer.pid}/fd").iterdir() if path.is_symlink()]
    return {link for link in links if link.startswith("socket:")}


def fill(disk: SmallDisk, agent: AgentProcess, job: str) -> None:
    """Fill the disk until events have found no room again and again: each time the trainer is hung up on, and calls."""
    before, seen = connections(agent, job), set()
    disk.fill()
    wait_until(lambda: seen.update(connections(agent, job) - before) or len(seen) > 2, "events that find no room")
    assert disk.free_bytes() == 0


async def stop(client: Client, job: str) -> None:
    await client.command(messages.Stop, job)
    await client.until_state(job, "stopped")


def check_history(client: Client, job: str) -> None:
    """Check that every record is there, once, and every event of the trainer, once."""
    records = client.records[job]
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    steps = [event.step for event in client.events(job) if isinstance(event, messages.Step)]
    assert all(later - step == 1 or later == 1 for step, later in pairwise(steps)), "an attempt counts from 1 on"
    origins = [record.origin for record in records if record.origin]
    assert origins == sorted(set(origins))


def temporary_files(agent: AgentProcess) -> list[Path]:
    return [path for path in agent.home.path.rglob("*") if path.name.endswith((".tmp", ".new"))]


async def test_what_a_trainer_says_while_the_disk_is_full_is_written_down_once_there_is_room(disk, agent):
    async with client_of(agent) as client:
        job = await client.start(ENDLESS)
        await client.until_step(job, 10)
        fill(disk, agent, job)
        assert agent.process.poll() is None
        # One lies there for the moment in which it is tried again.
        wait_until(lambda: temporary_files(agent) == [], "what found no room to be taken away")
        disk.free()
        await client.until_step(job, 300)
        await stop(client, job)
        assert client.states(job) == ["queued", "preparing", "running", "stopping", "stopped"]
        check_history(client, job)
    async with client_of(agent) as another:
        await another.follow(job)
        await another.until_state(job, "stopped")
        num_records = len(another.records[job])
        assert another.records[job] == client.records[job][:num_records]


async def test_an_agent_killed_on_a_full_disk_says_so_when_it_starts_and_has_everything_later(disk, agent):
    async with client_of(agent) as client:
        job = await client.start(ENDLESS)
        await client.until_step(job, 10)
        fill(disk, agent, job)
    agent.kill()
    agent.process = agent.launch()
    assert agent.process.wait(20) == StorageError.exit_status
    assert "[disk.full]" in agent.process.stderr.read()
    agent.process.stderr.close()
    assert is_alive(agent.trainer(job))
    disk.free()
    agent.restart()
    async with client_of(agent) as client:
        await client.follow(job)
        await client.until_step(job, 300)
        await stop(client, job)
        assert agent.state(job)["attempt"] == 1
        check_history(client, job)


async def test_a_trainer_killed_on_a_full_disk_is_resumed_once_there_is_room(disk, agent):
    async with client_of(agent) as client:
        job = await client.start(ENDLESS)
        await client.until_step(job, 10)
        fill(disk, agent, job)
        killed = agent.trainer(job)
        signal_group(killed, signal.SIGKILL)
        wait_until(lambda: not is_alive(killed), "the trainer to be gone")
        # It answers, and what it can't write down it does not pretend to have done.
        assert (await refusal(client, messages.Pause(id=new_id(), author="test", job=job))).code == "disk.full"
        disk.free()
        await client.receive_until(lambda: client.states(job)[-4:] == RESUMED)
        assert agent.state(job)["attempt"] == 2
        assert len(agent.state(job)["interruptions_ts"]) == 1
        await stop(client, job)
        check_history(client, job)


async def test_the_auto_stop_comes_on_a_full_disk_too(disk, agent):
    async with client_of(agent) as client:
        job = await client.start(ENDLESS, max_runtime_s=3.0)
        await client.receive_until(lambda: "running" in client.states(job))
        disk.fill()
        await asyncio.to_thread(wait_until, lambda: has_no_trainer(agent, job), "the trainer to be stopped")
        assert agent.process.poll() is None
        disk.free()
        await client.receive_until(lambda: client.states(job)[-1] in ("stopped", "failed"))
        check_history(client, job)


def has_no_trainer(agent: AgentProcess, job: str) -> bool:
    trainer = agent.trainer(job)
    return trainer is None or not is_alive(trainer)


async def test_a_run_asked_for_on_a_full_disk_is_refused_by_that_name_and_starts_once_there_is_room(disk, agent):
    job = new_id()
    start = messages.StartJob(id=new_id(), author="test", job=job, name="thing", config_toml="steps = 20")
    async with client_of(agent) as client:
        # From no room at all to room for one more of its files each time.
        for leave in (0, PAGE_BYTES, PAGE_BYTES, PAGE_BYTES):
            disk.fill(leave)
            assert (await refusal(client, start)).code == "disk.full"
        disk.free()
        await client.send(start)
        await client.follow(job)
        await client.until_state(job, "done")
        check_history(client, job)


async def refusal(client: Client, command: messages.Command) -> messages.Refused:
    num_answers = len(client.answers)
    await client.send(command)
    await client.receive_until(lambda: len(client.answers) > num_answers)
    answer = client.answers[-1]
    assert isinstance(answer, messages.Refused)
    return answer


@pytest.mark.torch
@pytest.mark.timeout(300)
def test_a_save_without_room_fails_by_that_name_and_the_run_goes_on_from_the_save_before_to_the_same_file(tmp_path):
    config = tiny_config(write_pictures(tmp_path / "pictures"))
    with small_disk(40) as disk:
        job = write_job(disk.path / "job", config)
        with trainer(write_job(tmp_path / "whole", config), tmp_path) as undisturbed, trainer(job, tmp_path) as process:
            hold(process)
            assert undisturbed.finish()["outcome"] == "done", undisturbed.log()
            checkpoint = undisturbed.of_type(messages.Checkpoint)[0]
            # Room for one save, and for half of the next.
            disk.fill(leave=checkpoint.size * 3 // 2)
            process.send(messages.Resume(id=new_id(), author="test", job="job"))
            outcome = process.finish()
        assert (outcome["outcome"], outcome["code"]) == ("failed", "disk.full"), process.log()
        assert outcome["fix"]
        assert [path.name for path in (job / "ckpt").iterdir()] == [f"step-{checkpoint.step:08d}"]
        assert not list((job / "artifacts").iterdir())
        disk.free()
        with trainer(job, tmp_path, 2) as process:
            assert process.finish()["outcome"] == "done", process.log()
            assert process.of_type(messages.Step)[0].step == checkpoint.step + 1
        assert lora_of(process) == lora_of(undisturbed)


def hold(process: TrainerProcess) -> None:
    """Have the trainer wait before its first step."""
    process.wait_for(lambda _: True)
    process.send(messages.Pause(id=new_id(), author="test", job="job"))
    process.wait_for(lambda event: isinstance(event, messages.State) and event.state is JobState.PAUSED)


def lora_of(process: TrainerProcess) -> str:
    return hashlib.sha256((process.folder / "artifacts" / "lora.safetensors").read_bytes()).hexdigest()


def test_how_a_run_ended_is_left_for_the_agent_on_a_disk_without_any_room(disk):
    reserve_room(disk.path)
    disk.fill()
    Outcome("failed", "disk.full", "the disk is full ü" + "x" * 100_000, "free some").write(disk.path)
    ended = read_exit(disk.path / "exit.json")
    assert ended is not None
    assert (ended.outcome, ended.code, ended.fix) == ("failed", "disk.full", "free some")
    assert ended.what.startswith("the disk is full ü")
    assert sorted(path.name for path in disk.path.iterdir()) == ["exit.json", "filler"]


def blobs_of(folder: Path, num_blobs: int, size: int) -> dict[str, LocalBlob]:
    folder.mkdir()
    blobs = {}
    for index in range(num_blobs):
        path = folder / str(index)
        content = random.Random(index).randbytes(size)
        path.write_bytes(content)
        blobs[hashlib.sha256(content).hexdigest()] = LocalBlob(path=path, size=size, mtime_ns=path.stat().st_mtime_ns)
    return blobs


def check_blobs(home: Path) -> list[str]:
    """Return what lies under a final name, each of which is whole."""
    found = [path for path in (home / "blobs").iterdir() if not path.suffix]
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.name for path in found)
    return [path.name for path in found]


async def test_a_disk_that_fills_up_under_an_upload_keeps_what_is_whole_and_the_upload_goes_on_later(tmp_path):
    size = 1_500_000
    blobs = blobs_of(tmp_path / "files", 6, size)
    with small_disk(90) as disk:
        home, box, fills = disk.path / "home", LocalBox(), 0

        def fill_at_first(_: Uploaded) -> None:
            # Called as soon as the box has said that there is room, before anything is sent.
            nonlocal fills
            fills += 1
            if fills == 1:
                disk.fill(leave=size * 7 // 2)

        with pytest.raises(StorageError) as caught:
            await upload(box, receive_argv(home), blobs, fill_at_first)
        assert caught.value.code == "disk.full"
        assert sorted(check_blobs(home)) == sorted(list(blobs)[:3])
        [part] = (home / "blobs").glob("*.part")
        assert part.name == f"{list(blobs)[3]}.part"
        kept = 3 * size + part.stat().st_size
        with pytest.raises(StorageError):
            await upload(box, receive_argv(home), blobs, lambda _: None)
        disk.free()
        await upload(box, receive_argv(home), blobs, lambda _: None)
        assert sorted(check_blobs(home)) == sorted(blobs)
        assert not list((home / "blobs").glob("*.part"))
        assert box.processes[-1].num_written < 6 * size - kept + 10_000


async def test_an_upload_to_a_disk_without_any_room_is_refused_by_that_name(tmp_path, disk):
    disk.fill()
    with pytest.raises(StorageError) as caught:
        await upload(LocalBox(), receive_argv(disk.path / "home"), blobs_of(tmp_path / "files", 1, 10), lambda _: None)
    assert caught.value.code == "disk.full"
