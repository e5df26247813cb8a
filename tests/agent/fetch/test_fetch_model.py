"""Base models from a hub and from plain addresses, over real sockets."""

import asyncio
import hashlib
import os
import threading
from pathlib import Path

import pytest

from loratui_agent.fetch import model
from loratui_agent.fetch.address import LOOPBACK_VARIABLE, is_allowed, parse_address
from loratui_agent.fetch.model import fetch_model
from loratui_agent.process import is_locked
from loratui_agent.secrets import forget_secrets, keep_secret
from loratui_protocol.base_model import files_of_hub_model
from loratui_protocol.errors import LoratuiError, ModelError
from loratui_protocol.inputs import ModelKind, ModelSource
from loratui_protocol.messages import Setup
from loratui_protocol.paths import AgentHome
from support.agent_process import wait_until
from support.model_server import COMMIT, ModelServer, model_files, safetensors, sdxl_files


def hub(server: ModelServer, **changes: str) -> ModelSource:
    return ModelSource(kind=ModelKind.HUB, name="name", address="org/name", hub_url=server.url, **changes)


def file_of(server: ModelServer, content: bytes, path: str = "/models/a.safetensors", sha256: str = "") -> ModelSource:
    server.files[path] = content
    return ModelSource(kind=ModelKind.HTTPS, name="a.safetensors", address=server.url + path, sha256=sha256)


async def fetch(home: AgentHome, source: ModelSource) -> Path:
    return await fetch_model(home, source, lambda _: None)


async def refusal(home: AgentHome, source: ModelSource) -> LoratuiError:
    with pytest.raises(LoratuiError) as caught:
        await fetch(home, source)
    return caught.value


async def interrupted(home: AgentHome, server: ModelServer, source: ModelSource) -> None:
    """Leave the first 1000 bytes of a download."""
    server.stall = threading.Event()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(fetch(home, source))
        parts = home.models.rglob
        await asyncio.to_thread(wait_until, lambda: any(p.stat().st_size for p in parts("*.part")), "the first bytes")
        running.cancel()
    server.stall.set()
    server.stall = None


def found(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".ok"
    }


async def test_of_a_hubs_model_only_what_a_training_reads_is_downloaded_once_and_in_half_precision(home, server):
    server.model = model_files()
    folder = await fetch(home, hub(server))
    files = found(folder)
    assert sorted(files) == [
        "README.md",
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ]
    half = "unet/diffusion_pytorch_model.fp16.safetensors"
    assert files["unet/diffusion_pytorch_model.safetensors"] == server.model[half]
    server.requests.clear()
    assert await fetch(home, hub(server)) == folder
    assert [path for path, _, _ in server.requests] == ["/api/models/org/name/revision/main"]


async def test_of_sdxls_hub_folder_both_text_encoders_come_and_what_says_that_it_predicts_v(home, server):
    server.model = sdxl_files()
    v = b'{"_class_name": "EulerDiscreteScheduler", "prediction_type": "v_prediction", "rescale_betas_zero_snr": true}'
    server.model["scheduler/scheduler_config.json"] = v
    files = found(await fetch(home, hub(server)))
    assert set(files) == set(files_of_hub_model("org/name", server.model))
    for part in ("text_encoder", "text_encoder_2"):
        assert files[f"{part}/model.safetensors"] == server.model[f"{part}/model.fp16.safetensors"]
    assert {"tokenizer/vocab.json", "tokenizer_2/vocab.json"} <= set(files)
    assert files["scheduler/scheduler_config.json"] == v


