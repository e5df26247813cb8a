"""Smaller copies of pictures: what the trainer sees of them, when there are none, and how they are kept."""

import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from loratui.sessions import copy_cache
from loratui.sessions.copies import NO_COPIES, Copies, make_copies
from loratui.sessions.supply import Supply, changed_pictures, plan_supply, supply_size
from loratui_protocol.buckets import Placement
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import Picture, fingerprint, scan_config
from loratui_protocol.inputs import EnvironmentKind, EnvironmentSpec
from loratui_protocol.originals import originals_of
from loratui_protocol.plan import plan
from loratui_protocol.subsets import DatasetConfig, Subset, subsets_of
from support.local_box import at_the_box
from support.small_dataset import small_config

ENVIRONMENT = EnvironmentSpec(kind=EnvironmentKind.AGENT)
ORIENTATION = 0x0112


def noisy(width: int, height: int, seed: int = 0) -> Image.Image:
    """Return a picture that no format makes small; no two rows or columns are alike."""
    return Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(3 * width * height))


def saved(picture: Image.Image, path: Path, kind: str, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, kind, **options)
    path.with_suffix(".txt").write_text(f"a cat, {path.stem}")


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def cut_out(picture: Image.Image) -> Image.Image:
    cut = picture.convert("RGBA")
    cut.putalpha(noisy(*picture.size, seed=1).getchannel("R"))
    return cut


def lossless(picture: Image.Image, path: Path, **options: object) -> None:
    saved(picture, path, "WEBP", lossless=True, method=0, quality=0, **options)


def of_all_kinds(folder: Path) -> Path:
    """Write a picture of each kind that a dataset may have; return the parent of their folder."""
    concept = folder / "set" / "1_cat"
    wide, tall = noisy(417, 305), noisy(263, 511)
    for orientation in range(1, 9):
        saved(wide, concept / f"jpeg {orientation}.jpg", "JPEG", quality=95, exif=turned(orientation))
    saved(tall, concept / "turned.png", "PNG", exif=turned(6))
    lossless(wide, concept / "turned.webp", exif=turned(8))
    saved(tall.convert("L"), concept / "grey.jpeg", "JPEG", quality=100)
    saved(wide.convert("CMYK"), concept / "cmyk.jpg", "JPEG", quality=95)
    saved(tall, concept / "plain.bmp", "BMP")
    saved(cut_out(wide), concept / "cut out.png", "PNG")
    lossless(cut_out(tall), concept / "cut out.webp")
    saved(cut_out(tall).convert("LA"), concept / "grey cut out.png", "PNG")
    coloured = noisy(617, 505).quantize(256)
    saved(coloured, concept / "palette.png", "PNG")
    saved(coloured, concept / "palette, see-through.png", "PNG", transparency=7)
    saved(wide, concept / "one colour see-through.png", "PNG", transparency=wide.getpixel((3, 3)))
    deep = Image.frombytes("I;16", (411, 307), random.Random(2).randbytes(2 * 411 * 307))
    saved(deep, concept / "deep.png", "PNG")
    saved(noisy(1217, 1013).convert("1"), concept / "bits.png", "PNG")
    saved(wide, concept / "animated.png", "PNG", save_all=True, append_images=[noisy(417, 305, 3)])
    lossless(wide, concept / "animated.webp", save_all=True, append_images=[noisy(417, 305, 3)])
    return folder / "set"


def as_trained(picture: Picture, placement: Placement) -> bytes:
    """Return what the trainer has to learn of a picture, step by step."""
    with Image.open(picture.path) as opened:
        upright = ImageOps.exif_transpose(opened)
    if upright.has_transparency_data:
        white = Image.new("RGBA", upright.size, (255, 255, 255, 255))
        upright = Image.alpha_composite(white, upright.convert("RGBA"))
    return upright.convert("RGB").resize(placement.resized, Image.Resampling.LANCZOS).crop(placement.crop).tobytes()


def with_copies(config: TrainingConfig, folder: Path) -> tuple[Supply, Copies]:
    copies = make_copies(config, folder / "copies")
    return plan_supply(config, environment=ENVIRONMENT, copies=copies.by_original), copies


