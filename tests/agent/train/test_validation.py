"""Pictures that are held out are looked at with the same noise every time, and the look changes nothing."""

from pathlib import Path

import pytest
import torch

from loratui_agent.train import gradients, loop, validation
from loratui_protocol import messages
from loratui_protocol.held_out import held_out
from support.tiny_run import new_run, take_steps, trained
from support.tiny_training import tiny_config, write_pictures
from support.trainer_process import trainer, write_job

pytestmark = [pytest.mark.torch, pytest.mark.timeout(200)]
SPLIT = {"validation_split": 0.3}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "pictures", 12)
    return tmp_path


def test_two_looks_without_a_step_between_them_see_the_same(folder: Path):
    run = new_run(folder, **SPLIT, network_dropout=0.5, caption_dropout_rate=0.5)
    take_steps(run, 1)
    torch.manual_seed(1)
    one = validation.look(run)
    torch.manual_seed(2)
    assert validation.look(run) == one
    loop.take_step(run)
    other = validation.look(run)
    assert (other.step, other.num_pictures) == (2, 4)
    assert other.loss != one.loss
    assert other.train_loss != one.train_loss


def test_a_look_changes_nothing_of_what_is_learned(folder: Path):
    looked, plain = (new_run(folder, **SPLIT, network_dropout=0.5) for _ in range(2))
    for run in (looked, plain):
        take_steps(run, 0)
        for _ in range(3):
            if run is looked:
                validation.look(run)
            loop.take_step(run)
    assert all(torch.equal(tensor, trained(plain)[name]) for name, tensor in trained(looked).items())


def test_what_is_held_out_stays_out_and_is_what_is_looked_at(folder: Path, monkeypatch: pytest.MonkeyPatch):
    run = new_run(folder, **SPLIT)
    held = held_out(run.config, run.dataset.pictures)
    assert run.plan.held_out == held
    seen: list[int] = []
    take_steps(run, 0)

    def predict(run, exposures, noisy, timesteps):
        seen.extend(each.picture_index for each in exposures)
        return gradients.predict(run, exposures, noisy, timesteps)

    monkeypatch.setattr(validation, "predict", predict)
    validation.look(run)
    assert set(seen) == {*held.indices, *held.compared}


def test_a_run_says_what_it_saw_at_its_first_and_its_last_step_and_between_them(tmp_path: Path):
    pictures = write_pictures(tmp_path / "pictures", 12)
    config = tiny_config(pictures, **SPLIT, validate_every_n_steps=4, max_train_steps=9)
    job = write_job(tmp_path / "job", config)
    with trainer(job, tmp_path) as process:
        process.wait_for_step(5)
        process.kill()
    with trainer(job, tmp_path, 2) as process:
        assert process.finish()["outcome"] == "done", process.log()
        looks = process.of_type(messages.Validation)
    assert [look.step for look in looks][-2:] == [8, 9]
    with trainer(write_job(tmp_path / "whole", config), tmp_path) as process:
        assert process.finish()["outcome"] == "done", process.log()
        whole = process.of_type(messages.Validation)
    assert [look.step for look in whole] == [0, 4, 8, 9]
    assert whole[-2:] == looks[-2:], "interrupted or not, it has learned the same"
    assert whole[-1].train_loss < whole[0].train_loss
