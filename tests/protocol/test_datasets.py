"""What several datasets come to: their pictures, buckets, batches and what is held out."""

import itertools
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import Dataset, fingerprint, scan_config
from loratui_protocol.errors import DatasetError
from loratui_protocol.plan import Exposure, Schedule, plan
from loratui_protocol.subsets import DatasetConfig, Subset
from support.protocol_strategies import plain_config


def folder_of(path: Path, num_pictures: int, *, size: tuple[int, int] = (96, 96), caption: str = "") -> str:
    path.mkdir(parents=True)
    for index in range(num_pictures):
        Image.new("RGB", size, (20 * index, 90, 30)).save(path / f"{index}.png")
        if caption:
            (path / f"{index}.txt").write_text(caption, "utf-8")
    return str(path)


def config_of(*datasets: DatasetConfig, **changes: object) -> TrainingConfig:
    return plain_config(**{"train_data_dir": None, "validation_split": 0.0, "datasets": datasets, **changes})


def exposed(config: TrainingConfig, dataset: Dataset, epoch: int = 0) -> list[list[int]]:
    """Return the pictures of each batch of an epoch."""
    planned, schedule = plan(config, dataset.pictures), Schedule(config, dataset.pictures, 3)
    first = epoch * planned.steps_per_epoch + 1
    return [
        [exposure.picture_index for exposure in schedule.batch(step, micro)]
        for step in range(first, first + planned.steps_per_epoch)
        for micro in range(schedule.num_micro(step))
    ]


@pytest.fixture
def cats(tmp_path: Path) -> str:
    return folder_of(tmp_path / "5_cats", 4, caption="a cat, sitting")


@pytest.fixture
def dogs(tmp_path: Path) -> str:
    return folder_of(tmp_path / "dogs", 3)


def test_a_subset_is_one_folder_whose_name_means_nothing(cats: str, dogs: str) -> None:
    subsets = (Subset(image_dir=cats), Subset(image_dir=dogs, num_repeats=3, class_tokens="dog"))
    dataset = scan_config(config_of(DatasetConfig(subsets=subsets)))
    told = {(each.path.parent.name, each.num_repeats, each.caption, each.subset) for each in dataset.pictures}
    assert told == {("5_cats", 1, "a cat, sitting", 0), ("dogs", 3, "dog", 1)}
    assert [each.name for each in dataset.pictures] == ["0.png", "1.png", "2.png", "3.png", "0.png", "1.png", "2.png"]


def test_an_empty_or_missing_folder_of_a_subset_is_an_error_that_says_what_to_write(tmp_path: Path, cats: str) -> None:
    for folder, fix in ((str(tmp_path), f"set image_dir to {cats}"), (str(tmp_path / "none"), "set image_dir")):
        with pytest.raises(DatasetError) as caught:
            scan_config(config_of(DatasetConfig(subsets=(Subset(image_dir=folder),))))
        assert caught.value.fix.startswith(fix)


def test_each_subset_repeats_mirrors_and_captions_as_it_says(cats: str, dogs: str) -> None:
    subsets = (
        Subset(image_dir=cats, num_repeats=5, settings={"flip_aug": True, "caption_prefix": "photo,"}),
        Subset(image_dir=dogs, class_tokens="a, b, c, d", settings={"shuffle_caption": True, "keep_tokens": 1}),
    )
    config = config_of(DatasetConfig(subsets=subsets), max_train_epochs=8)
    dataset = scan_config(config)
    counts = Counter(index for batch in exposed(config, dataset) for index in batch)
    assert [counts[index] for index in range(7)] == [5] * 4 + [1] * 3
    schedule = Schedule(config, dataset.pictures, 1)
    steps = range(1, plan(config, dataset.pictures).steps + 1)
    seen = [exposure for step in steps for exposure in schedule.batch(step, 0)]
    assert {each.caption for each in seen if each.picture_index < 4} == {"photo, a cat, sitting"}
    assert {each.flipped for each in seen if each.picture_index < 4} == {True, False}
    of_dogs = {each.caption for each in seen if each.picture_index >= 4}
    assert len(of_dogs) > 2
    assert {caption[0] for caption in of_dogs} == {"a"}
    assert not any(each.flipped for each in seen if each.picture_index >= 4)


