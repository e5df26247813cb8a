"""``plan`` as it is typed: what it needs, takes and costs, for people at 80 columns and for programs."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loratui.cli.rent_choice import tell_choice
from loratui.domain.base_kinds import SDXL
from loratui.domain.estimate_limits import Choice, run_limits
from loratui.domain.estimate_ranking import quotes
from loratui.domain.memory_need import Rung, min_vram_mib
from loratui.settings import load
from loratui.store import Store, StoredRun
from loratui_protocol.config_file import read_config, to_toml
from loratui_protocol.lora_size import SDXL_NETWORK, TINY_NETWORK
from loratui_protocol.memory_ladder import ladder, reserves_told
from loratui_protocol.messages import Record, Step
from support.estimates import a_work, an_offer
from support.fake_runpod import FakeRunPod
from support.fake_vast import FakeVast
from support.local_cli import LocalCli
from support.lora_files import attention_layers, kohya, write_file
from support.market_cli import market_cli
from support.small_dataset import small_config, write_small_dataset
from support.terminal import Terminal

XL = "stabilityai/stable-diffusion-xl-base-1.0"


@pytest.fixture
def cli(tmp_path: Path, vast: FakeVast, runpod: FakeRunPod) -> Iterator[LocalCli]:
    # Nobody answers there: the size of a base model is assumed.
    with market_cli(tmp_path, vast, runpod, LORATUI_REMOTE__HUB_URL="http://127.0.0.1:9") as cli:
        yield cli


def xl_config(cli: LocalCli, **changes: Any) -> Path:
    """Write a config of an SDXL run."""
    usual = {
        "pretrained_model_name_or_path": XL,
        "resolution": (1024, 1024),
        "train_batch_size": 4,
        "max_train_steps": 1600,
        "network_dim": 32,
        "sample_prompts": ("a cat on a mat", "a cat in a hat"),
        "sample_every_n_steps": 400,
    }
    config = small_config(write_small_dataset(cli.folder / "pictures"), **{**usual, **changes})
    path = cli.folder / "job.toml"
    path.write_text(to_toml(config), "utf-8")
    return path


def rows(cli: LocalCli, *arguments: str | Path) -> list[tuple[str, str]]:
    """Return the rows: what stands before the text, and the text."""
    return [(line[:24].strip(), line[25:]) for line in cli.run("plan", *arguments).lines]


def test_without_a_price_it_says_what_is_needed_taken_and_given_up_and_asks_nobody(
    cli: LocalCli, vast: FakeVast
) -> None:
    path = xl_config(cli)
    said = rows(cli, path)
    by_name = dict(said)
    config = read_config(path).config
    needed = min_vram_mib(config, SDXL)
    assert by_name["GPU memory"].startswith(f"≈{needed / 1024:.1f} GiB")
    assert by_name["on 48 GiB"] == f"fits with ≈{48 - needed / 1024:.1f} GiB to spare"
    assert by_name["on 8 GiB"].startswith("does not fit: short of ≈")
    assert "fits with 2 of 4 pictures at a time" in by_name["on 24 GiB"]
    assert by_name["disk"].startswith("47 GB: image (assumed) 16 GB")
    assert any(name == "time of the steps" and "on RTX 4090 (table: " in text for name, text in said)
    assert by_name["a picture more"].startswith("no step more: max_train_steps holds")
    assert by_name["price"].startswith(f"loratui plan {path} --gpu 4090 ")
    assert by_name["testing the LoRA"].startswith("40 pictures a LoRA file (4 weights x 5 seeds x 2 prompts): ≈")
    assert "unconfirmed" in by_name["testing the LoRA"]
    assert "look it up" in by_name["at Civitai"]
    assert "RAIL++-M" in by_name["licence"]
    assert by_name["rights to the pictures"].startswith("nobody has said")
    assert vast.num_requests("offers") == 0


def test_a_gpu_that_was_trained_on_is_told_by_what_it_did_there(cli: LocalCli) -> None:
    path = xl_config(cli)
    step = Step(step=1, total=9, epoch=1, loss=0.1, lr=1e-4, it_s=0.5, eta_s=1.0, vram_gib=9.0)
    run = StoredRun(
        id="r",
        name="earlier",
        target="local",
        created_ts=1.0,
        config_toml=path.read_text("utf-8"),
        home=Path("/root"),
        gpu="NVIDIA RTX A4000",
    )
    with Store(load(environ=cli.environment).database) as store:
        store.add_run(run)
        store.begin_history("r", "epoch", reset=True)
        store.append("r", "epoch", [Record(seq=n, ts=n, event=replace(step, step=n)) for n in range(1, 9)])
    times = [text for name, text in rows(cli, path) if name == "time of the steps"]
    # 1600 steps, two seconds each, and the pass that encodes the pictures.
    assert times[0] == "≈54 to 67 min on NVIDIA RTX A4000 (measured in run earlier)"
    assert len(times) == 3


def test_the_ladder_is_told_in_the_trainers_order_and_words(cli: LocalCli) -> None:
    path = xl_config(cli, min_resolution=800)
    config = read_config(path).config
    told = json.loads(cli.run("plan", path, "--json").lines[0])["ladder"]
    assert [rung["what"] for rung in told] == [sentence for _, sentence in ladder(config, reserves_told(config))]
    memory = [rung["min_vram_mib"] for rung in told]
    assert memory == sorted(memory, reverse=True)
    said = [text for _, text in rows(cli, path) if text[:3] in {f"{n}. " for n in range(1, 9)}]
    assert said[0].endswith("; then 1"), "halving again is told in one"
    assert [text[3:] for text in said[1:]] == [rung["what"] for rung in told[2:]]


def test_with_a_price_it_says_in_words_what_the_money_is_for(cli: LocalCli) -> None:
    path = xl_config(cli, max_train_epochs=200, train_batch_size=1)
    said = dict(rows(cli, path, "--gpu", "4090"))
    assert said["this run"].startswith("≈$")
    assert "in one queue" in said["3 such runs"]
    assert "as documented, not measured by you" in said["3 such runs"]
    assert said["a picture more"].count("≈") == 3
    assert "Nobody has to be there for the set-up (≈" in said["your own time"]
    assert "≈$" in said["testing the LoRA"]
    assert "on A100 80GB, scaled from RTX 3090 by the speed of their memory" in said["at Replicate"]


def test_programs_get_the_same_in_numbers(cli: LocalCli) -> None:
    path = xl_config(cli, train_batch_size=1)
    alone = json.loads(cli.run("plan", path, "--json").lines[0])
    assert {each["gpu"] for each in alone["training_s"]} == {"RTX 3090", "RTX 4090"}
    assert all(each["p50"] < each["p90"] for each in alone["training_s"])
    assert alone["disk_gb"] >= sum(alone["disk_bytes"].values()) / 1e9
    assert alone["rights"] == {
        "are_given": False,
        "said": "",
        "base_license": "CreativeML Open RAIL++-M",
        "answer": None,
    }
    assert "money" not in alone
    priced = json.loads(cli.run("plan", path, "--all", "--json").lines[0])
    money, first = priced["money"], priced["estimates"][0]
    assert money["run_microusd"] == first["total_microusd"]
    assert money["wall_s"] == first["total_s"]
    queue = money["queue"]
    assert queue["apart_microusd"] == 3 * money["run_microusd"]["p50"]
    assert queue["share"] == pytest.approx(1 - queue["together_microusd"] / queue["apart_microusd"], abs=1e-4)
    assert priced["test_grid"]["num_pictures"] == 40
    assert priced["test_grid"]["likely_microusd"] > 0
    assert [each["name"] for each in priced["hosted"]] == ["Civitai", "Replicate"]
    for estimate in priced["estimates"]:
        spare_mib = 1024 * estimate["vram_gib"] - alone["min_vram_mib"]
        assert estimate["spare_mib"] == pytest.approx(spare_mib, abs=52), "vram_gib has one digit"
        assert estimate["providers"][0]["total_microusd"] == estimate["total_microusd"]
        assert len({each["provider"] for each in estimate["providers"]}) == len(estimate["providers"])


def test_a_gpu_of_two_providers_is_priced_at_each(cli: LocalCli) -> None:
    path = xl_config(cli, train_batch_size=1)
    priced = json.loads(cli.run("plan", path, "--gpu", "4090", "--json").lines[0])
    [both] = [each for each in priced["estimates"] if each["gpu"] == "RTX 4090"]
    assert {each["provider"] for each in both["providers"]} == {"vast", "runpod"}
    texts = [text for _, text in rows(cli, path, "--gpu", "4090")]
    assert any("/h at vast" in text for text in texts)
    assert any("/h at runpod" in text for text in texts)


def test_on_a_terminal_no_row_is_wider_than_it_and_what_goes_on_stands_under_its_text(cli: LocalCli) -> None:
    argv = [sys.executable, "-m", "loratui.cli", "plan", str(xl_config(cli)), "--all"]
    with Terminal(argv, size=(80, 200), environ=cli.environment) as terminal:
        assert terminal.wait() == 0
        terminal.read(0.2)
        lines = bytes(terminal.received).decode().replace("\r", "").splitlines()
    # A path is left whole, for whoever copies it.
    own = [line for line in lines if not line.startswith("looking at pictures: ") and len(line.split()) > 1]
    assert any(line.startswith("warning: [") for line in own)
    assert any("phase by phase" in line for line in own)
    assert max(map(len, own)) <= 80
    assert any(line.startswith(" " * 25) for line in own)


def test_words_of_a_config_command_no_terminal(cli: LocalCli) -> None:
    path = xl_config(cli, sample_prompts=("a \x1b[2J\u202ecat",), rights_statement="mine\x1b[2J")
    said = cli.run("plan", path)
    assert not any("\x1b" in line or "\u202e" in line for line in said.lines)


def test_a_gpu_that_the_run_fits_only_with_less_is_priced_after_the_others_and_says_what_is_given_up(
    cli: LocalCli,
) -> None:
    path = xl_config(cli)
    said = json.loads(cli.run("plan", path, "--all", "--json").lines[0])["estimates"]
    tight = [bool(each["given_up"]) for each in said]
    assert tight == sorted(tight)
    assert any(tight)
    assert not all(tight)
    assert all((each["spare_mib"] < 0) == bool(each["given_up"]) for each in said)
    texts = [text for _, text in rows(cli, path, "--gpu", "4090")]
    assert any(text.startswith("24 GiB: short of ≈") and "; fits with 2 of 4 pictures" in text for text in texts)


def test_whoever_rents_a_gpu_that_the_run_fits_only_with_less_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    rungs = (Rung(min_vram_mib=12_000, given_up=("1 of 4 pictures at a time",), slowdown=1.0),)
    [quote] = quotes(a_work(min_vram_mib=48_000, rungs=rungs), [an_offer()])
    limits = run_limits(quote.estimate, quote.offer)
    tell_choice(Choice(quotes=(quote,), limits=limits), None)
    assert "does not fit this GPU; it fits with 1 of 4 pictures at a time" in capsys.readouterr().err


def test_of_a_gpu_that_nobody_can_be_asked_about_it_still_tells_the_time_the_test_and_the_hosted(
    cli: LocalCli, vast: FakeVast, runpod: FakeRunPod
) -> None:
    path = xl_config(cli)
    alone = dict(rows(cli, path))
    vast.answer("offers", 503, b"", times=9)
    for kind in ("offers", "account"):
        runpod.answer(kind, 503, b"", times=9)
    run = cli.run("plan", path, "--gpu", "3090")
    assert run.finish() == 4
    said = [(line[:24].strip(), line[25:]) for line in run.lines]
    [time] = [text for name, text in said if name == "time of the steps"]
    assert time.endswith("on RTX 3090 (table: kohya_ss #1288: 1.23 s a step, batch 1)")
    assert "on RTX 3090 (unconfirmed: " in dict(said)["testing the LoRA"]
    assert {name: dict(said)[name] for name in ("at Civitai", "at Replicate", "a picture more")} == {
        name: alone[name] for name in ("at Civitai", "at Replicate", "a picture more")
    }


def test_of_a_gpu_that_nobody_offers_it_tells_the_same(cli: LocalCli) -> None:
    path = xl_config(cli, train_batch_size=1)
    said = dict(rows(cli, path, "--gpu", "2080 Ti"))
    assert "on RTX 2080 Ti (table: diffusers documentation" in said["time of the steps"]
    fields = json.loads(cli.run("plan", path, "--gpu", "2080 Ti", "--json").lines[0])
    assert fields["estimates"] == []
    assert [each["gpu"] for each in fields["training_s"]] == ["RTX 2080 Ti"]
    assert fields["test_grid"]["gpu"] == "RTX 2080 Ti"
    assert [each["name"] for each in fields["hosted"]] == ["Civitai", "Replicate"]
    assert "money" not in fields


def test_what_files_are_judged_by_is_told(cli: LocalCli) -> None:
    config = xl_config(cli, evaluate_checkpoints=3, save_every_n_steps=400, evaluate_seeds=4, trigger_word="ohwx")
    number = json.loads(cli.run("plan", config, "--json").lines[0])["num_judged_pictures"]
    told = dict(rows(cli, config))["tried out"]
    assert told == f"{number} pictures of at most 3 files, in the end: weights 0, 0.5, 0.7, 0.8, 1; 4 seeds a prompt"
    alone = config.with_name("alone.toml")
    lora = write_file(cli.folder / "my.safetensors", kohya(TINY_NETWORK, layers=attention_layers(TINY_NETWORK)[:2]))
    alone.write_text(
        f'pretrained_model_name_or_path = "builtin:tiny"\nevaluate_loras = ["{lora}"]\ntrigger_word = "ohwx"\n'
    )
    said = rows(cli, alone)
    assert said[0][0] == "tried out"
    assert " pictures of 1 file: weights 0, " in said[0][1]


def test_of_files_that_are_only_tried_out_nothing_of_a_training_is_told(cli: LocalCli) -> None:
    lora = write_file(cli.folder / "my.safetensors", kohya(SDXL_NETWORK, layers=attention_layers(SDXL_NETWORK)[:2]))
    alone = cli.folder / "alone.toml"
    alone.write_text(
        f'pretrained_model_name_or_path = "{XL}"\nevaluate_loras = ["{lora}"]\nresolution = "1024,1024"\n'
        'trigger_word = "ohwx"\n'
    )
    names = [name for name, _ in rows(cli, alone)]
    of_training = {"LoRA file", "if memory runs out", "time of the steps", "a picture more", "at Civitai"}
    assert "time of the pictures" in names
    assert not of_training & set(names)
    fields = json.loads(cli.run("plan", alone, "--json").lines[0])
    assert (fields["lora_bytes"], fields["ladder"], fields["picture_more"]) == (None, [], None)
    assert {each["gpu"] for each in fields["judging_s"]} == {"RTX 3090", "RTX 4090"}
    assert not fields.keys() & {"training_s", "hosted", "test_grid"}
    checked = cli.run("check", alone)
    assert f"plan: {fields['num_judged_pictures']} pictures to try files out with" in checked.lines
    assert not any("network_" in line for line in checked.lines), "nothing is trained that a key could be about"
    with_pictures = alone.with_name("with.toml")
    with_pictures.write_text(alone.read_text() + f'train_data_dir = "{write_small_dataset(cli.folder / "pictures")}"\n')
    assert any(line.startswith("plan: ") for line in cli.run("check", with_pictures).lines), "pictures are not laid out"
    priced = [name for name, _ in rows(cli, alone, "--gpu", "4090")]
    assert not of_training & set(priced)
    assert "this run" in priced
