"""``loratui advice``: what the scores of a stored run speak for, and a changed config to accept."""

import json
import math
from pathlib import Path

import pytest

from loratui import settings
from loratui.cli.main import main
from loratui.domain import formatting
from loratui.domain.grid_cost import LOAD_S
from loratui.store import Store, StoredRun
from loratui.store.ratings import rate
from loratui_protocol.config_file import read_config, to_toml
from loratui_protocol.lora_size import TINY_NETWORK
from loratui_protocol.messages import Artifact, ArtifactKind, DeltaNorms, JobState, Record, Scores, State, Step
from support.lora_start import write_start
from support.protocol_strategies import plain_config
from support.tiny_training import write_pictures


def row(step: int, weight: float = 1.0, **means: float) -> Scores:
    return Scores(
        artifact_id=f"lora-{step}" if weight else "",
        name=f"z-{step}.safetensors" if weight else "",
        step=step,
        weight=weight,
        means=means,
        errors=dict.fromkeys(means, 0.02),
        counts=dict.fromkeys(means, 40),
    )


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredRun:
    """Return a run that was still getting better at its end, in a store; nothing follows it."""
    monkeypatch.setenv("LORATUI_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("LORATUI_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    write_start(tmp_path / "z-200.safetensors", TINY_NETWORK, 8)
    config = plain_config(
        train_data_dir=str(write_pictures(tmp_path / "pictures")),
        output_name="zorbix",
        trigger_word="zorbix",
        max_train_steps=200,
    )
    stored = StoredRun(
        id="01JADV1CE", name="zorbix", target="local", created_ts=1.0, config_toml=to_toml(config), home=tmp_path,
        price_microusd_per_h=360_000,
    )  # fmt: skip
    events = [
        State(state=JobState.RUNNING),
        *(Step(step=n, total=200, epoch=50, loss=0.1, lr=1e-4, it_s=2.0, eta_s=0.0) for n in range(191, 201)),
        DeltaNorms(step=200, relative={"unet": 0.05}),
        Artifact(id="lora-200", kind=ArtifactKind.LORA, name="z-200.safetensors", size=4, sha256="a" * 64, step=200),
        row(0, 0.0, likeness=0.3),
        row(100, likeness=0.4),
        row(200, likeness=0.6),
        State(state=JobState.DONE),
    ]
    with Store(settings.load().database) as store:
        store.add_run(stored)
        store.begin_history(stored.id, "e", reset=False)
        store.append(stored.id, "e", [Record(seq=n, ts=float(n), event=each) for n, each in enumerate(events, 1)])
        store.add_download(stored.id, "lora-200", tmp_path / "z-200.safetensors", "a" * 64)
    rate(settings.load().database, stored.id, "lora-200", "a" * 64, 4)
    return stored


def said(capsys: pytest.CaptureFixture[str], *typed: str) -> str:
    assert main(["advice", *typed]) == 0
    return capsys.readouterr().out


def test_it_says_what_the_scores_speak_for_and_what_to_try_next(run, capsys):
    told = said(capsys)
    assert "z-200.safetensors at 1 is what the scores speak for" in told
    assert "likeness: best 0.60 ± 0.02 (z-200.safetensors at 1); z-100.safetensors at 1 is further off" in told
    assert "1. it was not trained for long enough" in told
    assert "   -max_train_steps = 200\n   +max_train_steps = 300\n" in told
    # 20 s until the model is there, 300 steps at 2 a second, 2 s for the file, at $0.36 an hour.
    assert "   300 steps: ≈3 to 5 min and ≈$0.02 to $0.03 on this machine, at the $0.36/h that are set for it" in told
    assert "   reckoned as every plan, from 0.5 s a step as measured in this run" in told


def test_stars_stand_beside_the_scores(run, capsys):
    rows = {line[2:19]: line.split()[-1] for line in said(capsys).splitlines() if ".safetensors  " in line}
    assert rows == {"z-100.safetensors": formatting.UNKNOWN, "z-200.safetensors": "4"}


def test_programs_are_told_the_same(run, capsys):
    told = json.loads(said(capsys, "zorbix", "--json"))
    assert told["advised"] == {"artifact_id": "lora-200", "name": "z-200.safetensors", "step": 200, "weight": 1.0}
    assert [each["code"] for each in told["remedies"]] == ["undertrained", "continue"]
    longer, further = told["remedies"]
    assert (longer["steps"], further["steps"], longer["cost"]["step_s"], longer["cost"]["where"]) == (
        300, 100, 0.5, "here",
    )  # fmt: skip
    assert longer["seconds"] - further["seconds"] == 200 * 0.5
    assert longer["microusd"] == longer["seconds"] * 100
    assert longer["cost"]["total_microusd"]["p50"] == longer["microusd"] < longer["cost"]["total_microusd"]["p90"]
    assert further["command"] is None
    assert [(each["name"], each["on_front"], each["stars"]) for each in told["pairs"]] == [
        ("z-100.safetensors", False, None),
        ("z-200.safetensors", True, 4),
    ]


def test_a_change_is_written_as_a_config_and_never_over_anything(run, capsys, tmp_path):
    assert "written: next.toml" in said(capsys, "--write", "2", "-o", "next.toml")
    config = read_config(tmp_path / "next.toml").config
    assert (config.network_weights, config.dim_from_weights) == (str(tmp_path / "z-200.safetensors"), True)
    assert config.max_train_steps == 100
    assert main(["advice", "--write", "2", "-o", "next.toml"]) == 1
    assert "next.toml exists already" in capsys.readouterr().err


def test_a_number_that_no_change_has_is_refused(run, capsys):
    assert main(["advice", "--write", "9"]) == 2
    assert "there are 2" in capsys.readouterr().err


def test_a_run_that_was_not_tried_out_has_no_advice(run, capsys):
    with Store(settings.load().database) as store:
        store.begin_history(run.id, "other", reset=True)
    lines = said(capsys).splitlines()
    assert lines[0] == f"{run.name} ({run.id})", "which run is meant stands above it"
    assert lines[1] == "no advice: no file has been tried out"
    assert lines[2].endswith(f"loratui attach {run.id} follows it, or fetches it")


def test_what_it_takes_is_what_the_plan_says_of_that_very_config(run, capsys, tmp_path):
    """The plan is asked for the same GPU, which it knows from this run alone."""
    with Store(settings.load().database) as store:
        store.note_gpu(run.id, "RTX 4090")
        fast = [
            Step(step=n, total=200, epoch=50, loss=0.1, lr=1e-4, it_s=2.0, eta_s=0.0, vram_gib=2.0)
            for n in range(1, 201)
        ]
        events = [
            *fast,
            row(0, 0.0, likeness=0.3),
            row(100, likeness=0.4),
            row(200, likeness=0.6),
            State(state=JobState.DONE),
        ]
        store.begin_history(run.id, "f", reset=True)
        store.append(run.id, "f", [Record(seq=n, ts=float(n), event=each) for n, each in enumerate(events, 1)])
    [longer, *_] = json.loads(said(capsys, "--json"))["remedies"]
    said(capsys, "--write", "1", "-o", "next.toml")
    assert main(["plan", "next.toml", "--json"]) == 0
    [time] = json.loads(capsys.readouterr().out)["training_s"]
    training = next(each for each in longer["cost"]["phases"] if each["phase"] == "training")
    # Of the steps alone: with a file, and until the model is there, it is so much more.
    assert training["p50"]["s"] == math.ceil(time["p50"] + LOAD_S + 2)
    assert training["source"] == time["source"] == "measured in run zorbix"


def test_where_the_pace_was_not_measured_nothing_is_said_of_time(run, capsys):
    with Store(settings.load().database) as store:
        store.begin_history(run.id, "g", reset=True)
        events = [row(0, 0.0, likeness=0.3), row(100, likeness=0.4), row(200, likeness=0.6), State(state=JobState.DONE)]
        store.append(run.id, "g", [Record(seq=n, ts=float(n), event=each) for n, each in enumerate(events, 1)])
    told = said(capsys)
    assert "   what it takes and costs is not known: its pace was not measured" in told
    assert " steps: " not in told


def test_what_is_not_here_any_more_is_not_gone_on_from(run, capsys, tmp_path):
    (tmp_path / "z-200.safetensors").unlink()
    assert [each["code"] for each in json.loads(said(capsys, "--json"))["remedies"]] == ["undertrained"]
