"""A training that is too large for its device finds a way that fits and learns the same, or says that there is none."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from loratui_agent.train import fit, loop, probe
from loratui_agent.train.run import Run
from loratui_protocol import messages
from loratui_protocol.errors import JobError
from loratui_protocol.memory_ladder import Fit, Reserves, ladder, reserves_told, rungs
from support.small_memory import LATER_MIB, LATER_STEP, LIMIT_MIB, MIB, SmallMemory
from support.tiny_run import HeardReporter, new_run, take_steps, trained, warnings_of
from support.tiny_training import tiny_config, write_pictures
from support.trainer_process import trainer, write_job

pytestmark = [pytest.mark.torch, pytest.mark.timeout(200)]
# What the tiny model's steps take, with the optimizer's averages: 46 MiB for four pictures, 27 for two, 18 for one.
ENOUGH, FOR_TWO, FOR_ONE, FOR_NONE = 200, 35, 22, 2
ALL = Reserves(captions_vary=True, trains_text=True, trains_unet=True, optimizer_8bit=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "pictures", 8)
    return tmp_path


def run_on(folder: Path, limit_mib: int, **changes) -> tuple[Run, SmallMemory]:
    """Set a run up on a device with that much memory and let it find its way."""
    run = new_run(folder, **{"train_batch_size": 4, **changes})
    take_steps(run, 0)
    memory = SmallMemory(limit_mib * MIB)
    with memory.counting():
        probe.fit_to_device(run, memory)
    return run, memory


def said_of_fit(run: Run) -> str:
    """Return what a person was told of memory."""
    assert isinstance(run.reporter, HeardReporter)
    told = [event for event in run.reporter.heard if "fit" in (getattr(event, "phase", ""), "")]
    warned = [event for event in run.reporter.heard if getattr(event, "code", "") == "fit.changed"]
    return "\n".join(event.message for event in [*told, *warned])


def test_one_that_fits_is_left_as_it_is_configured(folder: Path):
    run, _ = run_on(folder, ENOUGH)
    assert run.fit == Fit(pictures_at_once=4, checkpointing=False)
    assert warnings_of(run) == []
    assert "4 pictures of 64x64: " in said_of_fit(run)
    assert "attention: flash attention" in said_of_fit(run)


@pytest.mark.parametrize(("limit_mib", "most_at_once"), [pytest.param(FOR_TWO, 4, marks=pytest.mark.long), (7, 2)])
def test_one_that_does_not_fit_takes_the_same_steps_in_less_memory(folder: Path, limit_mib: int, most_at_once: int):
    # Plain gradient descent: Adam makes much of what is nearly nothing.
    changes = {"optimizer_type": "SGDNesterov", "learning_rate": 0.1, "min_snr_gamma": 5.0, "noise_offset": 0.1}
    wide, _ = run_on(folder, ENOUGH, **changes)
    narrow, memory = run_on(folder, limit_mib, **changes)
    assert narrow.fit != wide.fit
    assert narrow.fit.pictures_at_once <= most_at_once
    assert warnings_of(narrow) == ["fit.changed"]
    assert "effective batch stays 4" in said_of_fit(narrow)
    losses = [loop.take_step(wide)[0] for _ in range(3)]
    with memory.counting():
        assert [loop.take_step(narrow)[0] for _ in range(3)] == pytest.approx(losses, rel=1e-5)
    for name, tensor in trained(wide).items():
        assert torch.allclose(tensor, trained(narrow)[name], rtol=1e-3, atol=1e-7), name


def test_one_that_nothing_makes_fit_ends_before_its_first_step(folder: Path):
    with pytest.raises(JobError, match="does not fit") as caught:
        run_on(folder, FOR_NONE)
    assert caught.value.code == "plan.does_not_fit"


def test_what_would_be_faster_is_offered_and_not_done(folder: Path, monkeypatch: pytest.MonkeyPatch):
    # By how much it is faster depends on what else this machine does.
    monkeypatch.setattr(probe, "_WORTH_SAYING", math.inf)
    run, _ = run_on(folder, ENOUGH, train_batch_size=1, gradient_accumulation_steps=4, gradient_checkpointing=True)
    assert run.fit == Fit(pictures_at_once=1, checkpointing=True)
    said = said_of_fit(run)
    assert "room for train_batch_size = 2 with gradient_accumulation_steps = 2" in said
    assert warnings_of(run) == []


def test_what_was_found_out_holds_for_the_next_attempt_too(folder: Path):
    run, _ = run_on(folder, FOR_ONE)
    again = new_run(folder, train_batch_size=4)
    assert again.fit == run.fit != Fit(pictures_at_once=4, checkpointing=False)
    assert again.identity == run.identity


def test_captions_that_change_are_the_same_when_text_encoders_wait_aside(folder: Path):
    # The captions' tags are shuffled, so frozen text encoders are needed at every step.
    changes = {"network_train_unet_only": True, "shuffle_caption": True, "caption_separator": " "}
    at_hand, aside = (new_run(folder, **changes) for _ in range(2))
    aside.fit = Fit(pictures_at_once=2, checkpointing=False, text_aside=True)
    losses = [take_steps(run, 4) for run in (at_hand, aside)]
    assert losses[0] == losses[1]
    assert aside.encoded_until == aside.plan.steps


def test_all_rungs_are_there_in_their_order_and_the_first_ones_change_nothing_that_is_learned():
    config = tiny_config(Path(), train_batch_size=4, resolution=(1024, 1024), min_resolution=800)
    held = Fit(pictures_at_once=4, checkpointing=False)
    steps = []
    while lower := next(rungs(config, held, ALL), None):
        held = lower[0]
        steps.append(held)
    assert [(each.pictures_at_once, each.checkpointing) for each in steps[:3]] == [(2, False), (1, False), (1, True)]
    assert steps[3].learns_text is False
    # Only frozen text encoders can wait aside.
    assert steps[4].text_aside
    assert steps[5].is_8bit
    assert [each.resolution for each in steps[6:]] == [(896, 896)]


@pytest.mark.parametrize(
    "changes",
    [
        {"train_batch_size": 4, "min_resolution": 32},
        {"network_train_unet_only": True, "shuffle_caption": True, "caption_separator": " ", "train_batch_size": 3},
        {"network_train_text_encoder_only": True},
    ],
)
def test_a_run_steps_down_the_very_ladder_that_a_plan_tells(folder: Path, changes: dict[str, Any]):
    run = new_run(folder, **changes)
    told = ladder(run.config, reserves_told(run.config, has_8bit=run.reserves.optimizer_8bit))
    assert len(told) > 1
    for lower, sentence in told:
        assert fit.step_down(run.job, run.config, fit.fit_of(run.job), run.reserves) == sentence
        assert fit.fit_of(run.job) == lower
    assert fit.step_down(run.job, run.config, fit.fit_of(run.job), run.reserves) == ""


def test_resolution_is_not_lowered_without_consent():
    config = tiny_config(Path(), resolution=(1024, 1024))
    lowest = Fit(pictures_at_once=1, checkpointing=True, text_aside=True, learns_text=False, is_8bit=True)
    assert list(rungs(config, lowest, ALL)) == []


def train_on(folder: Path, monkeypatch: pytest.MonkeyPatch, *, later_mib: int, **changes) -> list:
    """Train in real processes on a device that has less memory from step 5 on; return the last one's events."""
    monkeypatch.setenv(LIMIT_MIB, str(ENOUGH))
    monkeypatch.setenv(LATER_STEP, "5")
    monkeypatch.setenv(LATER_MIB, str(later_mib))
    job = write_job(folder / "job", tiny_config(folder / "pictures", **{"train_batch_size": 4, **changes}))
    for attempt in range(1, 9):
        with trainer(job, folder, attempt, module="support.small_memory") as process:
            outcome = process.finish()
            if outcome["outcome"] != "again":
                return [outcome, *process.events]
            assert outcome["code"] == "oom_vram"
            assert "From now on" in outcome["what"], process.log()
    raise AssertionError("it goes on and on")


def test_memory_that_runs_out_in_the_middle_costs_a_rung_and_not_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch):
    outcome, *events = train_on(folder, monkeypatch, later_mib=FOR_TWO)
    assert outcome["outcome"] == "done"
    steps = [event.step for event in events if isinstance(event, messages.Step)]
    assert steps[0] in range(2, 7), "it goes on from a state"
    assert steps[-1] == 12


def test_a_run_that_has_given_up_all_it_can_fails_with_what_it_has_saved(folder: Path, monkeypatch: pytest.MonkeyPatch):
    least = {"train_batch_size": 1, "gradient_checkpointing": True, "network_train_unet_only": True}
    outcome, *_ = train_on(folder, monkeypatch, later_mib=1, **least)
    assert (outcome["outcome"], outcome["code"]) == ("failed", "oom_vram")
    assert list((folder / "job" / "ckpt").glob("step-*"))
