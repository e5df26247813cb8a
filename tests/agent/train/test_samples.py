"""Samples show the LoRA and the base side by side, small ones first, and nothing of them reaches the training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageChops

from loratui_agent.train import loop, lora, samples, saving
from loratui_agent.train.controls import Controls
from loratui_agent.train.run import Run
from loratui_protocol import messages
from loratui_protocol.errors import StorageError
from loratui_protocol.messages import ArtifactKind
from support.tiny_run import HeardReporter, new_run, take_steps, trained, warnings_of

pytestmark = [pytest.mark.torch, pytest.mark.timeout(120), pytest.mark.usefixtures("one_thread")]
QUICK = "a zorbix on a red background --s 2"


def heard(run: Run, kind: type[Any]) -> list[Any]:
    assert isinstance(run.reporter, HeardReporter)
    return [event for event in run.reporter.heard if isinstance(event, kind)]


def started(folder: Path, **changes: Any) -> Run:
    run = new_run(folder, **{"sample_prompts": (QUICK,), "learning_rate": 1e-2, **changes})
    run.job.artifacts.mkdir(exist_ok=True)
    return run


def sample(run: Run) -> list[messages.Sample]:
    """Make samples and return what was said of them."""
    so_far = len(heard(run, messages.Sample))
    samples.make_samples(run, Controls(run.reporter))
    return heard(run, messages.Sample)[so_far:]


def picture(run: Run, name: str) -> Image.Image:
    return Image.open(run.job.artifacts / name).convert("RGB")


def differ(one: Image.Image, other: Image.Image) -> bool:
    return ImageChops.difference(one, other).getbbox() is not None


def test_weights_are_the_same_bit_for_bit_with_samples_and_without(tmp_path: Path):
    settings = {"network_dropout": 0.5, "caption_dropout_rate": 0.3, "flip_aug": True}
    plain, sampled = (started(tmp_path, **settings) for _ in range(2))
    for run in (plain, sampled):
        take_steps(run, 0)
        for _ in range(3):
            if run is sampled:
                sample(run)
            loop.take_step(run)
    assert len(heard(sampled, messages.Sample)) == 4
    assert all(torch.equal(tensor, trained(plain)[name]) for name, tensor in trained(sampled).items())


def test_the_base_alone_is_drawn_once_and_is_what_it_was_before_training(tmp_path: Path):
    run = started(tmp_path)
    take_steps(run, 0)
    before, untouched = sample(run)
    assert (before.weight, before.artifact_id, before.seed) == (0, "sample-base-00.png", samples.SAMPLE_SEED)
    assert not differ(picture(run, before.artifact_id), picture(run, untouched.artifact_id))
    for _ in range(6):
        loop.take_step(run)
    [learned] = sample(run)
    assert (learned.weight, learned.seed, learned.prompt) == (1, before.seed, before.prompt)
    assert differ(picture(run, learned.artifact_id), picture(run, before.artifact_id))

    (run.job.artifacts / "sample-base-00.png").unlink()
    run.base_is_drawn = False
    on = picture(run, learned.artifact_id)
    off, again = sample(run)
    assert not differ(picture(run, off.artifact_id), picture(run, untouched.artifact_id)), "both text and UNet are off"
    assert not differ(picture(run, again.artifact_id), on), "and on again"


def test_a_resumed_run_shows_the_base_without_drawing_it_again(tmp_path: Path):
    run = started(tmp_path)
    take_steps(run, 0)
    sample(run)
    Image.new("RGB", (64, 64), "red").save(run.job.artifacts / "sample-base-00.png")
    run.base_is_drawn = False
    assert [each.weight for each in sample(run)] == [0, 1]
    assert picture(run, "sample-base-00.png").getpixel((3, 3)) == (255, 0, 0)


def test_what_fails_while_the_base_is_drawn_leaves_the_lora_on(tmp_path: Path):
    run = started(tmp_path)
    take_steps(run, 1)
    kept = {name: tensor.clone() for name, tensor in trained(run).items()}
    with pytest.raises(ZeroDivisionError), lora.switched_off(run.trained.values()):
        raise ZeroDivisionError
    assert all(parameter.requires_grad for parameter in run.parameters)
    loop.take_step(run)
    assert any(not torch.equal(tensor, kept[name]) for name, tensor in trained(run).items())


def test_a_gpu_without_room_for_pictures_goes_on_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def too_large(*_: Any, **__: Any) -> Image.Image:
        raise torch.OutOfMemoryError

    run = started(tmp_path)
    take_steps(run, 0)
    monkeypatch.setattr(samples, "generate_encoded", too_large)
    assert sample(run) == []
    assert warnings_of(run)[-1] == "samples.oom"
    assert run.models.unet.training
    loop.take_step(run)


def test_a_small_picture_is_announced_ahead_of_the_large_one(tmp_path: Path):
    run = started(tmp_path, sample_prompts=(f"{QUICK} --w 288 --h 96",))
    take_steps(run, 0)
    _, shown = sample(run)
    kinds = [event.kind for event in heard(run, messages.Artifact)]
    assert kinds == [ArtifactKind.THUMBNAIL, ArtifactKind.SAMPLE] * 2
    assert (shown.width, shown.height) == (288, 96)
    small = run.job.artifacts / shown.thumbnail_id
    assert small.stat().st_size <= samples.THUMBNAIL_BYTES
    with Image.open(small) as opened:
        assert (opened.format, opened.size) == ("JPEG", (256, 85))


def test_a_picture_of_noise_is_small_too(tmp_path: Path):
    noise = Image.effect_noise((1024, 1024), 100).convert("RGB")
    samples._save_small(noise, tmp_path / "small.jpg")
    assert (tmp_path / "small.jpg").stat().st_size <= samples.THUMBNAIL_BYTES


def test_every_option_of_a_prompt_changes_its_picture(tmp_path: Path):
    plain, text = "--s 2 --d 1000", "a zorbix on a red background"
    options = ("--s 2 --d 5", f"{plain} --n red", f"{plain} --l 9", "--s 3 --d 1000", f"{plain} --w 128")
    run = started(tmp_path, sample_prompts=[f"{text} {each}" for each in (plain, *options)])
    take_steps(run, 0)
    shown = sample(run)[: 1 + len(options)]
    assert {each.prompt for each in shown} == {text}
    first, *others = (picture(run, each.artifact_id) for each in shown)
    assert all(each.size != first.size or differ(each, first) for each in others)


@pytest.mark.parametrize("settings", [{}, {"network_train_unet_only": True}], ids=["learning text", "cached text"])
def test_captions_stand_in_for_prompts_when_somebody_asks(tmp_path: Path, settings: dict[str, Any]):
    run = started(tmp_path, sample_prompts=(), **settings)
    take_steps(run, 0)
    assert [(each.weight, each.prompt) for each in sample(run)] == [
        (0, "a zorbix on a red background"),
        (1, "a zorbix on a red background"),
    ]
    assert [log.line for log in heard(run, messages.Log)] == [run.plan.samples.told]
    assert run.plan.sample_steps == ()


def test_room_for_samples_and_for_the_files_that_stay_is_reckoned_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def needed(**changes: Any) -> int:
        run = started(tmp_path, max_train_steps=400, **changes)
        with pytest.raises(StorageError) as refused:
            saving.check_disk(run)
        return int(refused.value.what.split("up to ")[1].split(" MiB")[0])

    monkeypatch.setattr(saving.shutil, "disk_usage", disk_of(0))
    every = {"save_every_n_steps": 1}
    assert needed(**every, save_last_n_steps=3) < needed(**every, save_last_n_steps=3, keep_every_n_steps=10)
    assert needed(**every, save_last_n_steps=3, keep_every_n_steps=10) < needed(**every)
    assert needed(sample_every_n_steps=1, resolution=(512, 512)) > needed(resolution=(512, 512)) + 250


def disk_of(free: int) -> Callable[[object], Any]:
    return lambda _: type("Usage", (), {"free": free})
