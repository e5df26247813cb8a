"""``train --on ssh://…`` before anything is reached: what is refused, and what a person is told first."""

import pytest

from loratui.cli import terms
from loratui.domain.box import BoxFacts
from loratui.domain.environment_choice import EnvironmentChoice
from loratui.remote.upload import LocalBlob
from loratui.sessions.model_source import model_source, token_for, token_source
from loratui.sessions.prepare import Prepared, WeighedModel
from loratui.sessions.supply import Supply
from loratui_protocol.errors import HostError, ModelError
from loratui_protocol.inputs import (
    EnvironmentKind,
    EnvironmentSpec,
    JobInputs,
    Manifest,
    ModelKind,
    ModelPurpose,
    ModelSource,
)
from support.local_cli import local_cli

HUB = "https://hub.example"
SHA = "ab" * 32


@pytest.fixture
def cli(tmp_path):
    with local_cli(tmp_path, LORATUI_SSH__PRICE_USD_PER_H="0.5") as cli:
        yield cli


def prepared(size: int, bytes_per_s: float | None, **changes: object) -> Prepared:
    """Return a run that sends so much, over a line that was measured."""
    inputs = JobInputs(
        manifest_sha256="",
        model=ModelSource(kind=ModelKind.FILES, name="m"),
        environment=EnvironmentSpec(kind=EnvironmentKind.CLEAN),
    )
    supply = Supply(config_toml="", inputs=inputs, manifest=Manifest(()), blobs={"": LocalBlob(size=size)})
    facts = BoxFacts(
        system="Linux", machine="x86_64", libc="glibc 2.36", user="u", home_folder="/h", cpus=2, ram_bytes=1 << 30
    )
    environment = EnvironmentChoice(spec=inputs.environment, locks=(), why="a torch of ours", disk_bytes=0)
    fields = {"model": None, "weighed": None, "features": {}, **changes}
    return Prepared(
        facts=facts, home="/h", environment=environment, supply=supply, upload_bytes_per_s=bytes_per_s, **fields
    )


def told(capsys: pytest.CaptureFixture[str], run: Prepared, price: int = 500_000) -> str:
    terms.tell_terms(run, price, None)
    return capsys.readouterr().err


def test_an_upload_that_costs_more_than_it_should_is_refused_before_the_start_and_accepted_by_name(capsys) -> None:
    slow = prepared(4_000_000_000, 50_000)
    with pytest.raises(HostError) as caught:
        terms.check_upload(slow, 500_000, [])
    assert caught.value.code == "upload.slow"
    assert "--accept upload.slow" in caught.value.fix
    terms.check_upload(slow, 500_000, ["upload.slow"])
    assert "warning: the upload takes long" in capsys.readouterr().err
    terms.check_upload(prepared(4_000_000, 5_000_000), 500_000, [])
    terms.check_upload(prepared(4_000_000_000, None), 500_000, [])
    assert capsys.readouterr().err == ""


def test_the_download_of_a_base_model_is_said_in_minutes_and_money(capsys) -> None:
    model = ModelSource(kind=ModelKind.HUB, name="name", address="org/name")

    def sentence(**fields: object) -> str:
        weighed = WeighedModel(**{"is_there": False, "size": 2_000_000_000, "bytes_per_s": 10e6, **fields})
        return told(capsys, prepared(1, None, model=model, weighed=weighed))

    assert "org/name; 2.0 GB at 10 MB/s take ≈3 min 20 s, which costs ≈$0.03 (speed just measured there)" in sentence()
    assert "org/name is there from an earlier run" in sentence(is_there=True, size=0, bytes_per_s=None)
    assert "its server does not say how large it is" in sentence(size=None)
    assert "how long that takes shows once" in told(capsys, prepared(1, None, model=model))


def test_what_is_downloaded_to_judge_with_is_said_too_and_what_will_be_missing(capsys) -> None:
    dino = ModelSource(kind=ModelKind.HUB, name="dino", purpose=ModelPurpose.DINO, address="org/dino")
    clip = ModelSource(kind=ModelKind.HUB, name="clip", purpose=ModelPurpose.CLIP, address="org/clip")
    weighed = WeighedModel(is_there=False, size=88_000_000, bytes_per_s=8.8e6)
    gone = ModelError("the model is not there (404)", fix="check its name")
    said = told(capsys, prepared(1, None, features={dino: weighed, clip: gone}))
    assert "evaluate_dino: the host downloads org/dino; 88 MB at 8.8 MB/s take ≈10 s" in said
    assert "warning: what evaluate_clip measures will be missing: the model is not there (404); check its name" in said


