"""Subsets and datasets are trained as the config says: each under its own settings, each dataset at its own size."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from loratui_agent.demo.concept import DEMO, draw_concept
from loratui_agent.train import gradients, loop, validation
from loratui_agent.train.conditioning import time_ids
from loratui_agent.train.job import Job
from loratui_agent.train.metadata import file_metadata
from loratui_agent.train.run import Run, add_optimizer, set_up
from loratui_protocol.config_file import parse_config, to_toml
from loratui_protocol.schedule import Exposure
from loratui_protocol.subsets import DatasetConfig, Subset
from support.tiny_run import HeardReporter, take_steps, trained
from support.tiny_training import tiny_config

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    """Two folders of pictures, one with captions, and masks of their left halves."""
    rng = random.Random(0)
    for name in ("left", "right", "masks"):
        (tmp_path / name).mkdir()
    for index in range(2):
        for name in ("left", "right"):
            # Wider than tall, so that a mix-up of the sides would show.
            draw_concept(rng, DEMO, "red").resize((192, 96)).save(tmp_path / name / f"{index}.png")
        (tmp_path / "left" / f"{index}.txt").write_text("a zorbix on a red background", "utf-8")
        mask = Image.new("L", (192, 96))
        mask.paste(255, (0, 0, 96, 96))
        mask.save(tmp_path / "masks" / f"{index}.png")
    return {name: str(tmp_path / name) for name in ("left", "right", "masks")}


def datasets_of_two(folders: dict[str, str], **left: Any) -> tuple[DatasetConfig, ...]:
    captioned = Subset(image_dir=folders["left"], num_repeats=2, settings=left)
    plain = Subset(image_dir=folders["right"], class_tokens="a circle")
    return (DatasetConfig(subsets=(captioned, plain)),)


def new_run(tmp_path: Path, datasets: tuple[DatasetConfig, ...], **changes: Any) -> Run:
    config = tiny_config(tmp_path, **{"train_data_dir": None, "datasets": datasets, **changes})
    return set_up(Job(tmp_path, config, ""), HeardReporter(tmp_path))


def test_only_pictures_of_a_subset_that_is_mirrored_or_masked_are(tmp_path: Path, folders: dict[str, str]):
    datasets = datasets_of_two(folders, flip_aug=True, conditioning_data_dir=folders["masks"])
    run = new_run(tmp_path, datasets, masked_loss=True, enable_bucket=False)
    take_steps(run, 1)
    assert sorted(run.latents.mirrored) == [0, 1]
    masks = run.latents.mask([0, 2], [False, False], torch.device("cpu"))
    assert masks is not None
    assert masks[0, 0, 0].round().tolist() == [1.0] * 8 + [0.0] * 8
    assert masks[1].min() == 1, "a subset without masks is learned whole"


def test_transparency_is_the_mask_of_the_one_subset_that_says_so(tmp_path: Path, folders: dict[str, str]):
    for path in [*Path(folders["left"]).glob("*.png"), *Path(folders["right"]).glob("*.png")]:
        with Image.open(path) as opened:
            picture = opened.convert("RGBA")
        picture.putalpha(Image.open(Path(folders["masks"]) / path.name))
        picture.save(path)
    run = new_run(tmp_path, datasets_of_two(folders, alpha_mask=True), enable_bucket=False)
    loop.cache_latents(run)
    masks = run.latents.mask([0, 2], [False, False], torch.device("cpu"))
    assert masks is not None
    assert [mask.mean().item() for mask in masks] == [pytest.approx(0.5, abs=0.01), 1.0]


def test_the_captions_of_a_subset_are_what_is_learned_of_it(tmp_path: Path, folders: dict[str, str]):
    learned = []
    for settings in ({}, {"caption_prefix": "a red circle and"}):
        run = new_run(tmp_path, datasets_of_two(folders, **settings), train_batch_size=6, network_train_unet_only=True)
        take_steps(run, 1)
        learned.append(trained(run))
    assert not all(torch.equal(tensor, learned[0][name]) for name, tensor in learned[1].items())


def multi_resolution(folders: dict[str, str]) -> tuple[DatasetConfig, ...]:
    left = (Subset(image_dir=folders["left"]),)
    small = DatasetConfig(subsets=left, settings={"enable_bucket": False})
    large = {"resolution": (128, 128), "train_batch_size": 1, "bucket_reso_steps": 32, "min_bucket_reso": 64}
    return small, DatasetConfig(subsets=left, settings=large)


def test_the_same_pictures_are_trained_at_two_sizes(tmp_path: Path, folders: dict[str, str]):
    run = new_run(tmp_path, multi_resolution(folders), max_train_epochs=1)
    loop.encode_prompts(run)
    loop.cache_latents(run)
    add_optimizer(run)
    seen = []
    take = run.schedule.batch

    def batch(step: int, micro: int) -> list[Exposure]:
        seen.append(sorted(run.plan.placements[each.picture_index].bucket for each in take(step, micro)))
        return take(step, micro)

    run.schedule.batch = batch  # type: ignore[method-assign]
    losses = [loop.take_step(run) for _ in range(run.plan.steps)]
    assert all(torch.isfinite(torch.tensor(loss)).all() for loss in losses)
    assert sorted(seen) == [[(64, 64), (64, 64)], [(160, 96)], [(160, 96)]]
    sizes = [tuple(each.mean.shape[1:]) for each in run.latents.plain]
    assert sizes[0] == sizes[1] != sizes[2] == sizes[3]
    told = [time_ids(run.dataset.pictures[index], run.plan.placements[index], mirrored=False) for index in (0, 2)]
    assert told == [(96, 192, 0, 32, 64, 64), (96, 192, 0, 16, 96, 160)], "what SDXL is told is each size's own"


def test_the_file_says_what_it_was_trained_on(tmp_path: Path, folders: dict[str, str]):
    run = new_run(tmp_path, (*multi_resolution(folders), *datasets_of_two(folders, flip_aug=True)))
    said = file_metadata(
        run.config,
        run.dataset,
        run.plan,
        step=1,
        base=run.base,
        seed=1,
        precision="no",
        kind=run.models.kind,
        is_v=False,
    )
    assert json.loads(said["ss_dataset_dirs"]) == {
        "left": {"n_repeats": 1, "img_count": 2},
        "left (2)": {"n_repeats": 1, "img_count": 2},
        "left (3)": {"n_repeats": 2, "img_count": 2},
        "right": {"n_repeats": 1, "img_count": 2},
    }
    assert json.loads(said["ss_tag_frequency"]) == {
        "left": {"a zorbix on a red background": 2},
        "right": {"a circle": 2},
    }
    small, large, both = json.loads(said["ss_datasets"])
    assert (small["resolution"], large["resolution"]) == ([64, 64], [128, 128])
    assert (small["batch_size_per_device"], large["batch_size_per_device"]) == (2, 1)
    assert large["bucket_info"] == {"buckets": {"0": {"resolution": [160, 96], "count": 2}}}
    assert [each["flip_aug"] for each in both["subsets"]] == [True, False]
    assert both["num_train_images"] == 6
    assert sum(each["count"] for each in json.loads(said["ss_bucket_info"])["buckets"].values()) == 10
    assert said["ss_resolution"] == "(128, 128)"
    assert "ss_flip_aug" not in said, "which of them is mirrored, ss_datasets says"


def test_a_state_belongs_to_what_subsets_say_wherever_their_folders_are(tmp_path: Path, folders: dict[str, str]):
    config = tiny_config(tmp_path, train_data_dir=None, datasets=datasets_of_two(folders, flip_aug=True))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("left", "right"):
        (elsewhere / name).symlink_to(folders[name])
    again = parse_config(to_toml(config).replace(folders["left"][:-4], f"{elsewhere}/"), tmp_path).config
    assert again != config
    plain = tiny_config(tmp_path, train_data_dir=None, datasets=datasets_of_two(folders))
    same, moved, other = (new_run(tmp_path, each.datasets).identity for each in (config, again, plain))
    assert same == moved
    assert same != other, "there nothing is mirrored"


def test_pictures_that_are_held_out_are_looked_at_with_their_own_subsets_captions(
    tmp_path: Path, folders: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    datasets = datasets_of_two(folders, caption_prefix="photo of")
    run = new_run(tmp_path, datasets, validation_split=0.75)
    take_steps(run, 0)
    seen = set()

    def predict(run: Run, exposures: Sequence[Exposure], noisy: Tensor, timesteps: Tensor) -> Tensor:
        seen.update((run.dataset.pictures[each.picture_index].subset, each.caption) for each in exposures)
        return gradients.predict(run, exposures, noisy, timesteps)

    monkeypatch.setattr(validation, "predict", predict)
    validation.look(run)
    assert seen == {(0, "photo of a zorbix on a red background"), (1, "a circle")}
