"""A job that is to be judged with models of a hub: they come beside the rest, and no training fails for them."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from loratui_agent.fetch.address import LOOPBACK_VARIABLE
from loratui_agent.provision import provision
from loratui_protocol import messages
from loratui_protocol.ids import new_id
from loratui_protocol.inputs import EnvironmentKind, EnvironmentSpec, JobInputs, ModelKind, ModelPurpose, ModelSource
from loratui_protocol.paths import AgentHome
from support.agent_process import Client, client_of, running_agent, wait_until
from support.model_server import ModelServer, model_server, safetensors
from support.provisions import bring, manifest_of

SCRIPT = "steps = 5\nstep_s = 0.005"
CAPTION = b"a cat"
MANIFEST = manifest_of({"train/pics/1_cat/a.txt": CAPTION})
DINO = {"config.json": b'{"model_type": "dinov2"}', "model.safetensors": safetensors(50_000)}
CLIP = {
    "config.json": b'{"model_type": "clip"}',
    "model.safetensors": safetensors(60_000),
    "vocab.json": b"{}",
    "merges.txt": b"#",
}
IN_PLACE = {"evaluate_dino/small": DINO, "evaluate_clip/base": CLIP}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    monkeypatch.setenv(LOOPBACK_VARIABLE, "1")
    with model_server() as server:
        server.others = {"org/small": DINO, "org/base": CLIP}
        yield server


def inputs_of(server: ModelServer, **changes: object) -> JobInputs:
    def source(purpose: ModelPurpose, name: str) -> ModelSource:
        return ModelSource(kind=ModelKind.HUB, purpose=purpose, name=name, address=f"org/{name}", hub_url=server.url)

    inputs = JobInputs(
        manifest_sha256=MANIFEST.sha256(),
        model=ModelSource(kind=ModelKind.FILES, name="base"),
        environment=EnvironmentSpec(kind=EnvironmentKind.AGENT),
        features=[source(ModelPurpose.DINO, "small"), source(ModelPurpose.CLIP, "base")],
    )
    return replace(inputs, **changes)


def laid_out(home: AgentHome, job: str) -> dict[str, dict[str, bytes]]:
    folders = [path for path in (home.job(job) / "inputs").glob("evaluate_*/*") if path.is_dir()]
    return {
        f"{folder.parent.name}/{folder.name}": {path.name: path.read_bytes() for path in folder.iterdir()}
        for folder in folders
    }


def warnings(client: Client, job: str) -> list[messages.Warn]:
    return [event for event in client.events(job) if isinstance(event, messages.Warn)]


async def test_both_come_while_the_job_is_prepared_and_lie_where_its_config_says(tmp_path, server):
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start(SCRIPT, inputs=inputs_of(server))
            await client.receive_until(
                lambda: (
                    {e.phase for e in client.events(job) if isinstance(e, messages.Setup)}
                    >= {"dino_model", "clip_model"}
                )
            )
            assert agent.trainer(job) is None, "its files are not here"
            bring(agent.home, MANIFEST.to_bytes(), CAPTION)
            await client.until_state(job, "done")
            assert not warnings(client, job)
        assert laid_out(agent.home, job) == IN_PLACE


async def test_an_agent_killed_in_the_middle_is_followed_by_one_that_goes_on(tmp_path, server):
    server.stall = threading.Event()
    with running_agent(tmp_path / "home") as agent:
        bring(agent.home, MANIFEST.to_bytes(), CAPTION)
        async with client_of(agent) as client:
            job = await client.start(SCRIPT, inputs=inputs_of(server))
            parts = agent.home.models.rglob
            await asyncio.to_thread(
                wait_until, lambda: len([p for p in parts("model.safetensors.part") if p.stat().st_size]) == 2, "bytes"
            )
        agent.kill()
        server.stall.set()
        server.stall = None
        server.requests.clear()
        agent.restart()
        async with client_of(agent) as client:
            await client.follow(job)
            await client.until_state(job, "done")
        assert laid_out(agent.home, job) == IN_PLACE
        asked = [each for path, each, _ in server.requests if path.endswith("model.safetensors")]
        assert asked == ["bytes=1000-"] * 2


async def test_a_model_that_can_not_be_had_is_told_with_what_to_do_and_the_training_goes_on(tmp_path, server):
    server.others["org/base"] = {"config.json": b"{}", "pytorch_model.bin": b"pickle"}
    with running_agent(tmp_path / "home") as agent:
        bring(agent.home, MANIFEST.to_bytes(), CAPTION)
        async with client_of(agent) as client:
            job = await client.start(SCRIPT, inputs=inputs_of(server))
            await client.until_state(job, "done")
            [warned] = warnings(client, job)
            assert warned.code == "model.unsafe"
            assert warned.message.startswith("evaluate_clip names org/base, and nothing is measured with that: ")
            assert "Fix: name a revision" in warned.message
        assert laid_out(agent.home, job) == {"evaluate_dino/small": DINO}


async def test_a_run_that_is_resumed_tries_again_what_could_not_be_had(tmp_path, server):
    there = server.others.pop("org/base")
    with running_agent(tmp_path / "home") as agent:
        bring(agent.home, MANIFEST.to_bytes(), CAPTION)
        async with client_of(agent) as client:
            job = await client.start("steps = 100000\nstep_s = 0.005", inputs=inputs_of(server))
            await client.until_state(job, "running")
            assert [each.code for each in warnings(client, job)] == ["model.missing"]
            await client.command(messages.Stop, job)
            await client.until_state(job, "stopped")
            server.others["org/base"] = there
            await client.command(messages.Resume, job)
            await client.receive_until(lambda: client.states(job).count("running") == 2)
            assert laid_out(agent.home, job) == IN_PLACE
            await client.command(messages.Stop, job)
            await client.receive_until(lambda: client.states(job).count("stopped") == 2)


async def test_a_training_waits_for_a_score_no_longer_than_that(tmp_path, server):
    server.stall = threading.Event()
    home, folder = AgentHome(tmp_path / "home"), tmp_path / "home" / "jobs" / "job"
    folder.mkdir(parents=True)
    home.run.mkdir()
    bring(home, MANIFEST.to_bytes(), CAPTION)
    told: list[messages.Setup | messages.Warn] = []
    await provision(folder, inputs_of(server), home, told.append, features_wait_s=0.0)
    late = [event for event in told if isinstance(event, messages.Warn)]
    assert [event.code for event in late] == ["model.late"] * 2
    assert "evaluate_dino names org/small" in late[0].message
    assert (folder / "inputs" / "train").is_dir()
    assert not [*(folder / "inputs").glob("evaluate_*")]
    server.stall.set()
    server.stall = None
    await provision(folder, inputs_of(server), home, told.append)
    assert (folder / "inputs/evaluate_dino/small/model.safetensors").read_bytes() == DINO["model.safetensors"]


async def test_what_a_kill_left_half_laid_out_is_laid_out_anew(tmp_path, server):
    home, folder = AgentHome(tmp_path / "home"), tmp_path / "home" / "jobs" / "job"
    (folder / "inputs").mkdir(parents=True)
    home.run.mkdir()
    half = folder / "inputs.x.tmp"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    await provision(folder, inputs_of(server), home, lambda _: None)
    assert not half.exists()
    assert (folder / "inputs/evaluate_clip/base/vocab.json").read_bytes() == CLIP["vocab.json"]
    server.requests.clear()
    await provision(folder, inputs_of(server), home, lambda _: None)
    assert not server.requests, "it is all there"


@pytest.mark.parametrize("fault", ["path", "twice", "base", "address"])
async def test_inputs_that_make_no_sense_are_refused_when_the_job_is_started(tmp_path, server, fault):
    first, second = inputs_of(server).features
    features = {
        "path": [replace(first, name="../x")],
        "twice": [first, replace(second, purpose=first.purpose)],
        "base": [replace(first, purpose=ModelPurpose.BASE)],
        "address": [replace(first, kind=ModelKind.HTTPS)],
    }[fault]
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            inputs = inputs_of(server, features=features)
            start = messages.StartJob(
                id=new_id(), author="test", job=new_id(), name="thing", config_toml=SCRIPT, inputs=inputs
            )
            await client.send(start)
            await client.receive_until(lambda: client.answers)
            assert client.answers.pop().code == "job.invalid"
