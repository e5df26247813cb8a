"""Two real processes train as one does, end together however either ends, and leave nobody behind."""

import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from loratui_agent.train import loop, saving, validation
from loratui_protocol import messages
from support.tiny_run import new_run, take_steps, trained
from support.tiny_sdxl import write_tiny_sdxl
from support.tiny_training import tiny_config, write_pictures
from support.trainer_process import DEADLINE_S, TrainerProcess, trainer, write_job

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300), pytest.mark.usefixtures("one_thread")]

# Seven pictures: some steps are cut within a micro-batch, and in some there is a single picture for the two of them.
NUM_PICTURES = 7
SETTINGS = {
    "train_batch_size": 2,
    "gradient_accumulation_steps": 3,
    "max_train_steps": 60,
    "min_snr_gamma": 5.0,
    "multires_noise_iterations": 4,
    "flip_aug": True,
    "text_encoder_lr": 1e-3,
    "validation_split": 0.3,
    "validate_every_n_steps": 3,
    "lr_scheduler": "cosine",
    "optimizer_args": {"weight_decay": 1.0},
}


def new_job(folder: Path, **changes: Any) -> Path:
    config = tiny_config(folder / "job" / "pictures", num_processes=2, **SETTINGS, **changes)
    job = write_job(folder / "job", config)
    write_pictures(job / "pictures", 10)
    return job


def other_process(process: TrainerProcess) -> psutil.Process:
    [other] = psutil.Process(process.process.pid).children()
    return other


def ends(process: psutil.Process) -> bool:
    return not psutil.wait_procs([process], DEADLINE_S)[1]


def test_two_processes_are_killed_resumed_and_stopped_and_have_learned_what_one_learns(tmp_path: Path):
    # SDXL: the last layer of its first text encoder gets no gradient, and is not to decay either.
    base = {"pretrained_model_name_or_path": str(write_tiny_sdxl(tmp_path / "xl"))}
    job = new_job(tmp_path, **base)
    with trainer(job, tmp_path) as process:
        process.wait_for(lambda event: isinstance(event, messages.Checkpoint))
        other = other_process(process)
        other.kill()
        warning = process.wait_for(lambda event: isinstance(event, messages.Warn) and event.code == "process.lost")
        assert "SIGKILL" in str(warning)
        assert process.process.wait(DEADLINE_S) == -signal.SIGKILL, "the agent resumes a trainer that was killed"
        assert ends(other)
        assert not (job / "exit.json").exists()
        steps, looks = process.of_type(messages.Step), process.of_type(messages.Validation)
    with trainer(job, tmp_path, 2) as process:
        process.wait_for(lambda event: isinstance(event, messages.Validation))
        other = other_process(process)
        other.terminate()  # as one that the whole group gets: the first process decides what it means
        process.send(messages.Stop(id="X", author="me", job="job"))
        assert process.finish()["outcome"] == "stopped", process.log()
        assert ends(other)
        assert process.of_type(messages.Step)[0].step > 1, "it went on from the state"
        steps += process.of_type(messages.Step)
        looks += process.of_type(messages.Validation)

    alone = new_run(job, **SETTINGS, **base)
    take_steps(alone, 0)
    while alone.step < steps[-1].step:
        expected = loop.take_step(alone)
        for step in steps:
            if step.step == alone.step:
                assert (step.loss, step.grad_norm) == pytest.approx(expected, rel=1e-3)
        for look in looks:
            if look.step == alone.step:
                once = validation.look(alone)
                assert (look.loss, look.train_loss) == pytest.approx((once.loss, once.train_loss), rel=1e-4)

    going_on = new_run(job, **SETTINGS, **base)
    take_steps(going_on, 0)
    state = saving.load_state(going_on)
    assert state is not None
    saving.restore(going_on, state)
    assert going_on.step == alone.step
    for _ in range(2):
        learned = trained(alone)
        for name, tensor in trained(going_on).items():
            # As a whole: where what it learns from cancels out, Adam makes steps of rounding errors.
            assert (tensor - learned[name]).norm() <= 1e-3 * learned[name].norm(), name
        assert loop.take_step(going_on) == pytest.approx(loop.take_step(alone), rel=1e-3)


def test_the_first_process_takes_the_other_along_when_it_is_killed(tmp_path: Path):
    with trainer(new_job(tmp_path), tmp_path) as process:
        process.wait_for_step(1)
        other = other_process(process)
        process.kill()
        assert ends(other)
    assert not (process.folder / "exit.json").exists()


def test_the_run_fails_with_what_made_the_other_process_fail(tmp_path: Path):
    job = new_job(tmp_path)
    with trainer(job, tmp_path) as process:
        # The first one has read its config; the other one is still being loaded.
        process.wait_for(lambda event: isinstance(event, messages.Setup))
        with (job / "job.toml").open("a") as config:
            config.write("\nno_such_key = 1\n")
        assert process.finish()["code"] == "config.unknown_key", process.log()
        assert process.process.returncode == 1