async def test_of_a_hubs_weights_that_come_in_pieces_the_whole_is_checked(home, server):
    server.model = model_files()
    server.cut_after = 30_000
    name = "unet/diffusion_pytorch_model"
    folder = await fetch(home, hub(server))
    assert found(folder)[f"{name}.safetensors"] == server.model[f"{name}.fp16.safetensors"]
    asked = [each for path, each, _ in server.requests if path == f"/store/{name}.fp16.safetensors"]
    assert asked == ["", "bytes=30000-"]
    server.requests.clear()
    server.model["vae/diffusion_pytorch_model.fp16.safetensors"] = safetensors(50_000)
    server.listed = {"lfs": {"oid": "0" * 64}}
    other = await refusal(AgentHome(home.path.with_name("other")), hub(server))
    assert (other.code, "SHA-256" in other.what) == ("model.corrupt", True)


async def test_a_download_that_breaks_again_and_again_goes_on_from_where_it_was(home, server):
    content = safetensors(100_000)
    source = file_of(server, content, sha256=hashlib.sha256(content).hexdigest())
    server.cut_after = 30_000
    assert (await fetch(home, source)).read_bytes() == content
    assert [asked for _, asked, _ in server.requests] == ["", "bytes=30000-", "bytes=60000-", "bytes=90000-"]


@pytest.mark.parametrize("fault", ["ignores_ranges", "changes"])
async def test_a_server_that_can_not_go_on_or_has_another_version_is_read_from_the_beginning(home, server, fault):
    content = safetensors(100_000)
    source = file_of(server, content)
    server.cut_after = 60_000
    setattr(server, fault, True)
    error = await refusal(home, source)
    assert error.code == "model.network"
    server.cut_after = 0
    assert (await fetch(home, source)).read_bytes() == content


@pytest.mark.parametrize(("etag", "size"), [("", 100_000), ('"same"', 120_000), ('"same"', 80_000)])
async def test_two_versions_of_a_file_are_never_put_together_whatever_the_server_sends(home, server, etag, size):
    server.etag, server.ignores_if_range = etag, True
    source = file_of(server, safetensors(100_000, b"1"))
    await interrupted(home, server, source)
    server.files["/models/a.safetensors"] = newer = safetensors(size, b"2")
    assert (await fetch(home, source)).read_bytes() == newer
    assert [asked for _, asked, _ in server.requests] == ["", "bytes=1000-", ""]


async def test_a_file_that_was_cut_off_unsaid_is_not_taken_for_a_model(home, server):
    content = safetensors(100_000)
    source = file_of(server, content)
    server.is_unsized, server.cut_after = True, 60_000
    error = await refusal(home, source)
    assert error.code == "model.corrupt"
    assert "is cut off" in error.what
    assert not found(home.models)
    server.cut_after = 0
    assert (await fetch(home, source)).read_bytes() == content


async def test_a_file_whose_size_nobody_says_is_over_when_it_is_here_and_not_before(home, server, monkeypatch):
    monkeypatch.setattr(model, "SAY_EVERY_S", 0.01)
    source = file_of(server, safetensors(100_000))
    server.is_unsized, server.stall = True, threading.Event()
    told: list[Setup] = []
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fetch_model(home, source, told.append))
        await asyncio.to_thread(wait_until, lambda: told, "the first bytes")
        server.stall.set()
    assert {setup.total for setup in told[:-1]} == {0}
    assert told[-1].done == told[-1].total == 100_000


async def test_what_a_crash_of_the_machine_left_damaged_is_downloaded_anew_and_nobody_hears_of_it(home, server):
    content = safetensors(100_000)
    source = file_of(server, content, sha256=hashlib.sha256(content).hexdigest())
    await interrupted(home, server, source)
    (part,) = home.models.rglob("*.part")
    part.write_bytes(bytes(part.stat().st_size))
    assert (await fetch(home, source)).read_bytes() == content
    assert [asked for _, asked, _ in server.requests] == ["", "bytes=1000-", ""]


async def test_a_token_that_is_cleared_away_during_a_download_is_known_to_its_end(home, server):
    source = file_of(server, safetensors(100_000))
    keep_secret(home, parse_address(server.url).host, "canary-token")
    server.cut_after, server.stall = 40_000, threading.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fetch(home, source))
        await asyncio.to_thread(wait_until, lambda: server.requests, "the first request")
        # As a system does with its user's shared memory when the last login ends.
        forget_secrets(home)
        server.stall.set()
    assert len(server.requests) == 3
    assert {token for _, _, token in server.requests} == {"Bearer canary-token"}


