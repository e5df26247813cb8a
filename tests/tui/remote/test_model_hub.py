"""Whether a base model can be had, and how large it is, asked from the laptop of real servers on loopback."""

import contextlib
import dataclasses
import json
import math
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui.domain.base_kinds import SD1, SDXL, BaseKind, KnownBase
from loratui.remote.model_hub import look_at_features, look_at_model
from loratui_agent.fetch.address import LOOPBACK_VARIABLE
from loratui_agent.fetch.weigh import weigh
from loratui_protocol.architecture import SDXL as SDXL_ARCHITECTURE
from loratui_protocol.errors import ModelError
from loratui_protocol.inputs import ModelKind, ModelPurpose, ModelSource
from loratui_protocol.paths import AgentHome
from loratui_protocol.single_file import Prediction
from support.checkpoint_headers import Shape, header_bytes, sd15, sdxl
from support.model_server import ModelServer, model_files, model_server, sdxl_files


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


def hub(server: ModelServer, address: str = "org/name") -> ModelSource:
    return ModelSource(kind=ModelKind.HUB, name="name", address=address, hub_url=server.url)


def https(address: str) -> ModelSource:
    return ModelSource(kind=ModelKind.HTTPS, name="a.safetensors", address=address)


def checkpoint(tensors: dict[str, Shape]) -> bytes:
    """Return a file with this header, and nothing but zeros for weights."""
    return header_bytes(tensors) + bytes(2 * sum(math.prod(shape) for shape in tensors.values()))


async def refused(source: ModelSource, token: str = "", **limits: float) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await look_at_model(source, token, **limits)
    return caught.value


async def test_a_hubs_model_is_as_large_here_as_the_machine_will_find_it(
    server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOOPBACK_VARIABLE, "1")
    server.model = model_files()
    question = json.dumps({**dataclasses.asdict(hub(server)), "token": ""})
    home = AgentHome(tmp_path / "home")
    home.run.mkdir(parents=True)
    assert (await look_at_model(hub(server))).num_bytes == weigh(home, question)["size"]


async def test_what_no_header_can_hold_is_no_token_and_shown_to_nobody(server: ModelServer) -> None:
    server.model, server.token = model_files(), "hf_right"
    error = await refused(hub(server), "hf_ é")
    assert (error.code, "not ASCII" in error.what, server.requests) == ("model.token", True, [])
    assert "hf_" not in f"{error}"


@pytest.mark.parametrize("is_listed_openly", [True, False])
async def test_a_gated_model_is_refused_with_where_its_licence_is_and_opened_by_its_token(
    server: ModelServer, is_listed_openly: bool
) -> None:
    server.model, server.token, server.is_listed_openly = model_files(), "hf_right", is_listed_openly
    server.barred = "hf_other"
    page = f"{server.url}/org/name"
    for token, code, word, fix in (
        ("", "model.gated", "no token was given", f"accept its licence at {page}"),
        ("hf_wrong", "model.token", "the token that was given is not valid there (401)", "enter it whole"),
        ("hf_other", "model.gated", "its account was not let in", f"accept the licence at {page} with that account"),
    ):
        error = await refused(hub(server), token)
        assert (error.code, word in error.what, fix in error.fix) == (code, True, True), error
        assert "hf_" not in f"{error}"
    assert ((await look_at_model(hub(server), "hf_right")).num_bytes or 0) > 0


async def test_a_token_is_shown_to_the_models_own_server_alone(server: ModelServer) -> None:
    with model_server() as store:
        store.files["/elsewhere"] = checkpoint(sd15())
        server.redirects["/a.safetensors"] = f"{store.url}/elsewhere"
        assert (await look_at_model(https(f"{server.url}/a.safetensors"), "hf_canary")).num_bytes == len(
            store.files["/elsewhere"]
        )
        assert {authorization for _, _, authorization in store.requests} == {""}
    assert {authorization for _, _, authorization in server.requests} == {"Bearer hf_canary"}


@pytest.mark.parametrize("address", ["http://models.example/a.safetensors", "ftp://models.example/a.safetensors"])
async def test_nothing_is_asked_where_anyone_on_the_way_could_read_along(address: str) -> None:
    for source in (https(address), ModelSource(kind=ModelKind.HUB, name="n", address="org/name", hub_url=address)):
        assert (await refused(source, "hf_canary")).code == "model.address"


async def test_a_model_that_is_not_there_is_said_to_be_missing(server: ModelServer) -> None:
    server.model = model_files()
    for source in (hub(server, "org/nome"), https(f"{server.url}/none.safetensors")):
        error = await refused(source)
        assert error.code == "model.missing"
        assert error.fix


async def test_a_hubs_model_of_another_kind_is_refused(server: ModelServer) -> None:
    server.model = {**model_files(), "transformer/config.json": b"{}"}
    assert (await refused(hub(server))).code == "model.unsupported"
    server.model = {name: content for name, content in model_files().items() if not name.startswith("vae/")}
    assert (await refused(hub(server))).code == "model.incomplete"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.safetensors", checkpoint(sdxl(channels=9)), "model.unsupported"),
        ("a.safetensors", b"<html>please log in</html>" + bytes(100), "model.format"),
        ("a.ckpt", checkpoint(sd15()), "model.unsafe"),
        ("a.safetensors", header_bytes(sd15()) + bytes(1000), "model.truncated"),
    ],
    ids=["inpainting", "web page", "pickle", "truncated"],
)
async def test_a_file_that_can_not_be_trained_is_refused_by_its_first_bytes(
    server: ModelServer, name: str, content: bytes, code: str
) -> None:
    server.files[f"/{name}"] = content
    assert (await refused(https(f"{server.url}/{name}"))).code == code


