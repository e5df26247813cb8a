"""What one file is found to be: every defect is made for real, and files without one show none."""

import io
import random
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageDraw

from loratui.preflight.facts import Fault, PictureFacts
from loratui.preflight.measure import measure
from support.drawn_pictures import line_art, night, photo, product, soft


def saved(picture: Image.Image, path: Path, **options: object) -> Path:
    picture.save(path, **options)
    return path


def cut(path: Path, share: float) -> Path:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


# --- files that are no pictures ---------------------------------------------------------------------------------------


def test_a_file_without_bytes_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    assert measure(tmp_path / "a.png").fault is Fault.EMPTY


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.98])
@pytest.mark.parametrize("name", ["a.jpg", "progressive.jpg", "a.png", "a.webp", "lossless.webp", "a.bmp"])
def test_a_file_without_its_end_is_truncated_wherever_it_is_cut(tmp_path: Path, name: str, share: float) -> None:
    options = {"progressive.jpg": {"progressive": True}, "lossless.webp": {"lossless": True}}.get(name, {})
    # A JPEG is so large that it is decoded at a fraction of its size, which must still read it to its end.
    size = (1600, 1540) if name.endswith(".jpg") else (160, 120)
    whole = saved(photo(1, (400, 385)).resize(size), tmp_path / name, **options)
    assert measure(whole).fault is None
    assert measure(cut(whole, share)).fault is Fault.TRUNCATED


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp41", "a video"),
        (b"\xff\x0a\x00\x10", "JPEG XL"),
        (b"GIF89a\x10\0\x10\0", "GIF"),
        (b"\n <!DOCTYPE html><html>404", "a web page"),
        (b'<?xml version="1.0"?><svg xmlns="x">', "SVG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    ],
)
def test_a_file_of_another_kind_is_named_by_its_contents(tmp_path: Path, head: bytes, kind: str) -> None:
    (tmp_path / "a.jpg").write_bytes(head + bytes(100))
    facts = measure(tmp_path / "a.jpg")
    assert (facts.fault, facts.why) == (Fault.OTHER_KIND, kind)


def test_a_real_gif_and_avif_under_the_name_of_a_jpeg_are_of_another_kind(tmp_path: Path) -> None:
    for kind in ("GIF", "AVIF"):
        photo(1, (64, 64)).save(tmp_path / "a.jpg", format=kind)
        assert measure(tmp_path / "a.jpg").why == kind


def test_a_name_that_says_another_of_the_kinds_that_are_read_does_no_harm(tmp_path: Path) -> None:
    photo(1, (64, 64)).save(tmp_path / "a.jpg", format="PNG")
    assert (measure(tmp_path / "a.jpg").fault, measure(tmp_path / "a.jpg").kind) == (None, "PNG")


