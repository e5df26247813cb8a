"""How long ``loratui check`` takes to look at pictures, and how much memory all its processes hold meanwhile.

    python scripts/bench_check.py [--photos N] [--small N]

Makes JPEGs of 12 megapixels, as large as a camera's (500 of them: about 2 GB in the temporary folder), and pictures of
1024 pixels, half of them PNG. Resident memory counts what processes share as often as they share it. Exits 1 when a
gate is missed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from figures import Figure
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import to_toml

PHOTO_PX = (4000, 3000)
NUM_VARIANTS = 8
LOOK_EVERY_S = 0.02


def scene(seed: int, size: tuple[int, int]) -> Image.Image:
    """Return something as hard to compress as a photograph: slopes, edges and grain."""
    slopes = [Image.linear_gradient("L").rotate(90 * (seed + turn)).resize(size) for turn in range(3)]
    picture = Image.merge("RGB", slopes)
    draw = ImageDraw.Draw(picture)
    for number in range(30):
        x, y = size[0] * (number * 37 % 100) // 100, size[1] * (number * (seed + 3) * 13 % 100) // 100
        side = size[0] // (8 + number)
        draw.ellipse((x, y, x + side, y + side), fill=(number * 8, (seed * 50) % 255, 255 - number * 8))
    grain = Image.effect_noise(size, 60).filter(ImageFilter.BoxBlur(0.6))
    return ImageChops.overlay(picture, Image.merge("RGB", [grain] * 3))


def write_photos(folder: Path, number: int) -> int:
    """Write JPEGs of 12 megapixels that differ in a corner; return the bytes of all."""
    folder.mkdir()
    scenes = [scene(seed, PHOTO_PX) for seed in range(min(number, NUM_VARIANTS))]
    for index in range(number):
        picture = scenes[index % len(scenes)]
        # Each of them once, or they would be the same file under many names.
        picture.paste((index % 256, index // 256, 90), (0, 0, 64, 64))
        picture.save(folder / f"{index:03}.jpg", quality=92)
        (folder / f"{index:03}.txt").write_text("a photograph", "utf-8")
    return sum(path.stat().st_size for path in folder.iterdir())


def write_small(folder: Path, number: int) -> None:
    """Write pictures of 1024 pixels, PNG and JPEG by turns, all different."""
    folder.mkdir()
    for index in range(number):
        suffix = ("png", "jpg")[index % 2]
        scene(index, (1024, 1024)).save(folder / f"{index:03}.{suffix}")
        (folder / f"{index:03}.txt").write_text("a picture", "utf-8")


def check(folder: Path) -> tuple[float, float]:
    """Run ``loratui check`` on a config of the folder; return seconds and the most MB that it held at once."""
    config = TrainingConfig(
        pretrained_model_name_or_path="builtin:tiny",
        train_data_dir=str(folder),
        resolution=(1024, 1024),
        max_bucket_reso=2048,
    )
    path = folder.with_suffix(".toml")
    path.write_text(to_toml(config), "utf-8")
    most = 0
    start_s = time.perf_counter()
    argv = [sys.executable, "-m", "loratui.cli", "check", str(path), "--json"]
    own = {name: str(folder.parent / "loratui") for name in ("LORATUI_STATE_DIR", "LORATUI_CONFIG_DIR")}
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, env={**os.environ, **own}) as process:
        tree = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                held = sum(each.memory_info().rss for each in [tree, *tree.children(recursive=True)])
            except psutil.NoSuchProcess:
                continue
            most = max(most, held)
            time.sleep(LOOK_EVERY_S)
    took_s = time.perf_counter() - start_s
    assert process.returncode == 0, process.returncode
    return took_s, most / 1e6


def main() -> int:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--small", type=int, default=50)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        num_bytes = write_photos(Path(temporary) / "photos", arguments.photos)
        write_small(Path(temporary) / "small", arguments.small)
        each = num_bytes / arguments.photos / 1e6
        load = f"{psutil.getloadavg()[0]:.1f} on {psutil.cpu_count()} cores"
        print(f"  load on this machine before: {load}; {each:.1f} MB a JPEG")
        small_s, small_mb = min(check(Path(temporary) / "small") for _ in range(3))
        photos_s, photos_mb = check(Path(temporary) / "photos")
    figures = [
        Figure(f"{arguments.small} pictures of 1024 px, the whole command, best of 3", small_s, "s", 2.0),
        Figure("most memory of all its processes meanwhile", small_mb, "MB", 300),
        Figure(f"{arguments.photos} JPEGs of 12 MP, the whole command", photos_s, "s", 60.0),
        Figure("most memory of all its processes meanwhile", photos_mb, "MB", 300),
    ]
    for figure in figures:
        print(figure)
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
