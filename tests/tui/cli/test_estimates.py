"""``offers --for`` and ``plan --gpu`` as they are typed, against providers on loopback."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loratui.settings import load
from loratui.store.rentals import Rentals
from loratui_protocol.config_file import to_toml
from support.fake_runpod import FakeRunPod
from support.fake_vast import FakeVast, ask
from support.local_cli import LocalCli, local_cli
from support.small_dataset import small_config, write_small_dataset

SD1 = "stable-diffusion-v1-5/stable-diffusion-v1-5"


@pytest.fixture
def cli(tmp_path: Path, vast: FakeVast, runpod: FakeRunPod) -> Iterator[LocalCli]:
    with local_cli(
        tmp_path,
        LORATUI_PROVIDERS__VAST__URL=vast.url,
        LORATUI_PROVIDERS__VAST__SPACING="0",
        LORATUI_PROVIDERS__RUNPOD__URL=runpod.url,
        LORATUI_PROVIDERS__RUNPOD__GRAPHQL_URL=runpod.graphql_url,
        LORATUI_VAST_API_KEY=vast.key,
        LORATUI_RUNPOD_API_KEY=runpod.key,
        # Nobody answers there: the size of a base model is assumed.
        LORATUI_REMOTE__HUB_URL="http://127.0.0.1:9",
    ) as cli:
        yield cli


def config_file(cli: LocalCli, **changes: Any) -> Path:
    """Write a config of an SD 1.5 run of some minutes."""
    usual = {
        "pretrained_model_name_or_path": SD1,
        "resolution": (512, 512),
        "train_batch_size": 4,
        "max_train_steps": 1500,
    }
    config = small_config(write_small_dataset(cli.folder / "pictures"), **{**usual, **changes})
    path = cli.folder / "job.toml"
    path.write_text(to_toml(config), "utf-8")
    return path


def listed(cli: LocalCli, *arguments: str | Path) -> list[dict[str, Any]]:
    command = cli.run("offers", "--json", *arguments)
    assert command.process.returncode == 0, command.errors
    offers: list[dict[str, Any]] = json.loads(command.lines[0])
    return offers


def test_offers_for_a_config_come_by_what_the_run_costs_with_every_source(cli: LocalCli) -> None:
    offers = listed(cli, "--for", config_file(cli))
    assert {offer["provider"] for offer in offers} == {"vast", "runpod"}
    known = [offer for offer in offers if offer["is_speed_known"]]
    assert offers[: len(known)] == known
    totals = [offer["total_microusd"]["p50"] for offer in known]
    assert totals == sorted(totals)
    assert known[0]["why"] == "cheapest"
    for offer in offers:
        phases = offer["phases"]
        for which in ("p50", "p90"):
            parts = [phase[which]["time_microusd"] + phase[which]["traffic_microusd"] for phase in phases]
            assert offer["total_microusd"][which] == sum(parts)
        assert all(phase["source"] for phase in phases)
    by_id = {offer["id"]: offer for offer in offers}
    assert by_id["105"]["total_microusd"]["p50"] > by_id["101"]["total_microusd"]["p50"], (
        "its traffic and disk are dear"
    )


def test_rows_mark_estimates_and_the_first_one_is_explained(cli: LocalCli) -> None:
    command = cli.run("offers", "--for", config_file(cli))
    assert all(row.startswith("≈$") and row.count("≈") == 2 for row in command.lines)
    explained = "\n".join(command.errors)
    assert "kohya_ss #1288" in explained
    assert "assumed: an uplink" in explained
    assert any(line.split()[:3] == ["disk", "40", "GB"] and "base model (assumed)" in line for line in command.errors)


def test_time_reliability_and_privacy_can_be_asked_for(cli: LocalCli, vast: FakeVast) -> None:
    vast.asks[301] = ask(301, "RTX 3090", 24576, 0.9, reliability=0.9999, machine_id=1)
    config = config_file(cli)
    times = [
        each["total_s"]["p50"] for each in listed(cli, "--for", config, "--sort", "time") if each["is_speed_known"]
    ]
    assert times == sorted(times)
    assert listed(cli, "--for", config, "--sort", "reliability")[0]["id"] == "301"
    assert listed(cli, "--sort", "reliability")[0]["id"] == "301"
    for for_config in ([], ["--for", config]):
        private = listed(cli, *for_config, "--sort", "privacy")
        assert private
        assert all(offer["is_datacenter"] for offer in private)
    refused = cli.run("offers", "--sort", "time")
    assert refused.process.returncode == 2
    assert "add --for CONFIG" in "\n".join(refused.errors)


def test_what_the_run_does_not_fit_on_and_what_failed_before_is_left_out(cli: LocalCli) -> None:
    small = listed(cli, "--for", config_file(cli, train_batch_size=1))
    large = listed(cli, "--for", config_file(cli, train_batch_size=24))
    whole = [offer for offer in large if not offer["given_up"]]
    assert min(offer["vram_gib"] for offer in whole) > 24.1
    assert not any(offer["given_up"] for offer in small)
    tight = large[len(whole) :]
    assert large[: len(whole)] == whole, "what fits as configured comes first"
    assert tight
    assert all(offer["why"] == "tight" and offer["vram_gib"] < 24.1 for offer in tight)
    assert {tuple(offer["given_up"]) for offer in tight} == {("12 of 24 pictures at a time",)}
    assert listed(cli, "--for", config_file(cli, train_batch_size=24), "--vram", "40")[-1]["given_up"] == []
    shown = cli.run("offers", "--for", config_file(cli, train_batch_size=24)).lines
    assert shown[-1].endswith("fits with 12 of 24 pictures at a time")
    assert not shown[0].endswith("pictures at a time")
    with Rentals(load(environ=cli.environment).database) as ledger:
        ledger.note_bad_host("vast", "2102", "it never came up", time.time())
    left = listed(cli, "--for", config_file(cli, train_batch_size=1))
    assert {offer["id"] for offer in small} - {offer["id"] for offer in left} == {"102"}


def test_a_run_that_needs_more_disk_is_priced_with_it(cli: LocalCli) -> None:
    usual = {each["id"]: each for each in listed(cli, "--for", config_file(cli))}
    large = listed(cli, "--for", config_file(cli, network_dim=512, save_every_n_steps=25, save_precision="float"))
    assert {offer["disk_gb"] for offer in usual.values()} == {40}
    assert min(offer["disk_gb"] for offer in large) > 40
    assert all(offer["usd_per_h"] > usual[offer["id"]]["usd_per_h"] for offer in large)
    more = listed(cli, "--for", config_file(cli), "--disk", "99")
    assert {offer["disk_gb"] for offer in more} == {99}


def test_a_gpu_without_a_figure_is_compared_by_its_memory_whatever_else_was_asked_for(cli: LocalCli) -> None:
    config = config_file(cli)
    [alone] = listed(cli, "--for", config, "--gpu", "A6000")
    [beside] = [offer for offer in listed(cli, "--for", config) if offer["gpu"] == "RTX A6000"]
    assert alone["is_speed_known"]
    assert alone["total_s"] == beside["total_s"]
    [training] = [phase for phase in alone["phases"] if phase["phase"] == "training"]
    assert training["source"].startswith("scaled by the speed of its memory")


def test_a_provider_that_fails_hides_no_other_and_none_at_all_is_said(
    cli: LocalCli, vast: FakeVast, runpod: FakeRunPod
) -> None:
    config = config_file(cli)
    vast.answer("offers", 200, b'""', times=100)
    half = cli.run("offers", "--for", config)
    assert half.process.returncode == 0
    assert half.lines
    assert any(line.startswith("vast: ") for line in half.errors)
    priced = cli.run("plan", config, "--all")
    assert priced.process.returncode == 0
    alone = cli.run("plan", config, "--gpu", "Mystery")
    assert "no Mystery GPU that this run fits on is offered now" in "\n".join(alone.errors)
    cli.environment |= {"LORATUI_RUNPOD_API_KEY": "wrong"}
    none = cli.run("plan", config, "--all")
    assert none.process.returncode == 4
    assert any(line.startswith("steps") for line in none.lines)
    assert "no provider could be asked, so there is no price; times are of the steps alone" in "\n".join(none.errors)


def test_plan_says_time_and_cost_of_one_gpu_or_of_all(cli: LocalCli) -> None:
    config = config_file(cli)
    [row] = [line for line in cli.run("plan", config, "--gpu", "4090").lines if line.startswith("RTX 4090")]
    assert "≈$" in row
    assert "best of" in row
    everything = json.loads(cli.run("plan", config, "--all", "--json").lines[0])
    assert everything["steps"] == 1500
    gpus = [estimate["gpu"] for estimate in everything["estimates"]]
    assert len(gpus) == len(set(gpus))
    assert {"RTX 3090", "RTX 4090", "RTX A6000"} <= set(gpus)
    assert "estimates" not in json.loads(cli.run("plan", config, "--json").lines[0])


def test_a_base_model_that_is_nowhere_is_refused(cli: LocalCli) -> None:
    refused = cli.run("offers", "--for", config_file(cli, pretrained_model_name_or_path="/nowhere/model"))
    assert refused.process.returncode == 3
    assert "[model.missing]" in "\n".join(refused.errors)


def test_what_a_run_costs_that_stops_early_is_what_it_does_until_then(cli: LocalCli) -> None:
    def training_s(**changes: Any) -> dict[str, int]:
        offers = listed(cli, "--for", config_file(cli, **changes))
        phases = {offer["id"]: phase for offer in offers for phase in offer["phases"] if phase["phase"] == "training"}
        return {offer: phase["p50"]["s"] for offer, phase in phases.items()}

    whole, early = training_s(), training_s(stop_at_epoch=10)
    assert whole.keys() == early.keys()
    assert all(early[offer] < whole[offer] / 5 for offer in whole)