def declared(width: int, height: int) -> bytes:
    """Return a PNG that declares a size and has next to no data."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rows + chunk(b"IEND", b"")


def test_a_picture_that_declares_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(declared(60_000, 60_000))
    facts = measure(tmp_path / "a.png")
    assert facts.fault is Fault.TOO_LARGE
    assert "decompression bomb" in facts.why


def test_a_folder_and_a_file_that_is_not_there_are_faults_too(tmp_path: Path) -> None:
    assert measure(tmp_path).fault is Fault.UNDECODABLE
    assert measure(tmp_path / "gone.png").fault is Fault.UNDECODABLE


# --- what kind of picture it is ---------------------------------------------------------------------------------------


def test_the_size_is_that_of_the_picture_as_seen(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    facts = measure(saved(photo(1, (1600, 1200)), tmp_path / "a.jpg", exif=exif))
    assert (facts.width, facts.height, facts.is_turned) == (1200, 1600, True)
    assert not measure(saved(photo(1, (64, 64)), tmp_path / "b.jpg")).is_turned


def test_a_turned_picture_is_looked_at_as_training_turns_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = photo(1)
    lying = saved(picture.transpose(Image.Transpose.ROTATE_90), tmp_path / "lying.png", exif=exif)
    upright = saved(picture, tmp_path / "upright.png")
    assert measure(lying).pixels == measure(upright).pixels


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_frames_are_counted(tmp_path: Path, suffix: str) -> None:
    frames = [photo(seed, (64, 64)) for seed in range(3)]
    path = saved(frames[0], tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:], duration=100)
    assert measure(path).num_frames == 3


def test_a_camera_s_preview_inside_a_jpeg_is_no_animation(tmp_path: Path) -> None:
    frames = [photo(seed, (64, 64)) for seed in range(2)]
    path = tmp_path / "a.jpg"
    frames[0].save(path, format="MPO", save_all=True, append_images=frames[1:])
    facts = measure(path)
    assert (facts.kind, facts.num_frames, facts.fault) == ("JPEG", 1, None)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_is_told_and_what_training_can_show_is_looked_at(tmp_path: Path, mode: str) -> None:
    name = "a.jpg" if mode == "CMYK" else "a.png"
    picture = Image.new("I;16", (64, 64), 30_000) if mode == "I;16" else photo(1, (64, 64)).convert(mode)
    facts = measure(saved(picture, tmp_path / name))
    assert (facts.fault, facts.mode) == (None, mode)
    assert (facts.pixels is None) == (mode == "I;16")


def test_what_is_transparent_is_measured_and_looked_at_on_white(tmp_path: Path) -> None:
    picture = photo(1).convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 288, 72))
    facts = measure(saved(picture, tmp_path / "a.png"))
    assert facts.has_alpha
    assert facts.transparent_share == pytest.approx(0.25, abs=0.01)
    assert facts.pixels is not None
    assert facts.pixels.thumb[:3] == (255, 255, 255)
    opaque = measure(saved(photo(1).convert("RGBA"), tmp_path / "b.png"))
    assert (opaque.has_alpha, opaque.transparent_share) == (True, 0.0)


def profile(red: float) -> bytes:
    """Return a profile whose red primary is moved by so much."""
    plain = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    at = plain.index(b"rXYZ")
    (offset,) = struct.unpack_from(">I", plain, at + 4)
    (value,) = struct.unpack_from(">i", plain, offset + 8)
    struct.pack_into(">i", plain, offset + 8, value + round(red * 65536))
    return bytes(plain)


def test_a_profile_far_from_srgb_is_told_and_srgb_or_a_damaged_one_is_not(tmp_path: Path) -> None:
    def is_wide(icc_profile: bytes) -> bool:
        facts = measure(saved(photo(1, (64, 64)), tmp_path / "a.png", icc_profile=icc_profile))
        assert facts.fault is None
        return facts.wide_gamut

    assert not is_wide(profile(0))
    # As far as Display P3 and Adobe RGB are.
    assert not is_wide(profile(0.08))
    assert is_wide(profile(0.17))
    assert not is_wide(profile(0.17)[:140])
    assert not is_wide(b"\xff" * 200)


# --- what its pixels show ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [20, 50, 75, 95])
def test_the_quality_of_a_jpeg_is_estimated_from_its_tables(tmp_path: Path, quality: int) -> None:
    facts = measure(saved(photo(1), tmp_path / "a.jpg", quality=quality))
    assert facts.jpeg_quality == pytest.approx(quality, abs=3)


def test_blocks_of_an_earlier_jpeg_show_in_a_png_and_nothing_else_looks_like_them(tmp_path: Path) -> None:
    def blocking(picture: Image.Image) -> float:
        found = measure(saved(picture, tmp_path / "a.png")).blocking
        assert found is not None
        return found

    poor = io.BytesIO()
    photo(1).save(poor, "JPEG", quality=10)
    again = Image.open(poor).convert("RGB")
    assert blocking(again) > 2
    assert blocking(again.crop((3, 5, 286, 286))) > 2
    for draw in (photo, soft, line_art, night, product):
        assert max(blocking(draw(seed)) for seed in range(6)) < 1.3, draw


def framed(picture: Image.Image, colour: object, left: int, top: int, right: int, bottom: int) -> Image.Image:
    frame = Image.new("RGB", (picture.width + left + right, picture.height + top + bottom), colour)
    frame.paste(picture, (left, top))
    return frame


@pytest.mark.parametrize("colour", ["black", "white", (90, 30, 120)])
@pytest.mark.parametrize("bars", [(0, 60, 0, 64), (80, 0, 90, 0), (30, 40, 30, 40)])
def test_bars_are_measured(tmp_path: Path, colour: object, bars: tuple[int, int, int, int]) -> None:
    for quality in (75, 95):
        path = saved(framed(photo(2), colour, *bars), tmp_path / "a.jpg", quality=quality)
        pixels = measure(path).pixels
        assert pixels is not None
        assert pixels.borders == pytest.approx(bars, abs=4)


@pytest.mark.parametrize("draw", [photo, soft, line_art, night, product])
def test_no_style_is_taken_for_one_with_bars(tmp_path: Path, draw) -> None:
    for seed in range(5):
        pixels = measure(saved(draw(seed), tmp_path / "a.png")).pixels
        assert pixels is not None
        assert pixels.borders == (0, 0, 0, 0), seed


def test_a_sky_that_fades_is_no_bar_and_neither_is_one_plain_side_or_a_line_around_a_drawing(tmp_path: Path) -> None:
    fading = Image.merge("RGB", [Image.linear_gradient("L").resize((512, 512))] * 3)
    one_sided = framed(photo(2), "white", 0, 100, 0, 0)
    drawing = line_art(1)
    ImageDraw.Draw(drawing).rectangle((30, 30, drawing.width - 30, drawing.height - 30), outline="black", width=4)
    for picture in (fading, one_sided, drawing, Image.new("RGB", (64, 64), "red")):
        pixels = measure(saved(picture, tmp_path / "a.png")).pixels
        assert pixels is not None
        assert pixels.borders == (0, 0, 0, 0)


def test_a_white_ground_is_not_burnt_out_and_a_burnt_sky_is(tmp_path: Path) -> None:
    def white_share(picture: Image.Image) -> float:
        pixels = measure(saved(picture, tmp_path / "a.png")).pixels
        assert pixels is not None
        return pixels.white_share

    assert white_share(product(1)) == 0
    assert white_share(line_art(1)) == 0
    burnt = photo(1)
    burnt.paste("white", (0, 0, 288, 180))
    assert white_share(burnt) == pytest.approx(180 / 288, abs=0.01)


# --- files that somebody made to do harm, or a disk has damaged -------------------------------------------------------


def decodes(path: Path) -> bool:
    """Return whether the trainer's way of opening a picture succeeds."""
    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP", "BMP")) as picture:
            picture.load()
    except Exception:  # noqa: BLE001  whatever it is, it can't be decoded
        return False
    return True


