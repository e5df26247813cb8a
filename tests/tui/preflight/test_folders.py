"""How often each picture is shown, what outweighs what, what is not read, and whether there are enough."""

from pathlib import Path

import pytest

from loratui_protocol.subsets import DatasetConfig, Subset
from support.captioned import look, look_all, png, write_captioned


def fill(folder: Path, count: int) -> Path:
    """Write pictures with captions of their own."""
    return write_captioned(folder, {f"p{n:03}": f"zorbix number {n} in a field" for n in range(count)})


def test_exposures_of_a_picture_are_told_for_each_folder(tmp_path: Path) -> None:
    fill(tmp_path / "10_zorbix", 6)
    fill(tmp_path / "5_house", 4)
    found = look(tmp_path, max_train_epochs=3)["dataset.exposures"]
    assert found.what == (
        "shown in the whole run: 10_zorbix 75%, each of 6 pictures 30 times; 5_house 25%, each of 4 pictures 15 times"
    )


def test_a_folder_that_is_shown_far_more_often_is_told_with_the_repeats_that_would_be_equal(tmp_path: Path) -> None:
    fill(tmp_path / "10_zorbix", 6)
    fill(tmp_path / "1_house", 4)
    found = look(tmp_path)["dataset.unbalanced"]
    assert found.what == "10_zorbix is shown 15 times as often as 1_house"
    assert found.fix.startswith("15 repeats of 1_house would make them equal")
    (tmp_path / "1_house").rename(tmp_path / "15_house")
    assert "dataset.unbalanced" not in look(tmp_path)


def test_a_folder_in_two_datasets_is_not_weighed_against_itself(tmp_path: Path) -> None:
    folder = fill(tmp_path / "pictures", 4)
    datasets = tuple(
        DatasetConfig(
            subsets=(Subset(image_dir=str(folder), num_repeats=repeats),), settings={"resolution": (size, size)}
        )
        for repeats, size in ((10, 64), (1, 128))
    )
    found = look_all(None, datasets=datasets)
    assert "dataset.unbalanced" not in {each.code for each in found}
    assert [each.what[:10] for each in found if each.code == "dataset.few_pictures"] == ["4 pictures"]


def test_what_two_datasets_show_of_a_folder_is_taken_together(tmp_path: Path) -> None:
    folders = [fill(tmp_path / name, 4) for name in ("most", "least")]
    subsets = [
        Subset(image_dir=str(folder), num_repeats=repeats) for folder, repeats in zip(folders, (3, 1), strict=True)
    ]
    datasets = (
        DatasetConfig(subsets=tuple(subsets), settings={"resolution": (64, 64)}),
        DatasetConfig(subsets=(subsets[0],), settings={"resolution": (128, 128)}),
    )
    [found] = [each for each in look_all(None, datasets=datasets) if each.code == "dataset.unbalanced"]
    assert found.what == "most is shown 6 times as often as least"


def test_few_regularisation_pictures_are_shown_too_often_each(tmp_path: Path) -> None:
    train, reg = fill(tmp_path / "train" / "2_z", 8).parent, fill(tmp_path / "reg" / "1_dog", 2).parent
    found = look(train, reg_data_dir=str(reg))
    assert found["dataset.reg_often"].what.startswith(
        "each regularisation picture of 1_dog is shown 8 times an epoch, a training picture 2 times"
    )
    assert "1_dog (regularisation) 50%" in found["dataset.exposures"].what
    fill(tmp_path / "reg" / "1_dog", 16)
    assert "dataset.reg_often" not in look(train, reg_data_dir=str(reg))


def test_buckets_that_never_fill_a_batch_are_named_with_their_pictures(tmp_path: Path) -> None:
    folder = fill(tmp_path / "1_z", 8)
    (folder / "wide.png").write_bytes(png(128, 64))
    found = look(tmp_path, train_batch_size=4, bucket_reso_steps=8, min_bucket_reso=32)["dataset.small_buckets"]
    assert found.what.startswith("1 bucket never fills a batch of 4: an epoch shows ")
    assert "with 1 (first: wide.png)" in found.what
    (tmp_path / "1_z").rename(tmp_path / "4_z")
    assert "dataset.small_buckets" not in look(tmp_path, train_batch_size=4, bucket_reso_steps=8, min_bucket_reso=32)


def test_pictures_deeper_inside_are_told_and_masks_are_none(tmp_path: Path) -> None:
    folder = fill(tmp_path / "2_z", 3)
    (folder / "more").mkdir()
    (folder / "more" / "x.png").write_bytes(png())
    found = look(tmp_path)["dataset.inner_skipped"]
    assert found.what == "not read: 1 picture in folders inside 2_z (first: more)"
    masks = folder / "masks"
    (folder / "more").rename(masks)
    for path in folder.glob("*.png"):
        (masks / path.name).write_bytes(png())
    assert "dataset.inner_skipped" not in look(tmp_path, masked_loss=True, conditioning_data_dir=str(masks))


def test_a_flat_folder_is_told_what_it_means(tmp_path: Path) -> None:
    fill(tmp_path / "mine", 3)
    found = look(tmp_path / "mine", trigger_word="zorbix")["dataset.flat"]
    assert (found.severity, "--repeats 10" in found.fix) == ("info", True)
    subsets = (Subset(image_dir=str(tmp_path / "mine")),)
    assert "dataset.flat" not in {each.code for each in look_all(None, datasets=(DatasetConfig(subsets=subsets),))}


def test_numbers_that_are_no_count_of_repeats_are_told(tmp_path: Path) -> None:
    fill(tmp_path / "2024_holiday", 2)
    fill(tmp_path / "0_zero", 2)
    found = look(tmp_path)
    assert "2,024 repeats" in found["dataset.repeats"].what
    assert found["dataset.folder_skipped"].what == "0_zero is skipped: its name means 0 repeats"
    assert found["dataset.folder_skipped"].fix == "rename it to 1_zero"


@pytest.mark.parametrize(
    ("count", "code", "says"),
    [
        (14, "dataset.few_pictures", "14 pictures are few"),
        (15, "dataset.count", "15 pictures; usual are 20 to 150"),
        (30, "dataset.count", "30 pictures; usual are 20 to 40 for something simple"),
        (
            40,
            "dataset.count",
            "20 to 40 for something simple, as a face or a plain style, 40 to 80 for something of medium",
        ),
        (100, "dataset.count", "100 pictures; usual are 80 to 150 for something complex"),
        (160, "dataset.many_pictures", "each 10 take about 25 of the 400 steps"),
    ],
)
def test_the_number_of_pictures_is_held_against_what_is_usual(tmp_path: Path, count: int, code: str, says: str) -> None:
    fill(tmp_path / "1_z", count)
    found = look(tmp_path, max_train_epochs=5, validation_split=0.0)
    assert says in found[code].what
    assert {"dataset.few_pictures", "dataset.count", "dataset.many_pictures"} & found.keys() == {code}


def test_many_pictures_in_a_number_of_steps_are_shown_less_often(tmp_path: Path) -> None:
    fill(tmp_path / "1_z", 160)
    found = look(tmp_path, max_train_steps=400, validation_split=0.0)["dataset.many_pictures"]
    assert found.what.endswith("in 400 steps each is shown 5 times")