def multi_resolution(folder: str) -> TrainingConfig:
    small = DatasetConfig(subsets=(Subset(image_dir=folder),), settings={"train_batch_size": 4})
    large = DatasetConfig(subsets=(Subset(image_dir=folder, num_repeats=2),), settings={"resolution": (96, 96)})
    return config_of(small, large, train_batch_size=2)


def test_a_folder_in_two_datasets_is_trained_at_two_sizes_in_batches_of_their_own(cats: str) -> None:
    config = multi_resolution(cats)
    dataset = scan_config(config, verify=True)
    planned = plan(config, dataset.pictures)
    assert [placement.bucket for placement in planned.placements] == [(64, 64)] * 4 + [(96, 96)] * 4
    assert [(use.dataset, use.bucket, use.num_batches) for use in planned.buckets] == [
        (0, (64, 64), 1),
        (1, (96, 96), 4),
    ]
    assert (planned.num_pictures, planned.num_exposures, planned.batches_per_epoch) == (8, 12, 5)
    for batch in exposed(config, dataset):
        assert len({dataset.pictures[index].dataset for index in batch}) == 1
        assert len(batch) == (4 if dataset.pictures[batch[0]].dataset == 0 else 2)


def test_equal_buckets_of_two_datasets_do_not_share_a_batch(cats: str, dogs: str) -> None:
    config = config_of(*(DatasetConfig(subsets=(Subset(image_dir=each),)) for each in (cats, dogs)), train_batch_size=7)
    assert sorted(map(len, exposed(config, scan_config(config)))) == [3, 4]


def test_an_epoch_of_several_datasets_is_mixed_anew_and_the_same_whatever_was_asked_before(cats: str) -> None:
    config = multi_resolution(cats)
    dataset = scan_config(config)
    first, second = (exposed(config, dataset, epoch) for epoch in (0, 1))
    assert first != second
    assert sorted(itertools.chain(*first)) == sorted(itertools.chain(*second))
    assert exposed(config, dataset, 1) == second
    assert {dataset.pictures[batch[0]].dataset for batch in [*first[:2], *second[:2]]} == {0, 1}


@pytest.mark.parametrize(
    "settings",
    [
        {"caption_prefix": "photo"},
        {"caption_suffix": "photo"},
        {"caption_dropout_rate": 1.0},
        {"caption_dropout_every_n_epochs": 1},
        {"caption_tag_dropout_rate": 1.0},
        {"token_warmup_step": 100, "token_warmup_min": 0},
        {"token_warmup_step": 0.9, "token_warmup_min": 2},
        {"secondary_separator": "cat"},
        {"shuffle_caption": True},
        {"shuffle_caption": True, "keep_tokens": 1},
        {"shuffle_caption": True, "caption_separator": " "},
        {"caption_tag_dropout_rate": 1.0, "keep_tokens_separator": "cat"},
        {"caption_extension": ".tags"},
        {"flip_aug": True},
    ],
    ids=lambda settings: " ".join(map(str, settings)),
)
def test_a_setting_of_a_subset_changes_what_is_shown_of_it_and_of_no_other(
    cats: str, dogs: str, settings: dict[str, Any]
) -> None:
    (Path(cats) / "0.txt").write_text("a cat, sitting, on a mat, in the sun, asleep")
    (Path(cats) / "0.tags").write_text("other tags")

    def shown(**own: Any) -> tuple[list[Exposure], list[Exposure]]:
        subsets = (Subset(image_dir=cats, settings=own), Subset(image_dir=dogs, class_tokens="a dog, b, c"))
        config = config_of(DatasetConfig(subsets=subsets), max_train_epochs=5)
        pictures = scan_config(config).pictures
        schedule = Schedule(config, pictures, 1)
        exposures = [each for step in range(1, plan(config, pictures).steps + 1) for each in schedule.batch(step, 0)]
        of_cats = [each for each in exposures if pictures[each.picture_index].subset == 0]
        return of_cats, [each for each in exposures if each not in of_cats]

    (plain, others), (changed, still) = shown(), shown(**settings)
    assert changed != plain
    assert still == others


