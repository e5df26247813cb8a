"""Jobs that wait for their inputs, with real agents and a stand-in for the trainer."""

import asyncio
import json
import os
import threading
import time

import pytest

from loratui_agent.blobs import blob_path
from loratui_agent.fetch.address import LOOPBACK_VARIABLE
from loratui_agent.process import is_locked
from loratui_agent.provision import provision
from loratui_agent.secrets import keep_secret, read_secret, without_secrets
from loratui_protocol import messages
from loratui_protocol.ids import new_id
from loratui_protocol.inputs import (
    EnvironmentKind,
    EnvironmentSpec,
    JobInputs,
    Manifest,
    ModelKind,
    ModelSource,
)
from loratui_protocol.paths import AgentHome
from support.agent_process import Client, client_of, running_agent, wait_until
from support.model_server import ModelServer, model_server, safetensors
from support.provisions import bring, manifest_of, sha256

SCRIPT = "steps = 5\nstep_s = 0.005"
PICTURE = b"a picture"
CONTENTS = {"train/pics/1_cat/a.png": PICTURE, "train/pics/1_cat/a.txt": b"a cat", "model/base/unet/w": b"weights"}


def inputs_of(manifest: Manifest) -> JobInputs:
    return JobInputs(
        manifest_sha256=manifest.sha256(),
        model=ModelSource(kind=ModelKind.FILES, name="base"),
        environment=EnvironmentSpec(kind=EnvironmentKind.AGENT),
    )


INPUTS = inputs_of(manifest_of(CONTENTS))


TEXT_ONLY = manifest_of({"train/pics/1_cat/a.txt": b"a cat"})


def downloading(server: ModelServer, content: bytes) -> JobInputs:
    """Return the inputs of a job whose base model, which is this, the host downloads."""
    server.files["/a.safetensors"] = content
    model = ModelSource(kind=ModelKind.HTTPS, name="a.safetensors", address=f"{server.url}/a.safetensors")
    return JobInputs(manifest_sha256=TEXT_ONLY.sha256(), model=model, environment=INPUTS.environment)


def bring_all(home: AgentHome) -> None:
    bring(home, manifest_of(CONTENTS).to_bytes(), *CONTENTS.values())


def setups(client: Client, job: str, phase: str) -> list[messages.Setup]:
    return [event for event in client.events(job) if isinstance(event, messages.Setup) and event.phase == phase]


