"""For each bucket what becomes of its pictures, and a sheet that shows it."""

from pathlib import Path

import pytest
from PIL import Image, ImageChops

from loratui.preflight.bucket_table import bucket_table
from loratui.preflight.crops import crop_preview, most_cropped, write_crops
from loratui_protocol.buckets import Bucket
from loratui_protocol.dataset import scan_config
from loratui_protocol.errors import StorageError
from loratui_protocol.plan import plan
from support.drawn_pictures import photo
from support.small_dataset import small_config

SIZES = {"wide": (600, 200), "square": (300, 300), "small": (100, 100), "tall": (200, 600), "exact": (256, 256)}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    for seed, (name, size) in enumerate(SIZES.items()):
        photo(seed, size).save(folder / f"{name}.png")
    return folder


def planned(folder: Path, **changes: object):
    config = small_config(folder, resolution=(256, 256), enable_bucket=False, **changes)
    dataset = scan_config(config)
    return plan(config, dataset.pictures), dataset.pictures


def test_a_row_says_how_many_pictures_are_cropped_and_enlarged_and_the_worst_of_each(pictures: Path) -> None:
    [row] = bucket_table(*planned(pictures))
    assert (row.width, row.height, row.num_pictures) == (256, 256, 5)
    assert row.num_cropped == 2
    assert row.most_cropped in ("wide.png", "tall.png")
    assert row.most_cropped_share == pytest.approx(2 / 3, abs=0.01)
    assert row.mean_cropped_share == pytest.approx(2 / 3 * 2 / 5, abs=0.01)
    assert (row.num_enlarged, row.most_enlarged) == (3, "small.png")
    assert row.most_enlarged_by == pytest.approx(2.56)


def test_where_nothing_is_lost_nothing_is_named(pictures: Path) -> None:
    for name in ("wide", "tall", "small", "square"):
        (pictures / f"{name}.png").unlink()
    [row] = bucket_table(*planned(pictures))
    assert (row.num_cropped, row.most_cropped, row.num_enlarged, row.most_enlarged) == (0, "", 0, "")
    assert row.most_enlarged_by == 1


def test_the_rows_count_what_the_plan_counts(pictures: Path) -> None:
    config = small_config(pictures, resolution=(256, 256), min_bucket_reso=64, max_bucket_reso=512)
    dataset = scan_config(config)
    made = plan(config, dataset.pictures)
    rows = bucket_table(made, dataset.pictures)
    assert {(row.width, row.height): row.num_pictures for row in rows} == {
        (use.bucket.width, use.bucket.height): use.num_pictures for use in made.buckets
    }
    assert sum(row.num_pictures for row in rows) == len(SIZES)


def test_a_picture_that_is_held_out_is_in_no_row(pictures: Path) -> None:
    made, all_of_them = planned(pictures, validation_split=0.6)
    assert made.held_out.indices
    assert sum(row.num_pictures for row in bucket_table(made, all_of_them)) == len(SIZES) - len(made.held_out.indices)


def test_the_sheet_shows_what_is_kept_as_it_is_and_darkens_the_rest(pictures: Path, tmp_path: Path) -> None:
    made, all_of_them = planned(pictures)
    cropped = most_cropped(list(zip(all_of_them, made.placements, strict=True)))
    assert [picture.name for picture, _ in cropped] == ["tall.png", "wide.png"]
    [wide] = [picture for picture, _ in cropped if picture.name == "wide.png"]
    crop_preview(wide, Bucket(256, 256), tmp_path / "crop.jpg")
    with Image.open(tmp_path / "crop.jpg") as sheet, Image.open(wide.path) as original:
        assert sheet.format == "JPEG"
        # 600x200 in a cell of 240 is 232 wide; the middle third of it is kept.
        shown = original.convert("RGB").resize((232, 77), Image.Resampling.BOX)
        left, top = (sheet.width - 232) // 2, (240 - 77) // 2
        cell = sheet.convert("RGB").crop((left, top, left + 232, top + 77))
    kept, lost = (85, 8, 147, 69), (4, 4, 70, 73)

    def off(box: tuple[int, int, int, int]) -> float:
        difference = ImageChops.difference(cell.crop(box), shown.crop(box)).convert("L").histogram()
        return sum(level * count for level, count in enumerate(difference)) / sum(difference)

    assert off(kept) < 12
    assert off(lost) > 40


def test_a_sheet_that_can_not_be_written_is_refused_in_words(pictures: Path, tmp_path: Path) -> None:
    made, all_of_them = planned(pictures)
    with pytest.raises(StorageError) as caught:
        write_crops(list(zip(all_of_them, made.placements, strict=True)), tmp_path / "none" / "crop.jpg")
    assert caught.value.fix
