"""How large a base model is and how fast it comes, asked of real servers on loopback."""

import contextlib
import dataclasses
import json
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from loratui_agent.fetch.address import LOOPBACK_VARIABLE
from loratui_agent.fetch.model import fetch_model
from loratui_agent.fetch.weigh import weigh
from loratui_agent.secrets import keep_secret
from loratui_protocol.errors import LoratuiError, ModelError, UsageError
from loratui_protocol.inputs import ModelKind, ModelSource
from support.model_server import ModelServer, model_files, model_server, safetensors


def hub(server: ModelServer) -> ModelSource:
    return ModelSource(kind=ModelKind.HUB, name="name", address="org/name", hub_url=server.url)


def https(address: str) -> ModelSource:
    return ModelSource(kind=ModelKind.HTTPS, name="a.safetensors", address=address)


def question(source: ModelSource, token: str = "") -> str:
    return json.dumps({**dataclasses.asdict(source), "token": token}) + "\n"


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def test_a_hubs_model_weighs_what_its_download_then_brings(home, server):
    server.model = model_files()
    told = weigh(home, question(hub(server)))
    assert told["here"] is False
    assert told["bytes_per_s"] > 0
    assert size_of(home.path) == 0, "nothing is kept"
    folder = await fetch_model(home, hub(server), lambda _: None)
    assert told["size"] == size_of(folder)
    assert weigh(home, question(hub(server))) == {"here": True, "size": 0, "bytes_per_s": None}


def test_a_single_file_weighs_what_its_server_says(home, server):
    server.files["/a.safetensors"] = safetensors(300_000)
    told = weigh(home, question(https(f"{server.url}/a.safetensors?token=secret")))
    assert (told["here"], told["size"]) == (False, 300_000)


def test_a_token_goes_to_the_models_own_server_and_is_kept_nowhere(home, server):
    server.model, server.token = model_files(), "hf_canary"
    with model_server() as store:
        store.files["/elsewhere"] = safetensors(50_000)
        server.files["/mine.safetensors"] = safetensors(100)
        server.redirects["/mine.safetensors"] = f"{store.url}/elsewhere"
        told = weigh(home, question(https(f"{server.url}/mine.safetensors"), "hf_canary"))
        assert told["size"] == 50_000
        assert {authorization for _, _, authorization in store.requests} == {""}
    assert {authorization for _, _, authorization in server.requests} == {"Bearer hf_canary"}
    assert weigh(home, question(hub(server), "hf_canary"))["size"] > 0
    assert not [path for path in home.path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("token", "code"), [("", "model.gated"), ("hf_wrong", "model.token")])
def test_a_gated_model_is_refused_before_anyone_pays_whatever_token_is_kept(home, server, token, code):
    server.model, server.token = model_files(), "hf_right"
    keep_secret(home, server.url.removeprefix("http://"), "hf_right")
    with pytest.raises(ModelError) as caught:
        weigh(home, question(hub(server), token))
    assert caught.value.code == code


def test_a_server_that_does_not_answer_is_named(home, server):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ModelError) as caught:
        weigh(home, question(https(f"http://127.0.0.1:{port}/a.safetensors")))
    assert caught.value.code == "model.network"
    assert str(port) in caught.value.what


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("num_taken", [10, 0])
def test_a_network_that_swallows_everything_takes_no_longer_than_the_limit(home, server, scheme, num_taken):
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=num_taken))
        address = listener.getsockname()
        if not num_taken:
            # The kernel does not answer who comes when the line is full.
            stack.enter_context(socket.create_connection(address))
        for source in (
            https(f"{scheme}://127.0.0.1:{address[1]}/a.safetensors"),
            replace(hub(server), hub_url=f"{scheme}://127.0.0.1:{address[1]}"),
        ):
            started_s = time.monotonic()
            with pytest.raises(ModelError) as caught:
                weigh(home, question(source), limit_s=0.3)
            assert time.monotonic() - started_s < 5
            assert caught.value.code == "model.network"
            assert f"127.0.0.1:{address[1]} does not answer this host within 0 s" in caught.value.what


@pytest.mark.parametrize("address", ["http://169.254.169.254/latest/meta-data", "file:///etc/passwd"])
def test_nothing_but_the_open_internet_is_asked(home, address, monkeypatch):
    monkeypatch.delenv(LOOPBACK_VARIABLE, raising=False)
    with pytest.raises(ModelError) as caught:
        weigh(home, question(https(address)))
    assert caught.value.code == "model.address"


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"kind": "hub", "token": "x"}', '{"kind": 1, "token": "x"}'])
def test_nonsense_is_no_question(home, text):
    with pytest.raises(UsageError) as caught:
        weigh(home, text)
    assert isinstance(caught.value, LoratuiError)