async def test_a_job_waits_for_its_files_and_trains_on_them_under_their_names(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start(SCRIPT, inputs=INPUTS)
            await client.until_state(job, "preparing")
            bring(agent.home, manifest_of(CONTENTS).to_bytes(), PICTURE)
            await client.receive_until(lambda: any(e.done == len(PICTURE) for e in setups(client, job, "dataset")))
            assert agent.trainer(job) is None
            bring_all(agent.home)
            await client.until_state(job, "done")
            assert client.states(job) == ["queued", "preparing", "running", "finishing", "done"]
            last = setups(client, job, "dataset")[-1]
            assert last.done == last.total == sum(map(len, CONTENTS.values()))
    folder = agent.home.job(job) / "inputs"
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == CONTENTS


async def test_an_agent_killed_while_it_waits_is_followed_by_one_that_waits_on(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start(SCRIPT, inputs=INPUTS)
            await client.until_state(job, "preparing")
        agent.kill()
        # What a kill in the middle of laying out leaves.
        half = agent.home.job(job) / "inputs.tmp"
        (half / "train").mkdir(parents=True)
        agent.restart()
        bring_all(agent.home)
        async with client_of(agent) as client:
            await client.follow(job)
            await client.until_state(job, "done")
            assert not half.exists()
            assert agent.state(job)["attempt"] == 1


async def test_a_waiting_job_is_stopped_at_once_and_goes_on_when_it_is_resumed(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start(SCRIPT, inputs=INPUTS)
            await client.until_state(job, "preparing")
            stop = await client.command(messages.Stop, job)
            await client.until_state(job, "stopped")
            assert client.results(job)[stop].ok
            bring_all(agent.home)
            await client.command(messages.Resume, job)
            await client.until_state(job, "done")


async def test_who_is_stopped_again_and_again_while_files_are_laid_out_leaves_all_of_them_or_none(tmp_path):
    home, folder = AgentHome(tmp_path / "home"), tmp_path / "home" / "jobs" / "job"
    folder.mkdir(parents=True)
    names = {f"train/pics/{number % 50}/{number}.png": PICTURE for number in range(5000)}
    manifest = manifest_of(names)
    bring(home, manifest.to_bytes(), PICTURE)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(provision(folder, inputs_of(manifest), home, lambda _: None))
        while not any(folder.iterdir()):  # noqa: ASYNC110 - another thread makes them
            await asyncio.sleep(0)
        while not running.done():
            running.cancel()
            await asyncio.sleep(0)
        assert [path.name for path in folder.iterdir()] == ["inputs"]
        assert sum(path.is_file() for path in (folder / "inputs").rglob("*")) == len(names)
    assert running.cancelled()


async def test_the_time_of_a_waiting_job_costs_and_runs_out(tmp_path):
    with running_agent(tmp_path / "home", patience={"cost_every_s": 0.1}) as agent:
        async with client_of(agent) as client:
            job = await client.start(SCRIPT, inputs=INPUTS, max_runtime_s=0.5, price_microusd_per_h=3_600_000_000)
            await client.until_state(job, "stopped")
            last = [event for event in client.events(job) if isinstance(event, messages.State)][-1]
            assert last.reason == "deadline"
            await client.receive_until(lambda: isinstance(client.events(job)[-1], messages.Cost))
            assert client.events(job)[-1].spent_microusd > 400_000


async def test_files_that_nobody_brings_any_longer_end_the_job_and_what_came_of_them_is_kept(tmp_path):
    with running_agent(tmp_path / "home", patience={"abandoned_min_s": 0.5}) as agent:
        async with client_of(agent) as client:
            job = await client.start(SCRIPT, inputs=INPUTS, on_done="run:touch ended", keep_s=0.0)
            await client.until_state(job, "preparing")
            bring(agent.home, manifest_of(CONTENTS).to_bytes(), PICTURE)
            heard = len(client.heartbeats)
            await client.receive_until(lambda: len(client.heartbeats) > heard)
            assert agent.state(job)["state"] == "preparing", "its client is there"
        await asyncio.to_thread(wait_until, lambda: agent.state(job)["state"] == "failed", "the job's end")
        assert agent.state(job)["reason"] == "upload.abandoned"
        await asyncio.to_thread(wait_until, (agent.home.job(job) / "ended").exists, "what comes after it")
        assert blob_path(agent.home, sha256(PICTURE)).exists()
        async with client_of(agent) as client:
            await client.follow(job)
            await client.command(messages.Resume, job)
            await client.until_state(job, "preparing")
            bring_all(agent.home)
            await client.until_state(job, "done")


async def test_a_job_that_has_all_its_files_is_not_given_up_though_nobody_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv(LOOPBACK_VARIABLE, "1")
    with model_server() as server, running_agent(tmp_path / "home", patience={"abandoned_min_s": 0.1}) as agent:
        server.stall = threading.Event()
        bring(agent.home, TEXT_ONLY.to_bytes(), b"a cat")
        async with client_of(agent) as client:
            job = await client.start(
                SCRIPT, inputs=downloading(server, b"weights" * 1000), on_done="run:true", keep_s=0
            )
            await client.receive_until(lambda: setups(client, job, "base_model"))
        heard_s = time.monotonic()
        # Longer than the link counts a client as living that has gone.
        await asyncio.to_thread(wait_until, lambda: time.monotonic() > heard_s + 2, "some time")
        server.stall.set()
        async with client_of(agent) as client:
            await client.follow(job)
            await client.until_state(job, "failed")
            assert agent.state(job)["reason"] == "model.unsafe"


async def test_a_job_that_is_stopped_and_resumed_at_once_does_not_meet_its_own_download(tmp_path, monkeypatch):
    monkeypatch.setenv(LOOPBACK_VARIABLE, "1")
    content = safetensors(100_000)
    with model_server() as server, running_agent(tmp_path / "home") as agent:
        server.stall = threading.Event()
        bring(agent.home, TEXT_ONLY.to_bytes(), b"a cat")
        async with client_of(agent) as client:
            job = await client.start(SCRIPT, inputs=downloading(server, content))
            await client.receive_until(lambda: setups(client, job, "base_model"))
            await client.command(messages.Stop, job)
            await client.until_state(job, "stopped")
            # What is here is hashed first, in a thread that nothing can interrupt.
            [part] = agent.home.models.rglob("*.part")
            os.truncate(part, 1 << 30)
            await client.command(messages.Resume, job)
            await asyncio.to_thread(wait_until, lambda: is_locked(part), "the download")
            await client.command(messages.Stop, job)
            await client.receive_until(lambda: client.states(job).count("stopped") == 2)
            assert not is_locked(part)
            server.stall.set()
            await client.command(messages.Resume, job)
            await client.until_state(job, "done")


async def test_a_trainer_killed_later_is_started_again_without_bringing_anything_again(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        bring_all(agent.home)
        async with client_of(agent) as client:
            job = await client.start("steps = 20\ncheckpoint_every = 5\ndie_at = 12", inputs=INPUTS)
            await client.receive_until(lambda: client.states(job).count("running") == 1)
            for content in CONTENTS.values():
                blob_path(agent.home, sha256(content)).unlink()
            await client.until_state(job, "failed")
            # What a trainer says in its last moment may be lost with it; that it was started again is the agent's word.
            assert client.states(job).count("resuming") == 2
            assert agent.state(job)["reason"] == "killed"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"no manifest", "inputs.manifest"),
        (json.dumps({"files": [["../../escape", 1, "0" * 64]]}).encode(), "inputs.manifest"),
        (json.dumps({"files": [["/etc/cron.d/x", 1, "0" * 64]]}).encode(), "inputs.manifest"),
        (json.dumps({"files": [["train/a", len(PICTURE) + 1, sha256(PICTURE)]]}).encode(), "inputs.manifest"),
    ],
)
async def test_a_manifest_that_lies_fails_the_job_and_leaves_nothing_outside_its_folder(tmp_path, content, code):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            bring(agent.home, content, PICTURE)
            lying = JobInputs(manifest_sha256=sha256(content), model=INPUTS.model, environment=INPUTS.environment)
            job = await client.start(SCRIPT, inputs=lying)
            await client.until_state(job, "failed")
            assert agent.state(job)["reason"] == code
            assert not (tmp_path / "escape").exists()
            assert agent.process.poll() is None


async def test_inputs_that_name_paths_are_refused_when_the_job_is_started(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            for model in ("../x", "a/b", ""):
                source = ModelSource(kind=ModelKind.FILES, name=model)
                inputs = JobInputs(manifest_sha256="0" * 64, model=source, environment=INPUTS.environment)
                start = messages.StartJob(
                    id=new_id(), author="test", job=new_id(), name="thing", config_toml=SCRIPT, inputs=inputs
                )
                await client.send(start)
                await client.receive_until(lambda: client.answers)
                assert client.answers.pop().code == "job.invalid"


async def test_a_token_that_was_entered_is_gone_once_the_job_is_prepared_and_in_none_of_its_files(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        keep_secret(agent.home, "hub.example", "canary-token")
        assert read_secret(agent.home, "hub.example") == "canary-token"
        bring_all(agent.home)
        async with client_of(agent) as client:
            job = await client.start(SCRIPT, inputs=INPUTS)
            await client.until_state(job, "done")
        assert read_secret(agent.home, "hub.example") == ""
        written = [path for path in agent.home.path.rglob("*") if path.is_file()]
        assert not [path for path in written if b"canary-token" in path.read_bytes()]


async def test_a_token_stays_while_another_job_may_need_it_and_no_longer(tmp_path):
    with running_agent(tmp_path / "home") as agent:
        keep_secret(agent.home, "hub.example", "canary-token")
        async with client_of(agent) as client:
            first = await client.start(SCRIPT, inputs=INPUTS)
            second = await client.start(SCRIPT, inputs=INPUTS)
            await client.until_state(first, "preparing")
            await client.command(messages.Stop, first)
            await client.until_state(first, "stopped")
            await client.until_state(second, "preparing")
            assert read_secret(agent.home, "hub.example") == "canary-token"
            bring_all(agent.home)
            await client.until_state(second, "done")
            assert read_secret(agent.home, "hub.example") == ""


def test_a_token_that_no_job_needed_is_gone_with_the_agent(tmp_path):
    with running_agent(tmp_path / "home", idle_exit_s=0.3) as agent:
        keep_secret(agent.home, "hub.example", "canary-token")
        assert agent.process.wait(20) == 0
        assert read_secret(agent.home, "hub.example") == ""


def test_nothing_that_looks_like_a_secret_goes_to_a_child():
    secrets = {"HF_TOKEN": "x", "LORATUI_VAST_API_KEY": "x", "AWS_SECRET_ACCESS_KEY": "x", "JUPYTER_PASSWORD": "x"}
    assert without_secrets({**secrets, "PATH": "/bin", "LD_LIBRARY_PATH": "/l"}) == {
        "PATH": "/bin",
        "LD_LIBRARY_PATH": "/l",
    }


def test_a_token_is_read_by_nobody_else_and_only_for_its_host(tmp_path):
    home = AgentHome(tmp_path)
    home.run.mkdir()
    keep_secret(home, "hub.example:8443", "abc")
    assert [read_secret(home, host) for host in ("hub.example", "evil.example", "../x")] == ["", "", ""]
    assert read_secret(home, "hub.example:8443") == "abc"
