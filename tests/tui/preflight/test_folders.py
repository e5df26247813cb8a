"""How often each picture is shown, what outweighs what, what is not read, and whether there are enough."""

from pathlib import Path
from typing import Any

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
    assert found.what == "1 picture in folders inside 2_z is not read (first: more)"
    masks = folder / "masks"
    (folder / "more").rename(masks)
    for path in folder.glob("*.png"):
        (masks / path.name).write_bytes(png())
    assert "dataset.inner_skipped" not in look(tmp_path, masked_loss=True, conditioning_data_dir=str(masks))


def skipped(root: Path, **settings: Any) -> list[tuple[str, str]]:
    """Return what is said of pictures that are not read: the fact and the fix."""
    return [(each.what, each.fix) for each in look_all(root, **settings) if each.code == "dataset.inner_skipped"]


def test_pictures_at_any_depth_are_counted_and_their_folders_named(tmp_path: Path) -> None:
    fill(tmp_path / "2_z", 3)
    fill(tmp_path / "2_z" / "one" / "two" / "three", 4)
    fill(tmp_path / "5_y" / "only deep", 2)
    (tmp_path / "raw" / "camera").mkdir(parents=True)
    (tmp_path / "raw" / "camera" / "a.HEIC").write_bytes(b"x")
    assert skipped(tmp_path) == [
        (
            "4 pictures in folders inside 2_z are not read (first: one/two/three)",
            "move them into 2_z, or give them a numbered folder beside it",
        ),
        (
            "2 pictures in folders inside 5_y are not read (first: only deep)",
            "move them into 5_y, or give them a numbered folder beside it",
        ),
        (
            "1 picture in folders inside raw is not read (first: camera)",
            "move them into a folder beside it whose name begins with their repeats, as 1_raw",
        ),
    ]


def test_a_folder_of_numbered_folders_beside_them_may_be_one_of_regularisation_pictures(tmp_path: Path) -> None:
    fill(tmp_path / "2_z", 3)
    fill(tmp_path / "reg" / "1_dog", 2)
    assert [fix for _, fix in skipped(tmp_path)] == [
        "set reg_data_dir to reg if they are regularisation pictures; else move its folders out of it"
    ]
    assert skipped(tmp_path, reg_data_dir=str(tmp_path / "reg")) == []


def test_pictures_in_folders_of_a_flat_one_are_counted_together(tmp_path: Path) -> None:
    fill(tmp_path / "mine", 3)
    fill(tmp_path / "mine" / "a", 1)
    fill(tmp_path / "mine" / "b" / "c", 2)
    told = ("3 pictures in folders inside mine are not read (first: a, b/c)", "move them into mine")
    assert skipped(tmp_path / "mine") == [told]
    subsets = (Subset(image_dir=str(tmp_path / "mine")),)
    assert skipped(None, datasets=(DatasetConfig(subsets=subsets),)) == [told]
    # What another subset trains is not skipped; what lies in it is told once, of that one.
    fill(tmp_path / "mine" / "a" / "x", 1)
    both = (*subsets, Subset(image_dir=str(tmp_path / "mine" / "a")))
    assert [what for what, _ in skipped(None, datasets=(DatasetConfig(subsets=both),))] == [
        "2 pictures in folders inside mine are not read (first: b/c)",
        "1 picture in folders inside a is not read (first: x)",
    ]


def test_a_link_that_leads_back_hides_nothing_and_is_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "data" / "2_z", 3)
    fill(tmp_path, 1)
    before = look_all(tmp_path / "data")
    for name, to in (("2_z/loop", "."), ("2_z/up", ".."), ("2_z/top", tmp_path), ("again", "2_z"), ("self", ".")):
        (tmp_path / "data" / name).symlink_to(to)
    assert look_all(tmp_path / "data") == before
    fill(tmp_path / "elsewhere" / "deep", 2)
    (tmp_path / "data" / "2_z" / "more").symlink_to(tmp_path / "elsewhere")
    assert [what for what, _ in skipped(tmp_path / "data")] == [
        "2 pictures in folders inside 2_z are not read (first: more/deep)"
    ]