def test_a_token_is_for_one_server_the_base_models_where_that_is_downloaded() -> None:
    dino = ModelSource(kind=ModelKind.HUB, name="dino", purpose=ModelPurpose.DINO, address="org/dino", hub_url=HUB)
    base = model_source("org/name", HUB)
    file = model_source("https://site.example/model.safetensors", HUB)
    assert token_source(None, []) is None
    assert token_source(None, [dino]) == dino
    assert (token_source(base, [dino]), token_source(file, [dino])) == (base, file)
    assert (token_for(dino, "hf_canary", base), token_for(dino, "hf_canary", dino)) == ("hf_canary", "hf_canary")
    assert (token_for(dino, "canary", file), token_for(dino, "canary", None)) == ("", "")


def test_an_address_may_say_the_hash_of_its_file_but_no_secret() -> None:
    source = model_source(f"https://site.example/a/model.safetensors?type=full#sha256={SHA.upper()}", HUB)
    assert source is not None
    assert (source.kind, source.name, source.sha256) == (ModelKind.HTTPS, "model.safetensors", SHA)
    assert source.address == "https://site.example/a/model.safetensors?type=full"
    for address in ("?token=abc", "?a=b&API_KEY=abc", "?key=1", "#sha256=12", "#md5=1"):
        with pytest.raises(ModelError) as caught:
            model_source(f"https://site.example/model.safetensors{address}", HUB)
        assert caught.value.code == "model.address"
        assert "abc" not in f"{caught.value.what}{caught.value.fix}"


@pytest.mark.parametrize("word", ["PowerOff", "Stop", "power-off", "shutdown", "stopp"])
def test_a_slip_in_on_done_is_no_command_that_fails_hours_later(cli, word) -> None:
    done = cli.run("train", "job.toml", "--on", "ssh://host", "--on-done", word, "--deadline", "1h")
    assert done.finish() == 2
    assert "stop, poweroff, or a command" in "\n".join(done.errors)


def test_with_yes_somebody_has_said_what_it_may_cost(cli) -> None:
    done = cli.run("train", "job.toml", "--on", "ssh://host", "--yes")
    assert done.finish() == 2
    assert "[usage.budget]" in "\n".join(done.errors)


def test_what_a_host_bills_at_least_is_said_and_may_not_be_more_than_the_budget(cli, capsys) -> None:
    terms.tell_terms(prepared(1, None), 500_000, 60.0, floor_microusd=500_000)
    assert "price: $0.50/h; auto-stop: 1 min 00 s, at most $0.50, at least $0.50 is billed" in capsys.readouterr().err
    cli.environment["LORATUI_SSH__BILLING_FLOOR_MIN"] = "60"
    refused = cli.run("train", "job.toml", "--on", "ssh://host", "--budget", "0.49")
    assert refused.finish() == 2
    said = "\n".join(refused.errors)
    assert "[budget.too_low]" in said
    assert "that host bills $0.50 at least: 1 h 00 min at $0.50/h" in said
    enough = cli.run("train", "job.toml", "--on", "ssh://host", "--budget", "0.50")
    assert "[budget.too_low]" not in "\n".join(enough.errors)
    cli.environment["LORATUI_SSH__PRICE_USD_PER_H"] = "0"
    free = cli.run("train", "job.toml", "--on", "ssh://host", "--deadline", "1h")
    assert "ssh.billing_floor_min has no effect, an hour costs $0" in "\n".join(free.errors)


@pytest.mark.parametrize("home", ["~/x", "data", "./x"])
def test_a_folder_on_the_host_is_named_from_its_root(cli, home) -> None:
    cli.environment["LORATUI_SSH__HOME"] = home
    done = cli.run("config", "show")
    assert done.finish() == 3
    assert "ssh.home" in "\n".join(done.errors)
