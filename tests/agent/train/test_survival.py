"""A trainer that is killed at any moment, once or twice, ends with the same file as one that never was."""

import json
import signal
from pathlib import Path

import pytest

from loratui_protocol import messages
from loratui_protocol.messages import ArtifactKind, JobState
from support.tiny_training import tiny_config, write_pictures
from support.trainer_process import TrainerProcess, trainer, write_job

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]

# Dropout makes every step draw from the global generator too: what a resume gets wrong most easily.
SETTINGS = {"network_dropout": 0.1, "gradient_accumulation_steps": 2, "min_snr_gamma": 5.0, "flip_aug": True}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> bytes:
    """The LoRA file of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    with trainer(write_job(folder / "job", tiny_config(pictures, **SETTINGS)), folder) as process:
        assert process.finish()["outcome"] == "done", process.log()
    return lora_file(process)


def lora_file(process: TrainerProcess) -> bytes:
    return (process.folder / "artifacts" / "lora.safetensors").read_bytes()


@pytest.mark.parametrize(
    "kill_at",
    [
        pytest.param((1,), id="first", marks=pytest.mark.long),
        pytest.param((6,), id="saving"),
        pytest.param((11,), id="last", marks=pytest.mark.long),
        pytest.param((4, 8), id="twice"),
    ],
)
def test_killed_and_resumed_the_file_is_bit_identical(
    tmp_path: Path, pictures: Path, uninterrupted: bytes, kill_at: tuple[int, ...]
):
    job = write_job(tmp_path / "job", tiny_config(pictures, **SETTINGS))
    for attempt, step in enumerate(kill_at, 1):
        with trainer(job, tmp_path, attempt) as process:
            process.wait_for_step(step)
            process.kill()
            assert not (job / "exit.json").exists()
    with trainer(job, tmp_path, len(kill_at) + 1) as process:
        assert process.finish()["outcome"] == "done", process.log()
        steps = [event.step for event in process.of_type(messages.Step)]
    assert steps == list(range(steps[0], 13))
    assert steps[0] > 1 or kill_at == (1,), "it went on from a checkpoint, not from the start"
    assert lora_file(process) == uninterrupted
    assert not list((job / "artifacts").glob(".*")), "nothing half-written is left"


def test_sigterm_saves_everything_and_the_run_goes_on_from_there(tmp_path: Path, pictures: Path, uninterrupted: bytes):
    job = write_job(tmp_path / "job", tiny_config(pictures, **SETTINGS))
    with trainer(job, tmp_path) as process:
        process.wait_for_step(2)
        process.process.send_signal(signal.SIGTERM)
        outcome = process.finish()
        stopped_at = process.of_type(messages.Step)[-1].step
        artifacts = [each for each in process.of_type(messages.Artifact) if each.kind is not ArtifactKind.STATE]
    assert outcome["outcome"] == "stopped"
    assert [artifact.kind for artifact in artifacts] == [ArtifactKind.CHECKPOINT_LORA]
    assert artifacts[0].name == f"tiny-step{stopped_at:08d}.safetensors"
    (job / "exit.json").unlink()
    with trainer(job, tmp_path, 2) as process:
        assert process.finish()["outcome"] == "done", process.log()
        assert process.of_type(messages.Step)[0].step == stopped_at + 1
    assert lora_file(process) == uninterrupted


def test_commands_are_carried_out_once_and_answered(tmp_path: Path, pictures: Path):
    config = tiny_config(pictures, max_train_steps=400, sample_prompts=("a zorbix on a red background",))
    job = write_job(tmp_path / "job", config)
    with trainer(job, tmp_path) as process:
        process.wait_for_step(1)
        pause = messages.Pause(id="P", author="me", job="job")
        process.send(pause)
        process.wait_for(lambda event: isinstance(event, messages.State) and event.state is JobState.PAUSED)
        process.send(pause)
        process.send(messages.CheckpointNow(id="C", author="me", job="job"))
        process.wait_for(lambda event: isinstance(event, messages.CommandResult) and event.id == "C")
        num_steps = len(process.of_type(messages.Step))
        assert process.of_type(messages.Checkpoint)[-1].step == num_steps, "a paused run saves when asked"
        process.send(messages.SampleNow(id="S", author="me", job="job"))
        process.wait_for(lambda event: isinstance(event, messages.CommandResult) and event.id == "S")
        assert process.of_type(messages.Sample)
        assert len(process.of_type(messages.Step)) == num_steps
        process.send(messages.Resume(id="R", author="me", job="job"))
        process.wait_for_step(num_steps + 1)
        process.send(messages.Stop(id="X", author="me", job="job"))
        assert process.finish()["outcome"] == "stopped", process.log()
        process.wait_for(lambda event: isinstance(event, messages.CommandResult) and event.id == "X")
        answered = [event.id for event in process.of_type(messages.CommandResult)]
        assert sorted(answered) == ["C", "P", "R", "S", "X"]
        assert process.of_type(messages.Checkpoint)
        assert ArtifactKind.SAMPLE in {artifact.kind for artifact in process.of_type(messages.Artifact)}


def test_a_changed_dataset_is_not_mixed_into_a_saved_run(tmp_path: Path):
    pictures = write_pictures(tmp_path / "pictures")
    job = write_job(tmp_path / "job", tiny_config(pictures, max_train_steps=3))
    with trainer(job, tmp_path) as process:
        process.finish()
    (pictures / "1_zorbix" / "0.txt").write_text("something else", "utf-8")
    with trainer(job, tmp_path, 2) as process:
        outcome = process.finish()
    assert (outcome["outcome"], outcome["code"]) == ("failed", "resume.other_run")


def test_a_diverging_run_stops_with_the_reason_and_keeps_its_state(tmp_path: Path, pictures: Path):
    config = tiny_config(pictures, learning_rate=9.0, max_grad_norm=0.0, max_train_steps=200)
    job = write_job(tmp_path / "job", config)
    with trainer(job, tmp_path) as process:
        outcome = process.finish()
        losses = [event.loss for event in process.of_type(messages.Step)]
    # A learning rate this absurd may also blow up slowly; either way no file with NaN may come out.
    assert outcome["outcome"] == "failed", f"losses {losses[-3:]}"
    assert outcome["code"] in {"nan_loss", "export.mismatch"}
    assert not (job / "artifacts" / "lora.safetensors").exists()


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        ({"pretrained_model_name_or_path": "builtin:huge"}, "model.unknown"),
        ({"pretrained_model_name_or_path": "/nowhere"}, "model.missing"),
        ({"train_data_dir": "/nowhere"}, "dataset.missing"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_a_code(
    tmp_path: Path, pictures: Path, break_it: dict[str, str], code: str
):
    job = write_job(tmp_path / "job", tiny_config(pictures, **break_it))
    with trainer(job, tmp_path) as process:
        outcome = process.finish()
    assert (outcome["outcome"], outcome["code"]) == ("failed", code)
    assert outcome["fix"]
    assert json.loads((job / "exit.json").read_text())["what"]
