"""Models to measure with from a hub, over real sockets: as base models are, but for other files."""

import asyncio
import json
import threading
from pathlib import Path

import pytest

from loratui_agent.fetch.model import fetch_model
from loratui_agent.fetch.weigh import weigh
from loratui_protocol.errors import LoratuiError
from loratui_protocol.inputs import ModelKind, ModelPurpose, ModelSource
from loratui_protocol.messages import Setup
from loratui_protocol.paths import AgentHome
from support.agent_process import wait_until
from support.model_server import ModelServer, safetensors

CONFIG = {ModelPurpose.DINO: b'{"model_type": "dinov2"}', ModelPurpose.CLIP: b'{"model_type": "clip"}'}


def files(purpose: ModelPurpose, size: int = 50_000) -> dict[str, bytes]:
    tokens = {"tokenizer.json": b"{}"} if purpose is ModelPurpose.CLIP else {}
    extra = {"README.md": b"# hello", "pytorch_model.bin": b"pickle", "model.fp16.safetensors": safetensors(size)}
    return {"config.json": CONFIG[purpose], "model.safetensors": safetensors(size), **tokens, **extra}


def source(server: ModelServer, purpose: ModelPurpose = ModelPurpose.DINO, **changes: str) -> ModelSource:
    fields = {"name": str(purpose), "address": f"org/{purpose}", "hub_url": server.url} | changes
    return ModelSource(kind=ModelKind.HUB, purpose=purpose, **fields)


def serve(server: ModelServer, purpose: ModelPurpose = ModelPurpose.DINO, **changes: bytes) -> ModelSource:
    server.others[f"org/{purpose}"] = {**files(purpose), **{f"{n}.json": content for n, content in changes.items()}}
    return source(server, purpose)


async def refusal(home: AgentHome, wanted: ModelSource) -> LoratuiError:
    with pytest.raises(LoratuiError) as caught:
        await fetch_model(home, wanted, lambda _: None)
    return caught.value


@pytest.mark.parametrize("purpose", [ModelPurpose.DINO, ModelPurpose.CLIP])
async def test_only_what_is_needed_comes_it_is_verified_and_kept_for_the_next_job(
    home: AgentHome, server: ModelServer, purpose: ModelPurpose
) -> None:
    wanted, told = serve(server, purpose), list[Setup]()
    folder = await fetch_model(home, wanted, told.append)
    of_clip = ["tokenizer.json"] if purpose is ModelPurpose.CLIP else []
    names = ["config.json", "model.safetensors", *of_clip]
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) == names
    assert folder.parent == home.models
    assert (told[-1].phase, told[-1].unit) == (f"{purpose}_model", "bytes")
    assert told[-1].done == told[-1].total == sum(len(server.others[wanted.address][name]) for name in names)
    server.requests.clear()
    assert await fetch_model(home, wanted, told.append) == folder
    assert len(server.requests) == 1, "only the commit is asked for"


async def test_a_revision_is_asked_for_by_its_name(home: AgentHome, server: ModelServer) -> None:
    serve(server)
    await fetch_model(home, source(server, revision="refs/pr/15"), lambda _: None)
    assert server.requests[0][0] == "/api/models/org/dino/revision/refs%2Fpr%2F15"


async def test_what_was_cut_off_goes_on_from_there(home: AgentHome, server: ModelServer) -> None:
    wanted = serve(server)
    server.stall = threading.Event()

    def weights() -> list[Path]:
        return [path for path in home.models.rglob("model.safetensors.part") if path.stat().st_size]

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(fetch_model(home, wanted, lambda _: None))
        await asyncio.to_thread(wait_until, weights, "the first bytes")
        running.cancel()
    server.stall.set()
    server.stall = None
    server.requests.clear()
    folder = await fetch_model(home, wanted, lambda _: None)
    assert (folder / "model.safetensors").read_bytes() == server.others[wanted.address]["model.safetensors"]
    assert [asked for path, asked, _ in server.requests if path.endswith("model.safetensors")] == ["bytes=1000-"]


async def test_a_model_of_timm_is_refused_before_its_weights_are_downloaded(
    home: AgentHome, server: ModelServer
) -> None:
    wanted = serve(server, config=json.dumps({"architecture": "vit", "pretrained_cfg": {}}).encode())
    error = await refusal(home, wanted)
    assert (error.code, "timm" in error.what) == ("model.unsupported", True)
    assert not [path for path, _, _ in server.requests if path.endswith(".safetensors")]
    assert (await refusal(home, wanted)).code == "model.unsupported", "the second time, too"


async def test_pickles_are_left_where_they_are(home: AgentHome, server: ModelServer) -> None:
    wanted = serve(server)
    del server.others[wanted.address]["model.safetensors"]
    error = await refusal(home, wanted)
    assert (error.code, "refs/pr" in error.fix) == ("model.unsafe", True)
    assert not [path for path, _, _ in server.requests if "resolve" in path]


async def test_a_hub_that_does_not_answer_is_soon_given_up(home: AgentHome, server: ModelServer) -> None:
    wanted = serve(server)
    server.statuses = [503] * 4
    error = await refusal(home, wanted)
    assert (error.code, server.statuses) == ("model.network", [])


def test_a_host_weighs_what_it_will_download(home: AgentHome, server: ModelServer) -> None:
    wanted = serve(server)
    fields = {"kind": "hub", "purpose": "dino", "name": "dino", "address": wanted.address, "hub_url": server.url}
    told = weigh(home, json.dumps({**fields, "token": ""}))
    assert (told["here"], told["size"]) == (False, sum(map(len, (CONFIG[ModelPurpose.DINO], safetensors(50_000)))))
