"""What is said of a whole set: each defect once, with its figure and its file, and nothing of styles that have none."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageFilter, ImageOps

from loratui.preflight.facts import Fault
from loratui.preflight.faults import CODES
from loratui.preflight.look import PictureReport, look_at_pictures
from loratui.preflight.workers import Wanted, measure_all
from loratui_protocol.dataset import Picture, scan
from loratui_protocol.findings import Finding
from support.drawn_pictures import line_art, night, noisy, photo, product, soft

FACTS_OF_A_SET = {"picture.variety", "picture.small"}
"""What is said of every set of small pictures, however good they are."""


def write_set(folder: Path, draw: Callable[[int], Image.Image], number: int = 10) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(number):
        draw(seed).save(folder / f"{seed:02}.png")


def look(folder: Path, **options: object) -> PictureReport:
    dataset = scan(folder, tell_all=True)
    return look_at_pictures(dataset.pictures, dataset.unusable, **options)


def finding(report: PictureReport, code: str) -> Finding:
    [found] = [each for each in report.findings if each.code == code]
    return found


def codes(report: PictureReport) -> set[str]:
    return {each.code for each in report.findings} - FACTS_OF_A_SET


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set without a fault; tests add to copies of it."""
    folder = tmp_path_factory.mktemp("photos")
    write_set(folder, photo)
    return folder


@pytest.fixture
def folder(photos: Path, tmp_path: Path) -> Path:
    there = tmp_path / "set"
    there.mkdir()
    for path in photos.iterdir():
        (there / path.name).hardlink_to(path)
    return there


# --- sets in which there is nothing to find ---------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [photo, line_art, night, product])
def test_a_style_is_no_fault(tmp_path: Path, draw: Callable[[int], Image.Image]) -> None:
    write_set(tmp_path, draw)
    assert codes(look(tmp_path)) == set()


def test_a_soft_style_is_told_and_no_fault(tmp_path: Path) -> None:
    write_set(tmp_path, soft)
    report = look(tmp_path)
    assert codes(report) == {"picture.soft"}
    found = finding(report, "picture.soft")
    assert found.severity == "info"
    assert found.what.startswith("10 pictures are without a sharp edge, of 10")


def test_a_set_of_half_soft_and_half_sharp_pictures_has_no_blurred_ones(tmp_path: Path) -> None:
    write_set(tmp_path, lambda seed: soft(seed) if seed % 2 else photo(seed))
    assert codes(look(tmp_path)) == {"picture.soft"}


def before_a_soft_ground(seed: int) -> Image.Image:
    picture = photo(seed, (700, 700))
    thing = picture.crop((230, 230, 470, 470))
    picture = picture.filter(ImageFilter.GaussianBlur(14))
    picture.paste(thing, (230, 230))
    return picture


@pytest.mark.parametrize(
    "draw",
    [before_a_soft_ground, lambda seed: line_art(seed).resize((700, 700)), lambda seed: noisy(photo(seed), 4)],
    ids=["a sharp thing before a soft ground", "lines", "grain"],
)
def test_what_is_smooth_or_grainy_and_sharp_is_not_called_blurred(
    photos: Path, tmp_path: Path, draw: Callable[[int], Image.Image]
) -> None:
    write_set(tmp_path, draw, 3)
    for path in photos.iterdir():
        (tmp_path / f"photo{path.name}").hardlink_to(path)
    assert not {"picture.blurred", "picture.soft"} & codes(look(tmp_path))


