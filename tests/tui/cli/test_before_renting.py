"""``train --on`` a provider before any provider is asked: what stands in the way is said at once, and what to do."""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui.sessions.preconditions import PreconditionError, refuse
from loratui_protocol.findings import Finding
from support.checkpoint_headers import sdxl, write_header
from support.fake_runpod import FakeRunPod
from support.fake_vast import FakeVast
from support.local_cli import LocalCli
from support.market_cli import config_file, market_cli
from support.model_server import ModelServer, model_files, model_server, safetensors, sdxl_files
from support.terminal import Terminal

GATED = "model.gated"
PORTS = "network.ports"
UNPAID = ("--on", "vast", "--budget", "0.000001", "--yes", "--plain")
"""A run that goes as far as the offers, and is refused there."""


@pytest.fixture
def hub() -> Iterator[ModelServer]:
    with model_server() as hub:
        hub.model = model_files()
        yield hub


@pytest.fixture
def cli(tmp_path: Path, vast: FakeVast, runpod: FakeRunPod, hub: ModelServer) -> Iterator[LocalCli]:
    with market_cli(tmp_path, vast, runpod, LORATUI_REMOTE__HUB_URL=hub.url) as cli:
        yield cli


@pytest.fixture
def blocked() -> str:
    """A port that takes no connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def hub_config(cli: LocalCli) -> Path:
    return config_file(cli, pretrained_model_name_or_path="org/name")


def said(cli: LocalCli, *arguments: str | Path, typed: str = "") -> tuple[int, str]:
    command = cli.run("train", *arguments, typed=typed)
    return command.finish(), "\n".join(command.errors)


def num_asked(vast: FakeVast, runpod: FakeRunPod) -> int:
    return vast.num_requests("offers") + runpod.num_requests("offers") + vast.num_requests("account")


def test_what_nobody_can_name_a_price_for_is_rented_for_only_when_that_was_accepted(
    cli: LocalCli, vast: FakeVast, runpod: FakeRunPod, blocked: str
) -> None:
    cli.environment["LORATUI_REMOTE__HUB_URL"] = f"http://{blocked}"
    status, told = said(cli, hub_config(cli), *UNPAID)
    assert (status, "[model.no_estimate]" in told) == (3, True), told
    assert num_asked(vast, runpod) == 0
    status, told = said(cli, hub_config(cli), *UNPAID, "--accept", "model.no_estimate")
    assert (status, "warning: [model.no_estimate]" in told, "[budget.too_low]" in told) == (2, True, True), told
    estimated = "\n".join(cli.run("offers", "--for", hub_config(cli)).errors)
    assert "note: [model.no_estimate]" in estimated
    assert "assumed: SDXL, since nobody knows the base model's kind" in estimated


def test_sdxl_is_rented_for_like_everything_that_can_be_trained(
    cli: LocalCli, vast: FakeVast, runpod: FakeRunPod, hub: ModelServer, tmp_path: Path
) -> None:
    config = config_file(cli, pretrained_model_name_or_path=str(write_header(tmp_path / "xl.safetensors", sdxl())))
    status, told = said(cli, config, *UNPAID)
    assert (status, "[budget.too_low]" in told) == (2, True), told
    hub.model = sdxl_files()
    times, sources = [], []
    for files in (model_files(), sdxl_files()):
        hub.model = files
        config = config_file(
            cli,
            pretrained_model_name_or_path="org/name",
            resolution=(1024, 1024),
            train_batch_size=1,
            max_train_steps=900,
        )
        offers = {each["id"]: each for each in json.loads(cli.run("offers", "--for", config, "--json").lines[0])}
        [training] = [phase for phase in offers["101"]["phases"] if phase["phase"] == "training"]
        times.append(training["p50"]["s"])
        sources.append(training["source"])
    assert times[1] > 1.3 * times[0], "pictures of one size take SDXL longer"
    assert ["brought to SD 1.x" in source for source in sources] == [True, False]


def test_a_gated_model_is_refused_with_its_page_before_any_provider_is_asked(
    cli: LocalCli, vast: FakeVast, runpod: FakeRunPod, hub: ModelServer
) -> None:
    hub.token, hub.is_listed_openly = "hf_right", True
    status, refused = said(cli, hub_config(cli), *UNPAID)
    assert status == 3
    assert f"[{GATED}]" in refused
    assert f"accept its licence at {hub.url}/org/name" in refused
    assert "Nothing was rented" in refused
    assert num_asked(vast, runpod) == 0
    _, wrong = said(cli, hub_config(cli), *UNPAID, "--ask-token", typed="hf_canary\n")
    assert "[model.token]" in wrong
    assert "the token that was given is not valid there" in wrong
    assert "hf_canary" not in wrong
    _, right = said(cli, hub_config(cli), *UNPAID, "--ask-token", typed="hf_right\n")
    assert "[budget.too_low]" in right


def test_what_stands_in_the_way_is_said_together_and_each_can_be_accepted_by_name(
    cli: LocalCli, vast: FakeVast, runpod: FakeRunPod, hub: ModelServer, blocked: str
) -> None:
    hub.token = "hf_right"
    cli.environment["LORATUI_NETWORK__PORT_PROBE"] = blocked
    config = hub_config(cli)
    _, both = said(cli, config, *UNPAID)
    assert "2 things stand in the way, and nothing was rented" in both
    assert f"[{GATED}]" in both
    assert f"[{PORTS}] no connection gets out of this network to a high port: {blocked}" in both
    going_on = ("--accept", GATED, "--accept", "model.no_estimate")
    _, one = said(cli, config, *UNPAID, *going_on)
    assert f"loratui: [{PORTS}]" in one
    assert num_asked(vast, runpod) == 0
    _, accepted = said(cli, config, *UNPAID, *going_on, "--accept", PORTS)
    assert f"warning: [{GATED}]" in accepted
    assert f"warning: [{PORTS}]" in accepted
    assert "[budget.too_low]" in accepted


def test_a_policy_that_fetches_nothing_is_refused_before_it_costs_a_whole_run(
    cli: LocalCli, vast: FakeVast, runpod: FakeRunPod
) -> None:
    cli.environment["LORATUI_DOWNLOADS__POLICY"] = "none"
    status, refused = said(cli, config_file(cli), *UNPAID)
    assert status == 3
    assert "[downloads.policy] downloads.policy is none, so nothing of a run comes here by itself" in refused
    assert "Nothing was rented" in refused
    assert num_asked(vast, runpod) == 0
    _, accepted = said(cli, config_file(cli), *UNPAID, "--accept", "downloads.policy")
    assert "warning: [downloads.policy]" in accepted
    assert "[budget.too_low]" in accepted
    cli.environment["LORATUI_DOWNLOADS__POLICY"] = "final"
    assert "downloads.policy" not in said(cli, config_file(cli), *UNPAID)[1]


def test_what_the_hub_says_of_the_models_prediction_is_held_against_the_config_before_any_provider_is_asked(
    cli: LocalCli, vast: FakeVast, runpod: FakeRunPod, hub: ModelServer
) -> None:
    hub.model["scheduler/scheduler_config.json"] = b'{"prediction_type": "v_prediction"}'
    config = config_file(cli, pretrained_model_name_or_path="org/name", v_parameterization=False)
    assert cli.run("check", config).process.returncode == 0, "here nobody knows it"
    status, told = said(cli, config, *UNPAID)
    assert (status, "[model.prediction]" in told, "org/name predicts v" in told) == (3, True, True), told
    assert num_asked(vast, runpod) == 0
    right = config_file(cli, pretrained_model_name_or_path="org/name", v_parameterization=True)
    assert "[budget.too_low]" in said(cli, right, *UNPAID)[1]


def test_an_open_port_among_those_that_are_tried_is_enough(cli: LocalCli, blocked: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        cli.environment["LORATUI_NETWORK__PORT_PROBE"] = f"{blocked}, 127.0.0.1:{listener.getsockname()[1]}"
        _, told = said(cli, config_file(cli), *UNPAID)
    assert f"info: [{PORTS}]" in told
    assert "[budget.too_low]" in told


def test_a_hub_that_does_not_answer_is_a_warning_where_the_model_is_known(cli: LocalCli, blocked: str) -> None:
    cli.environment["LORATUI_REMOTE__HUB_URL"] = f"http://{blocked}"
    config = config_file(cli, pretrained_model_name_or_path="stabilityai/stable-diffusion-xl-base-1.0")
    _, told = said(cli, config, *UNPAID)
    assert "warning: [model.network]" in told
    assert "[budget.too_low]" in told


def test_the_models_real_size_goes_into_the_estimate_and_the_disk(cli: LocalCli, hub: ModelServer) -> None:
    command = cli.run("offers", "--for", hub_config(cli), "--json")
    assert command.process.returncode == 0, command.errors
    for offer in json.loads(command.lines[0]):
        [model] = [phase for phase in offer["phases"] if phase["phase"] == "base model"]
        assert model["source"].startswith("its size")
    rows = cli.run("offers", "--for", hub_config(cli)).errors
    [disk] = [row for row in rows if row.split()[:1] == ["disk"]]
    assert "base model (assumed)" not in disk
    hub.token = "hf_right"
    unknown = cli.run("offers", "--for", hub_config(cli))
    assert unknown.process.returncode == 0
    assert any(row.startswith(f"note: [{GATED}]") for row in unknown.errors)
    assert any("base model (assumed) 14 GB" in row for row in unknown.errors)


def judged_config(cli: LocalCli) -> Path:
    return config_file(cli, pretrained_model_name_or_path="org/name", evaluate_checkpoints=1, evaluate_dino="org/dino")


def test_what_is_downloaded_to_judge_with_is_asked_for_and_stands_in_the_estimate_and_the_disk(
    cli: LocalCli, hub: ModelServer
) -> None:
    hub.others["org/dino"] = {"config.json": b'{"model_type": "dinov2"}', "model.safetensors": bytes(60_000_000)}
    command = cli.run("offers", "--for", judged_config(cli), "--json")
    assert command.process.returncode == 0, command.errors
    for offer in json.loads(command.lines[0]):
        [model] = [phase for phase in offer["phases"] if phase["phase"] == "models to judge with"]
        assert model["source"].startswith("its size")
    [disk] = [row for row in cli.run("offers", "--for", judged_config(cli)).errors if row.split()[:1] == ["disk"]]
    assert "models to judge with 60 MB" in disk
    del hub.others["org/dino"]
    unknown = cli.run("offers", "--for", judged_config(cli))
    assert unknown.process.returncode == 0
    told = "\n".join(unknown.errors)
    assert "note: [model.missing] evaluate_dino names org/dino, and what it measures may be missing" in told
    assert "models to judge with (assumed) 1.7 GB" in told


def test_a_score_that_can_not_be_had_is_a_warning_before_money_is_spent_and_stops_nothing(
    cli: LocalCli, hub: ModelServer
) -> None:
    hub.others["org/dino"] = {"config.json": b'{"model_type": "dinov2"}', "pytorch_model.bin": b"pickle"}
    _, told = said(cli, judged_config(cli), *UNPAID)
    assert "warning: [model.unsafe] evaluate_dino names org/dino" in told
    assert "[budget.too_low]" in told, "it went on to the offers"


def test_a_large_model_gets_the_disk_that_it_needs(cli: LocalCli, hub: ModelServer) -> None:
    hub.model["unet/diffusion_pytorch_model.fp16.safetensors"] = safetensors(1000)
    usual = json.loads(cli.run("offers", "--for", hub_config(cli), "--json").lines[0])
    assert {offer["disk_gb"] for offer in usual} == {40}
    hub.listed = {"size": 5 * 10**9}
    large = json.loads(cli.run("offers", "--for", hub_config(cli), "--json").lines[0])
    assert min(offer["disk_gb"] for offer in large) > 60


def test_warnings_are_asked_about_before_money_is_spent(cli: LocalCli, vast: FakeVast) -> None:
    config = config_file(cli, rights_statement="mine")
    config.write_text(config.read_text("utf-8") + "\n[more]\nxformers = true\n", "utf-8")
    argv = [sys.executable, "-m", "loratui.cli", "train", str(config), "--on", "vast", "--budget", "5"]
    with Terminal(argv, environ=cli.environment) as terminal:
        terminal.read_until(lambda output: b"[y/N]" in output)
        num_warnings = terminal.received.count(b"warning: ")
        assert num_warnings >= 2
        assert b"config.without_effect" in terminal.received
        assert f"Rent it and start in spite of {num_warnings} warnings?".encode() in terminal.received
        terminal.press("n\n")
        assert terminal.wait() == 0
    assert vast.num_requests("create") == 0


def test_what_the_check_found_to_be_an_error_can_not_be_trained_and_everything_is_named() -> None:
    findings = [
        Finding(code="dataset.a", severity="error", what="a picture is broken", fix="remove it", path="/p/a.png"),
        Finding(code="dataset.b", severity="warning", what="few pictures"),
        Finding(code="model.c", severity="error", what="the model is another", fix="take an SD 1.x"),
    ]
    with pytest.raises(PreconditionError) as caught:
        refuse(findings)
    assert (caught.value.code, caught.value.exit_status) == ("rental.preconditions", 3)
    for part in ("[dataset.a] a picture is broken (/p/a.png)", "fix: remove it", "[model.c]", "take an SD 1.x"):
        assert part in caught.value.what
    assert "dataset.b" not in caught.value.what
    left = refuse(findings, {"dataset.a", "model.c"})
    assert {each.severity for each in left} == {"warning"}