WHOLE: dict[str, bytes] = {}
for _kind in ("JPEG", "PNG", "WEBP", "BMP"):
    _file = io.BytesIO()
    photo(3, (96, 80)).save(_file, _kind)
    WHOLE[_kind] = _file.getvalue()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(WHOLE)),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=6),
    end=st.floats(0, 1),
    tail=st.binary(max_size=40),
)
def test_damaged_files_raise_nothing_and_pass_only_if_they_can_be_decoded(tmp_path, kind, flips, end, tail) -> None:
    damaged = bytearray(WHOLE[kind])
    for place, change in flips:
        # Half of them in the first bytes, where sizes and tables are.
        at = int(place * (len(damaged) if change % 2 else min(200, len(damaged))))
        damaged[at] ^= change
    path = tmp_path / "a.png"
    path.write_bytes(bytes(damaged[: round(len(damaged) * end)]) + tail)
    facts = measure(path)
    assert isinstance(facts, PictureFacts)
    if not decodes(path):
        assert facts.fault is not None


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), head=st.sampled_from([b"", *(whole[:60] for whole in WHOLE.values()), b"GIF89a"]))
def test_bytes_that_are_no_picture_are_a_fault(tmp_path, data, head) -> None:
    path = tmp_path / "a.webp"
    path.write_bytes(head + data)
    if not decodes(path):
        assert measure(path).fault is not None


def test_one_file_that_is_two_things_is_what_it_decodes_to(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(WHOLE["JPEG"] + b"PK\x03\x04" + random.Random(0).randbytes(500))
    assert (measure(path).fault, measure(path).kind) == (None, "JPEG")
    path.write_bytes(b"GIF89a" + WHOLE["JPEG"])
    assert measure(path).fault is Fault.OTHER_KIND


def test_a_mask_is_decoded_and_no_more(tmp_path: Path) -> None:
    path = saved(photo(1), tmp_path / "a.png")
    assert measure(path, is_mask=True).pixels is None
    assert measure(cut(path, 0.5), is_mask=True).fault is Fault.TRUNCATED
