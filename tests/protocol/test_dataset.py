import contextlib
import random
import shlex
import warnings
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from loratui_protocol.dataset import Dataset, fingerprint, scan, scan_config
from loratui_protocol.errors import DatasetError
from loratui_protocol.findings import Finding
from loratui_protocol.picture_names import misnamed
from support.protocol_strategies import plain_config


def make(path: Path, caption: str | None = "a caption", size: tuple[int, int] = (64, 64)) -> Path:
    """Write a picture, and its caption unless None."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "red").save(path)
    if caption is not None:
        path.with_suffix(".txt").write_text(caption, encoding="utf-8")
    return path


def refusal(folder: Path, **options: bool) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        scan(folder, **options)
    assert caught.value.fix
    return caught.value


def finding(dataset: Dataset, code: str) -> Finding:
    (found,) = [found for found in dataset.findings if found.code == code]
    return found


# --- layouts ----------------------------------------------------------------------------------------------------------


def test_numbered_folders_give_repeats_and_names_relative_to_their_parent(tmp_path: Path) -> None:
    make(tmp_path / "10_a dog" / "b.png", "one")
    make(tmp_path / "10_a dog" / "a.JPG", "two", (32, 48))
    make(tmp_path / "3_a_cat" / "c.webp", "three")
    dataset = scan(tmp_path)
    assert [(one.name, one.num_repeats, one.caption) for one in dataset.pictures] == [
        ("10_a dog/a.JPG", 10, "two"),
        ("10_a dog/b.png", 10, "one"),
        ("3_a_cat/c.webp", 3, "three"),
    ]
    assert (dataset.pictures[0].width, dataset.pictures[0].height) == (32, 48)
    assert dataset.findings == ()


def test_one_numbered_folder_may_be_given_itself(tmp_path: Path) -> None:
    make(tmp_path / "5_dog" / "a.png")
    dataset = scan(tmp_path / "5_dog")
    assert [one.num_repeats for one in dataset.pictures] == [5]
    assert finding(dataset, "dataset.repeats").severity == "info"


def test_a_year_in_a_folders_name_is_pointed_out(tmp_path: Path) -> None:
    make(tmp_path / "2024_holiday" / "a.png")
    found = finding(scan(tmp_path / "2024_holiday"), "dataset.repeats")
    assert found.severity == "warning"
    assert "2024 repeats" in found.what


def test_a_flat_folder_shows_each_picture_once(tmp_path: Path) -> None:
    make(tmp_path / "pictures" / "a.png")
    (one,) = scan(tmp_path / "pictures").pictures
    assert (one.name, one.num_repeats) == ("a.png", 1)


def test_folders_without_a_number_and_loose_pictures_are_reported(tmp_path: Path) -> None:
    make(tmp_path / "2_dog" / "a.png")
    make(tmp_path / "cat" / "b.png")
    make(tmp_path / "0_zero" / "d.png")
    make(tmp_path / "c.png")
    (tmp_path / "log").mkdir()
    dataset = scan(tmp_path)
    assert len(dataset.pictures) == 1
    skipped = [found for found in dataset.findings if found.code == "dataset.folder_skipped"]
    assert [Path(found.path).name for found in skipped] == ["0_zero", "cat"]
    assert skipped[1].fix == "rename it to 1_cat"
    assert skipped[1].what.startswith("cat is skipped, with 1 pictures: ")
    assert finding(dataset, "dataset.loose_pictures").what.startswith("skipped: 1 picture ")


def test_pictures_of_kinds_that_are_not_read_are_counted(tmp_path: Path) -> None:
    make(tmp_path / "2_dog" / "a.png")
    for name in ("b.heic", "c.HEIC", "d.gif"):
        (tmp_path / "2_dog" / name).write_bytes(b"x")
    assert "1 .gif, 2 .heic" in finding(scan(tmp_path), "dataset.kind_skipped").what
    assert "1 .gif, 2 .heic" in finding(scan(tmp_path / "2_dog"), "dataset.kind_skipped").what
    for name in ("b.heic", "c.HEIC", "d.gif"):
        (tmp_path / "2_dog" / name).rename(tmp_path / name)
    assert "1 .gif, 2 .heic" in finding(scan(tmp_path), "dataset.kind_skipped").what


def test_hidden_files_are_no_pictures(tmp_path: Path) -> None:
    make(tmp_path / "a.png")
    (tmp_path / "._a.png").write_bytes(b"resource fork")
    assert [one.name for one in scan(tmp_path).pictures] == ["a.png"]


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_missing_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none").code == "dataset.missing"
    file = make(tmp_path / "a.png")
    assert "is a file" in refusal(file).what
    assert refusal(tmp_path / ("long" * 500)).code == "dataset.unreadable"


def test_an_empty_folder_says_what_was_looked_for_and_what_is_there(tmp_path: Path) -> None:
    assert "found nothing" in refusal(tmp_path).what
    (tmp_path / "notes.md").write_text("x")
    (tmp_path / "sub").mkdir()
    error = refusal(tmp_path)
    assert error.code == "dataset.empty"
    assert ".png, .jpg" in error.what
    assert "1 .md, sub/" in error.what


def test_an_unnumbered_or_too_deep_folder_is_named_in_the_fix(tmp_path: Path) -> None:
    make(tmp_path / "one" / "dog" / "a.png")
    assert "rename dog to 1_dog" in refusal(tmp_path / "one").fix
    make(tmp_path / "two" / "img" / "3_dog" / "a.png")
    assert refusal(tmp_path / "two").fix == f"name {tmp_path / 'two' / 'img'}"
    make(tmp_path / "three" / "10_dog" / "a" / "b" / "a.png")
    folder = tmp_path / "three" / "10_dog"
    assert refusal(tmp_path / "three").fix == f"move the pictures of {folder / 'a' / 'b'} into {folder}"
    make(tmp_path / "four" / "a" / "b" / "a.png")
    assert refusal(tmp_path / "four").fix == f"name {tmp_path / 'four' / 'a' / 'b'}"


def test_a_folder_of_links_that_lead_to_nothing_is_told_apart_from_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to("gone.png")
    assert refusal(tmp_path).what.endswith("found 1 links that lead to nothing")


def test_the_fix_speaks_of_the_config_where_that_has_named_the_folder(tmp_path: Path) -> None:
    for folder, of_a_person, of_a_config in (
        (tmp_path / "nowhere", "name a folder of pictures", "set train_data_dir to a folder of pictures"),
        (tmp_path, "or name the folder that has them", "or set train_data_dir to the folder that has them"),
    ):
        assert of_a_person in refusal(folder).fix
        assert "train_data_dir" not in refusal(folder).fix
        with pytest.raises(DatasetError) as refused:
            scan_config(plain_config(train_data_dir=str(folder)))
        assert of_a_config in refused.value.fix


def test_a_command_that_converts_pictures_names_them_as_a_shell_takes_them(tmp_path: Path) -> None:
    folder = tmp_path / "it's mine"
    make(folder / "a.png")
    (folder / "b c.heic").write_bytes(b"x")
    fix = finding(scan(folder), "dataset.kind_skipped").fix
    command = shlex.split(fix.partition("macOS: ")[2].removesuffix(")"))
    assert command[-3:] == [str(folder / "b c.heic"), "--out", str(folder / "b c.jpg")]


def test_every_unreadable_picture_is_named(tmp_path: Path) -> None:
    make(tmp_path / "good.png")
    (tmp_path / "zero.png").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("not a picture at all")
    error = refusal(tmp_path)
    assert error.code == "dataset.unreadable"
    assert error.what.startswith("2 pictures can't be read")
    assert "zero.png (the file is empty)" in error.what
    assert "text.jpg" in error.what
    assert "good.png" not in error.what


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_a_truncated_picture_is_found_when_verified(tmp_path: Path, suffix: str) -> None:
    whole = make(tmp_path / f"a{suffix}", size=(200, 200)).read_bytes()
    assert scan(tmp_path, verify=True).pictures
    (tmp_path / f"a{suffix}").write_bytes(whole[: len(whole) * 2 // 3])
    assert refusal(tmp_path, verify=True).code == "dataset.unreadable"


def test_a_picture_of_another_kind_under_a_known_name_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png", format="TIFF")
    assert refusal(tmp_path).code == "dataset.unreadable"
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png", format="JPEG")
    assert scan(tmp_path, verify=True).pictures


def test_many_unreadable_pictures_do_not_flood_the_message(tmp_path: Path) -> None:
    for index in range(30):
        (tmp_path / f"{index}.png").write_bytes(b"")
    assert "and 10 more" in refusal(tmp_path).what


def test_a_picture_like_a_ribbon_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "a.png", size=(10, 400))
    assert refusal(tmp_path).code == "dataset.too_narrow"


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_has_the_size_that_is_seen(tmp_path: Path, suffix: str, orientation: int) -> None:
    file = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (80, 40)).save(file, exif=exif)
    with Image.open(file) as opened:
        seen = ImageOps.exif_transpose(opened).size
    for verify in (False, True):
        (one,) = scan(tmp_path, verify=verify).pictures
        assert (one.width, one.height) == seen


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_a_damaged_picture_is_read_or_refused_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    file = make(tmp_path / f"a{suffix}", size=(40, 30))
    whole = file.read_bytes()
    rng = random.Random(0)
    for _ in range(80):
        damaged = bytearray(whole[: rng.choice((len(whole), rng.randrange(len(whole))))])
        for _ in range(rng.randrange(4)):
            if damaged:
                damaged[rng.randrange(min(len(damaged), 100))] = rng.randrange(256)
        file.write_bytes(damaged)
        with contextlib.suppress(DatasetError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scan(tmp_path, verify=True)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "LA", "I;16"])
def test_pictures_of_every_colour_mode_are_measured(tmp_path: Path, mode: str) -> None:
    suffix = ".jpg" if mode == "CMYK" else ".png"
    Image.new(mode, (50, 70)).save(tmp_path / f"a{suffix}")
    (one,) = scan(tmp_path, verify=True).pictures
    assert (one.width, one.height) == (50, 70)


def test_pictures_smaller_than_the_resolution_are_counted_with_the_factor(tmp_path: Path) -> None:
    make(tmp_path / "large.png", size=(600, 500))
    make(tmp_path / "nearly.png", size=(508, 508))
    make(tmp_path / "small.png", size=(400, 400))
    found = finding(scan(tmp_path, resolution=(512, 512)), "dataset.small_pictures")
    assert found.severity == "info"
    assert found.what == "1 of 3 pictures are smaller than 512x512; small.png (400x400) is enlarged 1.28 times"
    assert scan(tmp_path).findings == ()
    make(tmp_path / "tiny.png", size=(64, 64))
    found = finding(scan(tmp_path, resolution=(512, 512)), "dataset.small_pictures")
    assert found.severity == "warning"
    assert found.what == (
        "2 of 4 pictures are smaller than 512x512, 1 of them much; tiny.png (64x64) is enlarged 8.0 times"
    )
    assert found.path == str(tmp_path / "tiny.png")


def test_a_config_that_never_enlarges_has_nothing_to_report(tmp_path: Path) -> None:
    make(tmp_path / "a.png")
    config = plain_config(train_data_dir=str(tmp_path), resolution=(512, 512))
    assert finding(scan_config(config), "dataset.small_pictures")
    unscaled = plain_config(train_data_dir=str(tmp_path), resolution=(512, 512), bucket_no_upscale=True)
    assert scan_config(unscaled).findings == ()


# --- names ------------------------------------------------------------------------------------------------------------


def test_pictures_under_names_that_are_not_read_are_named_with_the_name_to_give_them(tmp_path: Path) -> None:
    make(tmp_path / "a.png")
    for number, name in enumerate(("b.JPG ", "c.jfif", "d.jpg_large", "e", "f.webp?w=80", "a.PNG_orig")):
        kind = ("JPEG", "JPEG", "JPEG", "PNG", "WEBP", "BMP")[number]
        Image.new("RGB", (60, 60)).save(tmp_path / name, kind)
    for name in ("a.png~", "g.bak", ".hidden"):
        (tmp_path / name).write_bytes((tmp_path / "a.png").read_bytes())
    (tmp_path / "BMW").write_text("BM, but no picture at all")
    (tmp_path / "notes").write_text("notes")
    assert [(path.name, name) for path, name in misnamed(tmp_path)] == [
        ("a.PNG_orig", "a.bmp"),
        ("b.JPG ", "b.JPG"),
        ("c.jfif", "c.jpg"),
        ("d.jpg_large", "d.jpg"),
        ("e", "e.png"),
        ("f.webp?w=80", "f.webp"),
    ]
    found = finding(scan(tmp_path), "dataset.picture_names")
    assert (found.severity, found.fixable) == ("warning", True)
    assert "6 pictures are skipped" in found.what
    assert "'a.PNG_orig', 'b.JPG ', 'c.jfif' and 3 more" in found.what


def test_a_picture_whose_name_would_be_taken_gets_a_number(tmp_path: Path) -> None:
    make(tmp_path / "a.jpg")
    for name in ("a.jfif", "a.jpg_large"):
        Image.new("RGB", (60, 60)).save(tmp_path / name, "JPEG")
    assert [name for _, name in misnamed(tmp_path)] == ["a-2.jpg", "a-3.jpg"]


def test_a_jpeg_called_heic_is_to_be_renamed_and_not_converted(tmp_path: Path) -> None:
    make(tmp_path / "a.png")
    Image.new("RGB", (60, 60)).save(tmp_path / "b.HEIC", "JPEG")
    assert {each.code for each in scan(tmp_path).findings} == {"dataset.picture_names"}
    assert dict(misnamed(tmp_path)) == {tmp_path / "b.HEIC": "b.jpg"}


@pytest.mark.parametrize("place", [".", "10_cat"])
def test_a_folder_that_has_only_such_pictures_says_so(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    Image.new("RGB", (60, 60)).save(tmp_path / place / "a.jfif", "JPEG")
    with pytest.raises(DatasetError, match="no pictures in") as refused:
        scan(tmp_path)
    assert refused.value.fix.endswith(f"to rename them: loratui check {tmp_path} --fix")


# --- captions ---------------------------------------------------------------------------------------------------------


def test_a_caption_is_read_from_txt_then_from_caption(tmp_path: Path) -> None:
    make(tmp_path / "a.png", "from txt")
    (tmp_path / "a.caption").write_text("from caption")
    make(tmp_path / "b.png", None)
    (tmp_path / "b.caption").write_text("only caption")
    assert [one.caption for one in scan(tmp_path).pictures] == ["from txt", "only caption"]
    dataset = scan(tmp_path, caption_extension=".caption")
    assert [one.caption for one in dataset.pictures] == ["from caption", "only caption"]


def test_without_a_caption_file_the_folders_words_are_used_and_that_is_said(tmp_path: Path) -> None:
    make(tmp_path / "2_sks dog" / "a.png", None)
    make(tmp_path / "2_sks dog" / "b.png", "a photo")
    dataset = scan(tmp_path)
    assert [one.caption for one in dataset.pictures] == ["sks dog", "a photo"]
    found = finding(dataset, "dataset.no_caption")
    assert found.severity == "warning"
    assert found.what.startswith("1 of 2 pictures have no .txt or .caption file: 'sks dog' is used")


def test_captions_under_another_extension_are_pointed_to(tmp_path: Path) -> None:
    make(tmp_path / "a.png", "hidden by the setting")
    found = finding(scan(tmp_path, caption_extension=".caption"), "dataset.no_caption")
    assert found.fix.startswith('set caption_extension = ".txt"')


def test_an_empty_caption_is_reported_and_used(tmp_path: Path) -> None:
    make(tmp_path / "3_dog" / "a.png", "  \n")
    dataset = scan(tmp_path)
    assert dataset.pictures[0].caption == ""
    assert finding(dataset, "dataset.caption_empty").path.endswith("a.txt")


def test_only_the_first_line_counts_and_more_are_reported(tmp_path: Path) -> None:
    make(tmp_path / "a.png", "\ufeff the first \r\nthe second\n")
    make(tmp_path / "b.png", "one line\n\n")
    dataset = scan(tmp_path)
    assert [one.caption for one in dataset.pictures] == ["the first", "one line"]
    found = finding(dataset, "dataset.caption_lines")
    assert found.what.startswith("1 caption file has ")
    assert "enable_wildcard" in found.fix


def test_with_wildcards_every_line_counts(tmp_path: Path) -> None:
    make(tmp_path / "data" / "a.png", "the first \r\n\n the second\n")
    dataset = scan_config(plain_config(train_data_dir=str(tmp_path / "data"), enable_wildcard=True))
    assert [one.caption for one in dataset.pictures] == ["the first\nthe second"]
    assert "dataset.caption_lines" not in {found.code for found in dataset.findings}


def test_a_caption_that_is_no_utf8_or_no_caption_by_its_size_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "a.png", None)
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    error = refusal(tmp_path)
    assert error.code == "dataset.caption_encoding"
    assert "a.txt" in error.what
    (tmp_path / "a.txt").write_text("x" * 100_000)
    assert refusal(tmp_path).code == "dataset.caption_too_long"


# --- both folders, and identity ---------------------------------------------------------------------------------------


def test_regularisation_pictures_come_after_the_training_ones(tmp_path: Path) -> None:
    make(tmp_path / "train" / "2_dog" / "a.png")
    make(tmp_path / "reg" / "1_animal" / "a.png", None)
    config = plain_config(train_data_dir=str(tmp_path / "train"), reg_data_dir=str(tmp_path / "reg"))
    dataset = scan_config(config)
    assert [(one.caption, one.is_reg) for one in dataset.pictures] == [("a caption", False), ("animal", True)]
    assert [found.code for found in dataset.findings] == ["dataset.no_caption"]


def test_the_fingerprint_changes_with_everything_that_is_trained_on(tmp_path: Path) -> None:
    make(tmp_path / "set" / "2_dog" / "a.png")
    first = fingerprint(scan(tmp_path / "set"))
    assert len(first) == 64
    (tmp_path / "set").rename(tmp_path / "moved")
    root = tmp_path / "moved"
    assert fingerprint(scan(root)) == first
    seen = {first}
    (root / "2_dog" / "a.txt").write_text("another caption")
    seen.add(fingerprint(scan(root)))
    make(root / "2_dog" / "a.png", "another caption", (64, 72))
    seen.add(fingerprint(scan(root)))
    (root / "2_dog").rename(root / "3_dog")
    seen.add(fingerprint(scan(root)))
    make(root / "3_dog" / "b.png")
    seen.add(fingerprint(scan(root)))
    seen.add(fingerprint(scan(root, is_reg=True)))
    assert len(seen) == 6