async def test_who_is_told_to_stop_again_and_again_leaves_no_download_at_work(home, server):
    source = file_of(server, safetensors(100_000))
    await interrupted(home, server, source)
    (part,) = home.models.rglob("*.part")
    # To look at so much takes a moment, in which nothing can be told to the one who looks.
    os.truncate(part, 400 << 20)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(fetch(home, source))
        # Whoever tries the lock has it for a moment, and would be taken for another download.
        held = f":{part.stat().st_ino} "
        await asyncio.to_thread(wait_until, lambda: held in Path("/proc/locks").read_text(), "the download to begin")
        while not running.done():
            running.cancel()
            await asyncio.sleep(0)
        assert not is_locked(part)
    assert running.cancelled()


async def test_an_interrupted_download_is_resumed_by_another_agent_and_progress_is_told(home, server):
    content = safetensors(200_000)
    source = file_of(server, content)
    server.stall = threading.Event()
    told: list[Setup] = []
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(fetch_model(home, source, told.append))
        async with asyncio.timeout(10):
            while not told:  # noqa: ASYNC110 - told from another thread's work
                await asyncio.sleep(0.01)
        running.cancel()
    assert running.cancelled()
    assert told[0].phase == "base_model"
    assert told[0].unit == "bytes"
    server.stall.set()
    server.stall = None
    assert (await fetch(home, source)).read_bytes() == content
    assert server.requests[-1][1].startswith("bytes=")


async def test_what_arrives_as_something_else_is_thrown_away(home, server):
    server.model = model_files()
    server.listed = {"oid": "0" * 40}
    assert (await refusal(home, hub(server))).code == "model.corrupt"
    content = safetensors(1000)
    error = await refusal(home, file_of(server, content, sha256="0" * 64))
    assert error.code == "model.corrupt"
    assert (
        f"begins with {hashlib.sha256(content).hexdigest()[:12]}, that of the right file with 000000000000"
        in error.what
    )
    assert not list(home.models.rglob("*.part"))
    pickled = file_of(server, b"\x80\x04\x95" + b"x" * 1000)
    assert (await refusal(home, pickled)).code == "model.unsafe"
    assert not list(home.models.rglob("*.safetensors"))


async def test_a_gated_model_says_so_and_comes_with_a_token_that_only_its_own_host_sees(home, server, caplog):
    server.model, server.token = model_files(), "canary-token"
    error = await refusal(home, hub(server))
    assert error.code == "model.gated"
    assert "token" in error.fix
    host = parse_address(server.url).host
    keep_secret(home, host, "canary-token")
    # The store is another host: a name of this machine that no token was entered for.
    server.redirects = {
        f"/org/name/resolve/{COMMIT}/{name}": f"http://localhost:{host.rpartition(':')[2]}/store/{name}"
        for name in server.model
    }
    await fetch(home, hub(server))
    assert {token for path, _, token in server.requests[1:] if path.startswith("/api")} == {"Bearer canary-token"}
    assert {token for path, _, token in server.requests if path.startswith("/store")} == {""}
    assert "canary" not in caplog.text
    assert not [p for p in home.path.rglob("*") if p.is_file() and b"canary" in p.read_bytes()]


@pytest.mark.parametrize(("status", "code"), [(401, "model.gated"), (403, "model.gated"), (404, "model.missing")])
async def test_a_refusal_of_the_server_is_said_at_once(home, server, status, code):
    source = file_of(server, b"x")
    server.statuses = [status]
    assert (await refusal(home, source)).code == code
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "token", "code", "said"),
    [
        (401, "", "model.gated", "no token was given"),
        (401, "hf_canary", "model.token", "is not valid there"),
        (403, "hf_canary", "model.gated", "its account was not let in"),
    ],
)
async def test_a_token_that_is_missing_wrong_or_not_let_in_are_three_things(home, server, status, token, code, said):
    if token:
        keep_secret(home, parse_address(server.url).host, token)
    source = file_of(server, b"x")
    server.statuses = [status]
    error = await refusal(home, source)
    assert (error.code, said in error.what, "canary" in str(error)) == (code, True, False)