@pytest.mark.parametrize(("tensors", "kind"), [(sd15(), SD1), (sdxl(), SDXL)], ids=["SD 1.x", "SDXL"])
@pytest.mark.parametrize("is_sized", [True, False])
async def test_a_file_says_of_which_kind_it_is_whether_or_not_its_server_says_how_long_it_is(
    server: ModelServer, tensors: dict[str, Shape], kind: BaseKind, is_sized: bool
) -> None:
    content = checkpoint(tensors)
    server.files["/a.safetensors"] = content
    server.ignores_ranges = server.is_unsized = not is_sized
    found = await look_at_model(https(f"{server.url}/a.safetensors"))
    epsilon = Prediction(is_v=False)
    assert found == KnownBase(num_bytes=len(content) if is_sized else None, kind=kind, prediction=epsilon)


async def test_what_a_model_predicts_is_read_where_it_lies(server: ModelServer) -> None:
    said = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    server.model = {**model_files(), "scheduler/scheduler_config.json": json.dumps(said).encode()}
    server.files["/a.safetensors"] = checkpoint({**sdxl(), "v_pred": (1,), "ztsnr": (1,)})
    for source in (hub(server), https(f"{server.url}/a.safetensors")):
        assert (await look_at_model(source)).prediction == Prediction(is_v=True, is_zero_snr=True)


async def test_of_sdxl_on_a_hub_the_kind_and_the_size_in_half_precision_are_known(server: ModelServer) -> None:
    server.model, server.hub_id = sdxl_files(), "stabilityai/stable-diffusion-xl-base-1.0"
    found = await look_at_model(hub(server, server.hub_id))
    assert found.kind is SDXL
    parts = (*SDXL_ARCHITECTURE.parts, "model_index.json", "README.md")
    taken = [name for name in server.model if name.endswith((".fp16.safetensors", ".json", ".txt", ".md"))]
    assert found.num_bytes == sum(len(server.model[name]) for name in taken if name.partition("/")[0] in parts)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("unet/config.json", {"in_channels": 9, "cross_attention_dim": 768}, "an inpainting model"),
        ("unet/config.json", {"in_channels": 4, "cross_attention_dim": 1024}, "a Stable Diffusion 2.x model"),
        ("scheduler/scheduler_config.json", {"prediction_type": "sample"}, "predicts sample"),
        ("model_index.json", {"_class_name": "KolorsPipeline"}, "a Kolors model"),
    ],
)
async def test_what_a_hubs_model_says_of_itself_is_read_before_anything_is_rented(
    server: ModelServer, file: str, content: dict[str, object], said: str
) -> None:
    server.model = {**model_files(), file: json.dumps(content).encode()}
    error = await refused(hub(server))
    assert (error.code, said in error.what) == ("model.unsupported", True), error


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_server_in_trouble_proves_nothing(server: ModelServer, status: int) -> None:
    server.model = model_files()
    for source in (hub(server), https(f"{server.url}/a.safetensors")):
        server.statuses = [status]
        error = await refused(source)
        assert (error.code, str(status) in error.what) == ("model.network", True)


async def test_an_answer_that_makes_no_sense_proves_nothing(server: ModelServer) -> None:
    server.model, server.listed = model_files(), {"size": "large"}
    assert (await refused(hub(server))).code == "model.network"
    server.redirects["/api/models/org/name/revision/main"] = "/page"
    server.files["/page"] = b"<html>"
    assert (await refused(hub(server))).code == "model.network"


@pytest.mark.parametrize("is_silent", [True, False])
async def test_who_does_not_answer_is_waited_for_no_longer_than_the_limit(is_silent: bool) -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if not is_silent:
            listener.close()
        for source in (https(f"{url}/a.safetensors"), hub(ModelServer(url=url))):
            started_s = time.monotonic()
            error = await refused(source, limit_s=0.3)
            assert time.monotonic() - started_s < 5
            assert error.code == "model.network"
            assert f"{url.removeprefix('http://')} does not answer this laptop" in error.what


DINO_FILES = {
    "config.json": b'{"model_type": "dinov2"}',
    "model.safetensors": bytes(5000),
    "pytorch_model.bin": bytes(7000),
}


def dino(server: ModelServer) -> ModelSource:
    return dataclasses.replace(hub(server, "org/dino"), purpose=ModelPurpose.DINO)


async def test_a_model_to_measure_with_is_as_large_here_as_the_machine_will_find_it(
    server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOOPBACK_VARIABLE, "1")
    server.others["org/dino"] = DINO_FILES
    home = AgentHome(tmp_path / "home")
    home.run.mkdir(parents=True)
    there = weigh(home, json.dumps({**dataclasses.asdict(dino(server)), "token": ""}))
    assert await look_at_features(dino(server)) == there["size"] == 5024


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"config.json": b'{"architecture": "vit_small", "pretrained_cfg": {}}'}, "model.unsupported"),
        ({"config.json": b"[]"}, "model.incomplete"),
        ({"model.safetensors": None}, "model.unsafe"),
        ({"model.safetensors": None, "pytorch_model.bin": None}, "model.incomplete"),
    ],
)
async def test_what_can_not_be_measured_with_is_known_before_a_machine_is_rented(
    server: ModelServer, changes: dict[str, bytes | None], code: str
) -> None:
    files = {name: content for name, content in {**DINO_FILES, **changes}.items() if content is not None}
    server.others["org/dino"] = files
    with pytest.raises(ModelError) as caught:
        await look_at_features(dino(server))
    assert caught.value.code == code
    with pytest.raises(ModelError) as missing:
        await look_at_features(dataclasses.replace(dino(server), address="org/none"))
    assert missing.value.code == "model.missing"
