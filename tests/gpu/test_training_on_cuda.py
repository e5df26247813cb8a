"""What only a GPU shows: mixed precision, measured VRAM, a resume. Run with ``pytest -m gpu tests/gpu``."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from loratui_protocol import messages
from loratui_protocol.messages import ArtifactKind
from support.tiny_sdxl import write_tiny_sdxl
from support.tiny_training import tiny_config, write_pictures
from support.trainer_process import trainer, write_job

pytestmark = [pytest.mark.gpu, pytest.mark.torch, pytest.mark.timeout(300)]


@pytest.mark.parametrize("mixed_precision", ["bf16", "fp16", "no", None])
def test_a_training_ends_with_a_file_that_does_what_was_trained(tmp_path: Path, mixed_precision: str | None):
    pictures = write_pictures(tmp_path / "pictures")
    config = tiny_config(
        pictures, mixed_precision=mixed_precision, sample_prompts=("a zorbix on a red background",), max_train_steps=30
    )
    with trainer(write_job(tmp_path / "job", config), tmp_path) as process:
        assert process.finish()["outcome"] == "done", process.log()
        steps = process.of_type(messages.Step)
    assert all(math.isfinite(step.loss) for step in steps)
    assert all(step.vram_gib is not None and step.vram_gib > 0 for step in steps)


@pytest.mark.parametrize("mixed_precision", ["bf16", "fp16"])
def test_so_does_one_of_sdxl(tmp_path: Path, mixed_precision: str):
    config = tiny_config(
        write_pictures(tmp_path / "pictures"),
        pretrained_model_name_or_path=str(write_tiny_sdxl(tmp_path / "xl")),
        mixed_precision=mixed_precision,
        gradient_checkpointing=True,
        sample_prompts=("a zorbix on a red background",),
    )
    with trainer(write_job(tmp_path / "job", config), tmp_path) as process:
        assert process.finish()["outcome"] == "done", process.log()
        artifacts = {event.kind for event in process.of_type(messages.Artifact)}
        assert all(math.isfinite(step.loss) for step in process.of_type(messages.Step))
        warned = [event.code for event in process.of_type(messages.Warn) if event.code != "step.skipped"]
    assert ArtifactKind.CONTACT_SHEET in artifacts
    assert warned == []


def test_a_killed_training_goes_on_from_its_checkpoint(tmp_path: Path):
    pictures = write_pictures(tmp_path / "pictures")
    job = write_job(tmp_path / "job", tiny_config(pictures, mixed_precision="bf16", gradient_checkpointing=True))
    with trainer(job, tmp_path) as process:
        process.wait_for_step(7)
        process.kill()
    with trainer(job, tmp_path, 2) as process:
        assert process.finish()["outcome"] == "done", process.log()
        assert process.of_type(messages.Step)[0].step > 1


@pytest.mark.parametrize("optimizer_type", ["AdamW8bit", "PagedAdamW8bit"])
def test_an_optimizer_of_8_bits_trains_is_killed_and_goes_on_with_its_state(tmp_path: Path, optimizer_type: str):
    pictures = write_pictures(tmp_path / "pictures")
    # Smaller tensors keep averages of 32 bits: of so many ranks some are large enough.
    config = tiny_config(pictures, optimizer_type=optimizer_type, mixed_precision="bf16", network_dim=64)
    job = write_job(tmp_path / "job", config)
    with trainer(job, tmp_path) as process:
        process.wait_for_step(7)
        process.kill()
        warned = [event.code for event in process.of_type(messages.Warn)]
    saved = load_file(max((job / "ckpt").glob("step-*")) / "optimizer.safetensors")
    assert any(tensor.dtype == torch.uint8 for tensor in saved.values()), "its averages have 8 bits"
    with trainer(job, tmp_path, 2) as process:
        assert process.finish()["outcome"] == "done", process.log()
        warned += [event.code for event in process.of_type(messages.Warn)]
        steps = process.of_type(messages.Step)
    assert not {"optimizer.fallback", "optimizer.anew"} & set(warned)
    assert steps[0].step > 1
    assert all(math.isfinite(step.loss) for step in steps)


def test_how_a_training_fits_is_tried_before_its_first_step(tmp_path: Path):
    config = tiny_config(write_pictures(tmp_path / "pictures"), train_batch_size=1, gradient_checkpointing=True)
    with trainer(write_job(tmp_path / "job", config), tmp_path) as process:
        assert process.finish()["outcome"] == "done", process.log()
        said = [event.message for event in process.of_type(messages.Setup) if event.phase == "fit"]
        warned = {event.code for event in process.of_type(messages.Warn)}
    assert any(" of " in sentence and "iB" in sentence for sentence in said), said
    assert any(sentence.startswith("attention: ") for sentence in said)
    assert any("without gradient_checkpointing it would fit" in sentence for sentence in said)
    assert not {"fit.changed", "pace.attention"} & warned