async def test_a_server_that_is_busy_for_a_moment_is_asked_again(home, server):
    content = safetensors(1000)
    source = file_of(server, content)
    server.statuses = [503, 429, 500]
    assert (await fetch(home, source)).read_bytes() == content


async def test_a_web_page_instead_of_a_model_is_refused(home, server):
    server.content_type = "text/html; charset=utf-8"
    assert (await refusal(home, file_of(server, b"<html>sign in</html>"))).code == "model.address"


async def test_a_model_with_pickles_alone_and_one_of_another_kind_are_refused_before_their_weights(home, server):
    plain = model_files()
    server.model = {name: content for name, content in plain.items() if not name.startswith("vae/diff")}
    server.model["vae/diffusion_pytorch_model.bin"] = b"pickle"
    assert (await refusal(home, hub(server))).code == "model.unsafe"
    server.model = {**plain, "transformer/config.json": b"{}"}
    assert (await refusal(home, hub(server))).code == "model.unsupported"
    server.model = {"model.safetensors": safetensors(100)}
    assert (await refusal(home, hub(server))).code == "model.incomplete"
    assert not [path for path, _, _ in server.requests if path.startswith("/store")]
    ckpt = file_of(server, b"x", "/models/a.ckpt")
    assert (await refusal(home, ckpt)).code == "model.unsafe"


@pytest.mark.parametrize(
    "row", [{"path": "../../evil.json"}, {"path": "/etc/x"}, {"path": 3}, {"size": -1}, {"size": "1"}, {"oid": 7}]
)
async def test_a_hub_that_lies_is_not_believed(home, server, row):
    server.model, server.listed = model_files(), {**row, "lfs": None}
    assert (await refusal(home, hub(server))).code == "model.hub"
    assert not found(home.models) if home.models.exists() else True


async def test_a_redirect_into_a_private_network_is_not_followed(home, server):
    source = file_of(server, b"x")
    for target in (
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/x",
        "http://example.org/x",
        "file:///etc/passwd",
    ):
        server.redirects = {"/models/a.safetensors": target}
        assert (await refusal(home, source)).code == "model.address"
    server.redirects = {"/models/a.safetensors": "/models/a.safetensors"}
    assert "round and round" in (await refusal(home, source)).what


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "http://example.org/a.safetensors",
        "https://127.0.0.1/a.safetensors",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://user:secret@example.org/x",
        "ftp://example.org/x",
        "https://exa mple.org/x",
        "https:///x",
        "",
    ],
)
async def test_addresses_of_other_kinds_and_of_private_networks_are_never_asked(home, address, monkeypatch):
    monkeypatch.delenv(LOOPBACK_VARIABLE, raising=False)
    source = ModelSource(kind=ModelKind.HTTPS, name="a.safetensors", address=address)
    error = await refusal(home, source)
    assert error.code == "model.address"
    assert "secret" not in str(error)


def test_which_ip_addresses_are_of_the_open_internet():
    for private in (
        "127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",  # noqa: S104
        "::1", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "nonsense",
    ):  # fmt: skip
        assert not is_allowed(private), private
    for public in ("8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"):
        assert is_allowed(public), public
    assert is_allowed("127.0.0.1", loopback=True)
    assert not is_allowed("10.0.0.1", loopback=True)


def test_an_address_is_shown_without_its_query():
    assert str(parse_address("https://Example.org:8443/a?token=secret")) == "https://example.org:8443/a"
    with pytest.raises(ModelError):
        parse_address("http://127.0.0.1/x")