@pytest.mark.torch
@pytest.mark.parametrize(
    "changes",
    [
        {"resolution": (128, 128), "bucket_reso_steps": 32, "min_bucket_reso": 64},
        {"resolution": (128, 128), "bucket_reso_steps": 8, "bucket_no_upscale": True},
        {"resolution": (96, 128), "enable_bucket": False},
    ],
)
async def test_the_trainer_learns_the_same_pixels_of_copies_of_every_kind_of_picture(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    from loratui_agent.train.conditioning import time_ids
    from loratui_agent.train.latents import load_picture

    config = small_config(of_all_kinds(tmp_path), **changes)
    supply, copies = with_copies(config, tmp_path)
    there, folder = await at_the_box(supply, tmp_path / "home")
    here, arrived = scan_config(config), scan_config(there, verify=True, originals=originals_of(folder))
    pairs = list(zip(here.pictures, plan(config, here.pictures).placements, strict=True))
    received = list(zip(arrived.pictures, plan(there, arrived.pictures).placements, strict=True))
    assert {each.name for each in here.pictures if each.path not in copies.by_original} == set()
    assert len(pairs) == len(received) == copies.num_pictures == copies.num_copied == 23
    for (original, placement), (copy, placed) in zip(pairs, received, strict=True):
        assert (original.name, original.caption) == (copy.name, copy.caption)
        assert copy.path.stat().st_size < 0.7 * original.path.stat().st_size
        with Image.open(copy.path) as opened:
            assert opened.size == placement.bucket
        assert placed == placement
        # What SDXL is told.
        assert time_ids(copy, placed, mirrored=True) == time_ids(original, placement, mirrored=True)
        learned = load_picture(copy, placed)
        assert learned.equal(load_picture(original, placement)), original.name
        told = as_trained(original, placement)
        assert bytes(((learned.permute(1, 2, 0) + 1) * 127.5).round().byte().flatten().tolist()) == told, original.name
    assert [each.code for each in arrived.findings] == [each.code for each in here.findings]
    assert fingerprint(arrived) == fingerprint(here) != fingerprint(scan_config(there))
    assert changed_pictures(config, supply) == []
    assert Supply.from_json(supply.to_json()) == supply


def masked_set(folder: Path, num_pictures: int = 3) -> tuple[Path, Path]:
    pictures, masks = folder / "set", folder / "masks"
    for index in range(num_pictures):
        saved(noisy(417, 305 + 60 * index, index), pictures / "1_cat" / f"{index}.png", "PNG")
        masks.mkdir(exist_ok=True)
        # Of another size, as masks are.
        Image.linear_gradient("L").resize((208, 152 + 30 * index)).save(masks / f"{index}.png")
    return pictures, masks


@pytest.mark.torch
async def test_a_mask_is_copied_with_its_picture_and_shows_the_same(tmp_path: Path) -> None:
    from loratui_agent.train.latents import load_mask

    pictures, masks = masked_set(tmp_path)
    config = small_config(pictures, resolution=(128, 128), masked_loss=True, conditioning_data_dir=str(masks))
    supply, copies = with_copies(config, tmp_path)
    assert (copies.num_copied, len(copies.by_original)) == (3, 6)
    there, folder = await at_the_box(supply, tmp_path / "home")
    here, arrived = scan_config(config), scan_config(there, originals=originals_of(folder))
    placements = zip(plan(config, here.pictures).placements, plan(there, arrived.pictures).placements, strict=True)
    for original, copy, (placement, placed) in zip(here.pictures, arrived.pictures, placements, strict=True):
        expected = load_mask(original, placement, alpha=False)
        assert expected.unique().numel() > 100
        assert load_mask(copy, placed, alpha=False).equal(expected)
    assert fingerprint(arrived) == fingerprint(here) != fingerprint(scan_config(there))
    (masks / "1.png").write_bytes((masks / "2.png").read_bytes())
    assert changed_pictures(config, supply) == ["mask/1.png"]


def test_of_pictures_that_share_a_mask_or_are_one_the_originals_travel(tmp_path: Path) -> None:
    pictures, masks = masked_set(tmp_path)
    shutil.copytree(pictures / "1_cat", pictures / "2_dog")
    config = small_config(pictures, resolution=(128, 128), masked_loss=True, conditioning_data_dir=str(masks))
    assert make_copies(config, tmp_path / "copies").num_copied == 0
    itself = dataclasses.replace(config, conditioning_data_dir=str(pictures))
    assert make_copies(itself, tmp_path / "copies").num_copied == 0
    assert make_copies(dataclasses.replace(itself, masked_loss=False), tmp_path / "copies").num_copied == 6


def test_a_picture_whose_transparency_is_its_mask_has_no_copy_unless_all_of_it_is_opaque(tmp_path: Path) -> None:
    concept = tmp_path / "set" / "1_cat"
    saved(cut_out(noisy(417, 305)), concept / "cut out.png", "PNG")
    saved(noisy(417, 305), concept / "whole.png", "PNG")
    config = small_config(tmp_path / "set", resolution=(128, 128), alpha_mask=True)
    copied = make_copies(config, tmp_path / "copies")
    assert [path.name for path in copied.by_original] == ["whole.png"]
    plain = make_copies(dataclasses.replace(config, alpha_mask=False), tmp_path / "copies")
    assert plain.num_copied == 2


def test_a_file_that_is_shown_at_two_sizes_travels_as_it_is_and_one_shown_twice_alike_as_one_copy(
    tmp_path: Path,
) -> None:
    for name in ("cats", "dogs"):
        saved(noisy(417, 305), tmp_path / name / "0.png", "PNG")
    cats, dogs = (Subset(image_dir=str(tmp_path / name)) for name in ("cats", "dogs"))
    small = {"resolution": (128, 128)}
    datasets = (
        DatasetConfig(subsets=(cats, dogs), settings=small),
        DatasetConfig(subsets=(cats,), settings={"resolution": (96, 96)}),
        DatasetConfig(subsets=(dogs,), settings=small),
    )
    config = dataclasses.replace(small_config(tmp_path), train_data_dir=None, datasets=datasets)
    assert len(subsets_of(config)) == 4
    copies = make_copies(config, tmp_path / "copies")
    assert list(copies.by_original) == [tmp_path / "dogs" / "0.png"]


def test_files_that_are_judged_need_no_pictures_to_be_copied(tmp_path: Path) -> None:
    config = small_config(tmp_path, train_data_dir=None, evaluate_loras=(str(tmp_path / "my.safetensors"),))
    assert make_copies(config, tmp_path / "copies") == NO_COPIES


def test_where_the_resolution_may_be_lowered_later_the_originals_travel(tmp_path: Path) -> None:
    saved(noisy(417, 305), tmp_path / "set" / "1_cat" / "0.bmp", "BMP")
    config = small_config(tmp_path / "set", resolution=(128, 128))
    assert make_copies(config, tmp_path / "copies").num_copied == 1
    assert make_copies(dataclasses.replace(config, min_resolution=64), tmp_path / "copies").num_copied == 0


def test_where_little_is_saved_or_a_file_is_damaged_the_original_travels_and_that_is_counted(tmp_path: Path) -> None:
    concept = tmp_path / "set" / "1_cat"
    saved(noisy(700, 700), concept / "large.jpg", "JPEG", quality=95)
    saved(noisy(280, 280), concept / "hardly larger.jpg", "JPEG", quality=100)
    saved(noisy(256, 256), concept / "as it is.png", "PNG")
    saved(noisy(180, 180), concept / "small.bmp", "BMP")
    saved(noisy(700, 700), concept / "cut short.png", "PNG")
    with (concept / "cut short.png").open("r+b") as file:
        file.truncate(700_000)
    told: list[tuple[int, int]] = []
    config = small_config(tmp_path / "set", resolution=(256, 256), bucket_no_upscale=True)
    copies = make_copies(config, tmp_path / "copies", lambda done, total: told.append((done, total)))
    assert [path.name for path in copies.by_original] == ["large.jpg"]
    assert told[-1] == (told[-1][0], told[-1][0])
    before = sum(path.stat().st_size for path in concept.iterdir() if path.suffix != ".txt")
    [copy] = copies.by_original.values()
    assert copies.original_bytes == before
    assert copies.bytes == before - (concept / "large.jpg").stat().st_size + copy.size
    assert copies.sentence.startswith("5 pictures, 1 as smaller copies: ")
    assert supply_size(config, None) - supply_size(config, None, copies.by_original) == before - copies.bytes


def test_a_copy_is_made_once_and_anew_when_its_picture_or_its_bucket_is_another(tmp_path: Path) -> None:
    path = tmp_path / "set" / "1_cat" / "0.png"
    saved(noisy(417, 305), path, "PNG")
    config = small_config(tmp_path / "set", resolution=(128, 128))

    def made(changed: TrainingConfig = config) -> tuple[Path, int]:
        [copy] = make_copies(changed, tmp_path / "copies").by_original.values()
        return copy.path, copy.path.stat().st_mtime_ns

    first = made()
    before = path.stat()
    assert made() == first
    assert made(dataclasses.replace(config, resolution=(96, 96)))[0] != first[0]
    saved(noisy(417, 305, 5), path, "PNG")
    # As a tool would leave it that keeps times; the size is the same, or nearly so.
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert made()[0] != first[0]
    assert first[0].exists()


def test_what_was_used_longest_ago_goes_first_and_what_an_upload_may_need_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ages_h = {"a.webp": 300, "b.webp": 200, "c.webp": 100, "d.webp": 1, "left.tmp": 100, "now.tmp": 0}
    for name, age_h in ages_h.items():
        (tmp_path / name).write_bytes(bytes(1000))
        os.utime(tmp_path / name, (time.time() - 3600 * age_h, 0))
    monkeypatch.setattr(copy_cache, "MAX_BYTES", 4000)
    copy_cache.CopyCache(tmp_path).prune()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.webp", "d.webp", "now.tmp"]
    monkeypatch.setattr(copy_cache, "MAX_BYTES", 0)
    copy_cache.CopyCache(tmp_path).prune()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.webp", "now.tmp"]


MAKING = """
import sys
from pathlib import Path
from loratui.sessions.copies import make_copies
from loratui_protocol.config_file import read_config
make_copies(read_config(Path(sys.argv[1])).config, Path(sys.argv[2]), lambda done, total: print(done, flush=True))
"""


def test_a_client_that_is_killed_leaves_no_half_copy(tmp_path: Path) -> None:
    for index in range(12):
        saved(noisy(900, 700, index), tmp_path / "set" / "1_cat" / f"{index}.bmp", "BMP")
    config = small_config(tmp_path / "set", resolution=(512, 512))
    job = tmp_path / "job.toml"
    job.write_text(f'pretrained_model_name_or_path = "builtin:tiny"\ntrain_data_dir = "{tmp_path / "set"}"\n')
    job.write_text(job.read_text() + "resolution = [512, 512]\nmax_train_steps = 1\n")
    argv = [sys.executable, "-c", MAKING, str(job), str(tmp_path / "copies")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as making:
        assert making.stdout is not None
        making.stdout.readline()
        making.send_signal(signal.SIGKILL)
    left = list((tmp_path / "copies").glob("*.webp"))
    assert 0 < len(left) < 12
    times = {path: path.stat().st_mtime_ns for path in left}
    for path in left:
        with Image.open(path) as opened:
            opened.load()
    copies = make_copies(config, tmp_path / "copies")
    assert copies.num_copied == 12
    kept = {copy.path: copy.path.stat().st_mtime_ns for copy in copies.by_original.values()}
    assert times.items() <= kept.items()


def test_where_no_copy_can_be_kept_the_originals_travel(tmp_path: Path) -> None:
    saved(noisy(417, 305), tmp_path / "set" / "1_cat" / "0.bmp", "BMP")
    (tmp_path / "copies").write_text("no folder")
    copies = make_copies(small_config(tmp_path / "set", resolution=(128, 128)), tmp_path / "copies")
    assert (copies.num_pictures, copies.num_copied) == (1, 0)
    assert copies.bytes == copies.original_bytes > 0