def test_regularisation_pictures_match_the_training_pictures_of_their_own_dataset(cats: str, dogs: str) -> None:
    with_reg = DatasetConfig(subsets=(Subset(image_dir=dogs, is_reg=True), Subset(image_dir=cats, num_repeats=2)))
    config = config_of(with_reg, DatasetConfig(subsets=(Subset(image_dir=cats, num_repeats=9),)))
    dataset = scan_config(config)
    counts = Counter(dataset.pictures[index].subset for batch in exposed(config, dataset) for index in batch)
    assert counts == {0: 8, 1: 8, 2: 36}
    assert plan(config, dataset.pictures).num_reg_exposures == 8


def test_a_file_that_one_dataset_holds_out_no_other_trains_on(tmp_path: Path) -> None:
    many = folder_of(tmp_path / "many", 12)
    first = DatasetConfig(subsets=(Subset(image_dir=many),), settings={"validation_split": 0.25, "validation_seed": 1})
    second = DatasetConfig(subsets=(Subset(image_dir=many),), settings={"resolution": (96, 96)})
    config = config_of(first, second)
    dataset = scan_config(config)
    planned = plan(config, dataset.pictures)
    held = {dataset.pictures[index].path for index in planned.held_out.indices}
    assert (len(held), len(planned.held_out.indices), planned.num_pictures) == (3, 6, 18)
    shown = {dataset.pictures[index].path for batch in exposed(config, dataset) for index in batch}
    assert not held & shown
    assert held | shown == {picture.path for picture in dataset.pictures}


def test_masks_belong_to_the_subset_that_names_them(tmp_path: Path, cats: str, dogs: str) -> None:
    masks = folder_of(tmp_path / "masks", 4)
    subsets = (
        Subset(image_dir=cats, settings={"conditioning_data_dir": masks}),
        Subset(image_dir=dogs, is_reg=True, settings={"conditioning_data_dir": masks}),
        Subset(image_dir=dogs),
    )
    dataset = scan_config(config_of(DatasetConfig(subsets=subsets), masked_loss=True))
    masked = {each.subset: each.mask and each.mask.parent.name for each in dataset.pictures}
    assert masked == {0: "masks", 1: None, 2: None}


def test_which_subset_a_picture_belongs_to_is_part_of_what_a_state_belongs_to(cats: str, dogs: str) -> None:
    both = (Subset(image_dir=cats), Subset(image_dir=dogs))
    one = config_of(DatasetConfig(subsets=both))
    other = config_of(DatasetConfig(subsets=both[::-1]))
    marks = {fingerprint(scan_config(each)) for each in (one, other)}
    assert len(marks) == 2
    apart = Path(cats).with_name("apart")
    apart.mkdir()
    for name in ("3.png", "3.txt"):
        shutil.copy(Path(cats) / name, apart)
    together = fingerprint(scan_config(config_of(DatasetConfig(subsets=(Subset(image_dir=cats),)))))
    for name in ("3.png", "3.txt"):
        (Path(cats) / name).unlink()
    in_two = (Subset(image_dir=cats), Subset(image_dir=str(apart)))
    assert fingerprint(scan_config(config_of(DatasetConfig(subsets=in_two)))) != together


def test_a_folder_that_two_datasets_share_is_complained_of_once(dogs: str) -> None:
    config = config_of(*(DatasetConfig(subsets=(Subset(image_dir=dogs),)) for _ in range(2)))
    assert [found.code for found in scan_config(config).findings] == ["dataset.no_caption"]