@pytest.mark.parametrize(("side", "radius"), [(700, 3), (1024, 3), (700, 6), (700, 16)])
def test_what_is_clearly_blurred_is_named_at_training_size(tmp_path: Path, side: int, radius: int) -> None:
    write_set(tmp_path, photo, 4)
    picture = photo(50, (side, side)).filter(ImageFilter.GaussianBlur(radius))
    picture.save(tmp_path / "x.jpg", quality=85)
    ImageOps.expand(picture, (0, side // 8), "black").save(tmp_path / "y.png")
    report = look(tmp_path)
    assert finding(report, "picture.blurred").what.startswith("2 pictures are far less sharp")


def test_pictures_of_one_plain_colour_are_no_copies_of_each_other(tmp_path: Path) -> None:
    for seed in range(12):
        Image.new("RGB", (64, 64), (20 * seed, 90, 30)).save(tmp_path / f"{seed}.png")
    assert codes(look(tmp_path)) == {"picture.blank"}


def test_pictures_that_show_nothing_are_named_with_their_colour_and_for_nothing_else(folder: Path) -> None:
    Image.new("RGB", (400, 300)).save(folder / "black.png")
    noisy(Image.new("RGB", (400, 300), "white"), 3).save(folder / "white.jpg", quality=70)
    Image.new("L", (300, 400), 128).save(folder / "grey.png")
    Image.new("RGBA", (300, 300), (200, 30, 30, 0)).save(folder / "transparent.png")
    dot = Image.new("RGB", (400, 400), "white")
    dot.paste("black", (200, 200, 210, 210))
    dot.save(folder / "dot.png")
    night(1).point([level // 8 for level in range(256)] * 3).save(folder / "night.png")
    report = look(folder)
    what = finding(report, "picture.blank").what
    assert what.startswith(
        "4 pictures are of one colour and nothing else: first: black.png (black), grey.png (#808080)"
    )
    assert codes(report) - {"picture.outlier", "picture.transparent", "picture.underexposed"} == {"picture.blank"}
    outliers = [each.what for each in report.findings if each.code == "picture.outlier"]
    assert not any(name in what for what in outliers for name in ("black.png", "white.jpg", "grey.png"))


# --- files that can't be trained on -----------------------------------------------------------------------------------


def test_every_broken_file_is_named_under_what_is_wrong_with_it(folder: Path) -> None:
    (folder / "zero.png").touch()
    whole = (folder / "00.png").read_bytes()
    for name in ("cut1.png", "cut2.png"):
        (folder / name).write_bytes(whole[: len(whole) // 2])
    (folder / "iphone.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    (folder / "page.jpg").write_text("<!doctype html><p>not found")
    (folder / "noise.webp").write_bytes(b"\x01\x02" * 100)
    report = look(folder)
    assert "1 picture has no bytes at all: zero.png" in finding(report, "picture.empty_file").what
    assert "2 pictures end too early: cut1.png, cut2.png" in finding(report, "picture.truncated").what
    assert "noise.webp" in finding(report, "picture.undecodable").what
    kinds = [each for each in report.findings if each.code == "picture.other_kind"]
    assert [each.what.partition(": ")[2] for each in kinds] == ["iphone.jpg is HEIC", "page.jpg is a web page"]
    assert "sips" in kinds[0].fix
    assert "download" in kinds[1].fix
    assert {each.code for each in report.findings if each.severity == "error"} == codes(report)
    assert all(each.fix and each.path for each in report.findings if each.severity == "error")


def test_of_very_many_broken_files_twenty_are_named(tmp_path: Path) -> None:
    photo(1).save(tmp_path / "a.png")
    for index in range(25):
        (tmp_path / f"zero{index:02}.png").touch()
    what = finding(look(tmp_path), "picture.empty_file").what
    assert what.startswith("25 pictures have")
    assert "zero19.png and 5 more" in what
    assert "zero20.png" not in what


def test_a_name_that_commands_a_terminal_is_shown_without_that(tmp_path: Path) -> None:
    photo(1).save(tmp_path / "a.png")
    (tmp_path / "evil\x1b[2J\u202e.png").touch()
    what = finding(look(tmp_path), "picture.empty_file").what
    assert "\x1b" not in what
    assert "\u202e" not in what


def test_a_broken_file_is_named_with_its_folder_as_the_whole_ones_are(tmp_path: Path) -> None:
    (tmp_path / "3_cat").mkdir()
    photo(1).save(tmp_path / "3_cat" / "a.png")
    (tmp_path / "3_cat" / "zero.png").touch()
    assert finding(look(tmp_path), "picture.empty_file").what.endswith("at all: 3_cat/zero.png")


def test_a_broken_mask_is_called_a_mask(tmp_path: Path) -> None:
    path, mask = tmp_path / "a.png", tmp_path / "mask.png"
    photo(1).save(path)
    Image.new("L", (64, 64)).save(mask)
    mask.write_bytes(mask.read_bytes()[:60])
    picture = Picture(path=path, name="a.png", width=288, height=288, caption="", mask=mask)
    assert finding(look_at_pictures([picture]), "picture.truncated").what.startswith("1 mask ends too early")


def test_a_picture_that_is_far_too_narrow_is_an_error(folder: Path) -> None:
    photo(1, (512, 16)).save(folder / "line.png")
    found = finding(look(folder), "dataset.too_narrow")
    assert found.severity == "error"
    assert "line.png (512x16)" in found.what


# --- what one picture is ----------------------------------------------------------------------------------------------


def save_animated(path: Path) -> None:
    frames = [photo(seed) for seed in (50, 51)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)


def save_transparent(path: Path) -> None:
    picture = photo(50).convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 288, 60))
    picture.save(path)


def save_turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    photo(50).save(path, exif=exif)


def save_blocky(path: Path) -> None:
    photo(50).save(path.with_suffix(".jpg"), quality=10)
    with Image.open(path.with_suffix(".jpg")) as poor:
        poor.convert("RGB").save(path)
    path.with_suffix(".jpg").unlink()


@pytest.mark.parametrize(
    ("code", "severity", "name", "save"),
    [
        ("picture.animated", "warning", "x.webp", save_animated),
        ("picture.animated", "warning", "x.png", save_animated),
        ("picture.cmyk", "warning", "x.jpg", lambda path: photo(50).convert("CMYK").save(path)),
        ("picture.sixteen_bit", "error", "x.png", lambda path: Image.new("I;16", (512, 512), 9000).save(path)),
        ("picture.palette", "info", "x.png", lambda path: photo(50).quantize(256, dither=Image.Dither.NONE).save(path)),
        ("picture.transparent", "warning", "x.png", save_transparent),
        ("picture.turned", "info", "x.jpg", save_turned),
        ("picture.extreme_aspect", "warning", "x.png", lambda path: photo(50, (600, 150)).save(path)),
        ("picture.compressed", "warning", "x.jpg", lambda path: photo(50).save(path, quality=20)),
        ("picture.compressed", "warning", "x.png", save_blocky),
        (
            "picture.borders",
            "warning",
            "x.png",
            lambda path: ImageOps.expand(photo(50), (0, 80), "black").save(path),
        ),
        ("picture.blurred", "warning", "x.png", lambda path: photo(50).filter(ImageFilter.GaussianBlur(4)).save(path)),
        ("picture.noisy", "warning", "x.png", lambda path: noisy(photo(50), 25).save(path)),
        (
            "picture.overexposed",
            "warning",
            "x.png",
            lambda path: photo(50).point([min(255, 3 * level) for level in range(256)] * 3).save(path),
        ),
        (
            "picture.underexposed",
            "warning",
            "x.png",
            lambda path: photo(50).point([max(0, 2 * level - 340) for level in range(256)] * 3).save(path),
        ),
    ],
)
def test_a_picture_with_a_defect_is_named_for_it_and_no_other(
    folder: Path, code: str, severity: str, name: str, save: Callable[[Path], None]
) -> None:
    save(folder / name)
    report = look(folder)
    assert codes(report) - {"picture.outlier"} == {code}
    found = finding(report, code)
    assert (found.severity, found.path) == (severity, str(folder / name))
    assert name in found.what
    assert "00.png" not in found.what


def test_the_grain_of_a_film_is_named_like_noise(tmp_path: Path) -> None:
    def clean(seed: int) -> Image.Image:
        return photo(seed).filter(ImageFilter.GaussianBlur(1))

    write_set(tmp_path, clean)
    # Coarser than a pixel: between neighbours there is next to nothing of it.
    grain = noisy(Image.new("RGB", clean(50).size, (128, 128, 128)), 40).filter(ImageFilter.GaussianBlur(0.8))
    ImageChops.add(clean(50), grain, offset=-128).save(tmp_path / "x.png")
    assert finding(look(tmp_path), "picture.noisy").what.startswith("1 picture is far noisier")


def test_alpha_that_the_config_takes_for_a_mask_is_not_complained_of(folder: Path) -> None:
    save_transparent(folder / "x.png")
    assert codes(look(folder, alpha_masked={0})) == set()


def test_blocks_that_shrink_to_nothing_are_not_complained_of(folder: Path) -> None:
    photo(50).save(folder / "x.jpg", quality=20)
    assert codes(look(folder, resolution=(96, 96))) == set()
    assert codes(look(folder, resolution=(288, 288))) == {"picture.compressed"}


def test_bars_are_told_with_their_sides_and_pixels(folder: Path) -> None:
    ImageOps.expand(photo(50), (0, 80), "black").save(folder / "x.png")
    assert "x.png (top ≈80, bottom ≈80 px)" in finding(look(folder), "picture.borders").what


def test_of_a_folder_by_itself_the_small_pictures_are_counted_for_the_usual_resolutions(tmp_path: Path) -> None:
    for name, side in (("a", 300), ("b", 800), ("c", 1024)):
        photo(len(name), (side, side)).save(tmp_path / f"{name}.png")
    found = finding(look(tmp_path), "picture.small")
    assert "1 for SD 1.5 (512x512), 2 for SDXL (1024x1024)" in found.what
    assert "a.png (300x300) would be enlarged 1.7 times" in found.what
    # A config says its resolution, and its pictures are judged by that elsewhere.
    assert "picture.small" not in {each.code for each in look(tmp_path, resolution=(512, 512)).findings}


# --- pictures that are there more than once ---------------------------------------------------------------------------


def test_the_same_file_twice_is_a_duplicate(folder: Path) -> None:
    (folder / "copy.png").write_bytes((folder / "03.png").read_bytes())
    report = look(folder)
    assert codes(report) == {"picture.duplicate"}
    assert "03.png = copy.png" in finding(report, "picture.duplicate").what


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: picture.resize((300, 300)),
        lambda picture: picture.point([min(255, level + 25) for level in range(256)] * 3),
        lambda picture: picture.crop((3, 3, 286, 286)),
        lambda picture: picture.filter(ImageFilter.GaussianBlur(1)),
    ],
    ids=["smaller", "brighter", "cropped", "softer"],
)
def test_a_copy_that_was_changed_a_little_is_a_near_duplicate(
    folder: Path, change: Callable[[Image.Image], Image.Image]
) -> None:
    change(photo(3)).save(folder / "x.jpg", quality=85)
    report = look(folder)
    assert codes(report) == {"picture.near_duplicate"}
    assert "03.png = x.jpg" in finding(report, "picture.near_duplicate").what


def test_a_mirror_image_is_told_apart_from_a_copy(folder: Path) -> None:
    ImageOps.mirror(photo(3)).save(folder / "x.png")
    report = look(folder)
    assert codes(report) == {"picture.mirrored"}
    assert "03.png = x.png" in finding(report, "picture.mirrored").what


def test_one_outline_in_other_colours_is_another_picture(folder: Path) -> None:
    red, green, blue = photo(3).split()
    Image.merge("RGB", (blue, red, green)).save(folder / "x.png")
    assert "picture.near_duplicate" not in codes(look(folder))


def test_a_training_picture_among_those_for_regularisation_is_told(tmp_path: Path) -> None:
    pictures = []
    for seed in range(6):
        path = tmp_path / f"{seed}.png"
        photo(seed).save(path)
        pictures.append(Picture(path=path, name=path.name, width=288, height=288, caption="", is_reg=seed > 2))
    same, near = tmp_path / "same.png", tmp_path / "near.jpg"
    photo(0).save(same)
    photo(1).save(near, quality=80)
    pictures += [
        Picture(path=path, name=path.name, width=288, height=288, caption="", is_reg=True) for path in (same, near)
    ]
    what = finding(look_at_pictures(pictures), "picture.duplicate_in_reg").what
    assert "0.png = same.png" in what
    assert "1.png = near.jpg" in what


def test_two_blurred_pictures_of_one_name_are_both_named(folder: Path, tmp_path: Path) -> None:
    pictures = list(scan(folder).pictures)
    for name in ("one", "other"):
        path = tmp_path / name / "x.png"
        path.parent.mkdir()
        photo(50).filter(ImageFilter.GaussianBlur(4)).save(path)
        pictures.append(Picture(path=path, name="x.png", width=288, height=288, caption=""))
    assert finding(look_at_pictures(pictures), "picture.blurred").what.startswith("2 pictures are far less sharp")


# --- the set ----------------------------------------------------------------------------------------------------------


def test_a_picture_unlike_any_other_is_named(tmp_path: Path) -> None:
    write_set(tmp_path, night)
    photo(1).save(tmp_path / "x.png")
    assert "x.png" in finding(look(tmp_path), "picture.outlier").what


def test_variety_is_less_where_pictures_are_alike(tmp_path: Path) -> None:
    def variety(draw: Callable[[int], Image.Image], name: str) -> float:
        write_set(tmp_path / name, draw)
        return float(finding(look(tmp_path / name), "picture.variety").what.split()[1].rstrip(":"))

    assert variety(night, "night") < variety(product, "product") < variety(photo, "photos")


def test_the_frames_of_a_film_are_one_group_and_none_of_them_an_outlier(tmp_path: Path) -> None:
    for frame in range(20):
        picture = photo(1)
        picture.paste((frame, 90, 200), (0, 0, 8, 8))
        picture.save(tmp_path / f"{frame:02}.png")
    photo(2).save(tmp_path / "x.png")
    report = look(tmp_path)
    assert codes(report) == {"picture.near_duplicate"}
    assert "once: 00.png = 01.png = 02.png = 03.png ..." in finding(report, "picture.near_duplicate").what


def test_a_file_in_two_datasets_is_looked_at_once(tmp_path: Path) -> None:
    photo(1).save(tmp_path / "a.png")
    (one,) = scan(tmp_path).pictures
    report = look_at_pictures([one, one])
    assert len(report.records) == 1
    assert codes(report) == set()


def test_facts_arrive_in_the_order_of_the_files_with_their_progress(photos: Path) -> None:
    seen: list[tuple[int, int]] = []
    paths = sorted(photos.iterdir())
    facts = measure_all([Wanted(path) for path in paths], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 10) for number in range(1, 11)]
    again = measure_all([Wanted(path) for path in reversed(paths)])
    assert facts == again[::-1]
    assert len({each.sha256 for each in facts}) == 10


def test_each_fault_has_a_code_of_its_own() -> None:
    assert len(set(CODES)) == len(Fault)