def test_links_that_lead_to_nothing_are_counted_and_named(tmp_path: Path) -> None:
    folder = fill(tmp_path / "2_z", 3)
    (folder / "gone.png").symlink_to("/nowhere/gone.png")
    (folder / "round.png").symlink_to("round.png")
    (tmp_path / "5_y").symlink_to("old")
    (folder / ".hidden").symlink_to("nowhere")
    found = look(tmp_path)["dataset.broken_link"]
    assert (found.severity, found.path) == ("warning", str(tmp_path / "5_y"))
    assert found.what == (
        "3 links lead to nothing, and are not read "
        "(first: 5_y -> old, 2_z/gone.png -> /nowhere/gone.png, 2_z/round.png -> round.png)"
    )


def test_a_flat_folder_is_told_what_it_means(tmp_path: Path) -> None:
    fill(tmp_path / "mine", 3)
    found = look(tmp_path / "mine", trigger_word="zorbix")["dataset.flat"]
    assert found.severity == "info"
    assert "loratui check 'my run.toml' --fix --repeats 10" in found.fix
    assert "max_train_steps still ends the run after 12" in found.fix
    subsets = (Subset(image_dir=str(tmp_path / "mine")),)
    assert "dataset.flat" not in {each.code for each in look_all(None, datasets=(DatasetConfig(subsets=subsets),))}


def test_repeats_for_a_run_by_epochs_are_told_with_what_they_do_to_its_steps(tmp_path: Path) -> None:
    fill(tmp_path / "mine", 6)
    found = look(tmp_path / "mine", max_train_epochs=100)["dataset.flat"]
    assert "divide max_train_epochs by 10, to 10" in found.fix
    assert "from 300 steps to about 3,000" in found.fix


@pytest.mark.parametrize(
    ("name", "settings", "looks", "fix"),
    [
        ("1_a", {"max_train_epochs": 600}, "600 times", "write max_train_epochs = 100"),
        ("60_a", {"max_train_epochs": 10}, "600 times", "write max_train_epochs = 2"),
        ("1000_a", {"max_train_epochs": 1}, "1,000 times", "write max_train_epochs = 1, and divide the repeats"),
        ("1_a", {"max_train_steps": 3000}, "600 times", "write max_train_steps = 500"),
    ],
)
def test_far_too_many_looks_are_told_however_they_come_about(
    tmp_path: Path, name: str, settings: dict[str, int], looks: str, fix: str
) -> None:
    fill(tmp_path / name, 10)
    found = look(tmp_path, **settings)["plan.many_exposures"]
    assert found.severity == "warning"
    assert f"each picture of {name} {looks}" in found.what
    assert "Civitai, article 9148" in found.what
    assert found.fix.startswith(fix)


def test_one_folder_that_is_shown_far_too_often_is_named_with_its_repeats(tmp_path: Path) -> None:
    fill(tmp_path / "100_few", 2)
    fill(tmp_path / "1_many", 40)
    found = look(tmp_path, max_train_epochs=10)["plan.many_exposures"]
    assert (Path(found.path).name, found.fix) == ("100_few", "divide the repeats of 100_few by 10, for about 100")


def test_far_too_few_looks_are_told_unless_the_set_is_large(tmp_path: Path) -> None:
    fill(tmp_path / "1_a", 20)
    found = look(tmp_path, max_train_epochs=5)["plan.few_exposures"]
    assert (found.severity, found.fix.startswith("write max_train_epochs = 100")) == ("warning", True)
    fill(tmp_path / "1_a", 250)
    assert "plan.few_exposures" not in look(tmp_path, max_train_epochs=5)


def test_usual_numbers_of_looks_and_the_built_in_model_are_not_warned_of(tmp_path: Path) -> None:
    fill(tmp_path / "1_a", 10)
    usual = [look(tmp_path, max_train_epochs=epochs) for epochs in (30, 100, 250)]
    demo = look(tmp_path, max_train_epochs=600, pretrained_model_name_or_path="builtin:tiny")
    assert not {"plan.many_exposures", "plan.few_exposures"} & {code for each in (*usual, demo) for code in each}


def test_numbers_that_are_no_count_of_repeats_are_told(tmp_path: Path) -> None:
    fill(tmp_path / "2024_holiday", 2)
    fill(tmp_path / "0_zero", 2)
    found = look(tmp_path)
    assert "2,024 repeats" in found["dataset.repeats"].what
    assert found["dataset.folder_skipped"].what == "0_zero is skipped, with 2 pictures: its name means 0 repeats"
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
