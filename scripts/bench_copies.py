"""What do smaller copies save of an upload, and how long do they take? Exits 1 when a gate is missed.

    python scripts/bench_copies.py [--pictures N]

Draws JPEGs of 12 megapixels (fractal noise with grain, for no photographs are ours to ship), about as large as those of
a phone, and makes copies of them at the resolutions of SD 1.5 and SDXL, each in a fresh process.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import Figure
from PIL import Image, ImageChops

from loratui.sessions.copies import make_copies
from loratui_protocol.config import TrainingConfig

NUM_PICTURES = 6
SIZE = (4032, 3024)
JPEG_QUALITY = 90
_GRAIN = 16
MAX_SHARE = 0.5
MAX_CPU_S = 1.0
"""A picture: that of one core, which does not depend on what else the machine does."""
MAX_RSS_MB = 300


def draw(rng: random.Random) -> Image.Image:
    """Return a picture with as much in it at every scale as a photograph has, and a sensor's grain."""
    channels = []
    for _ in range(3):
        channel = Image.new("L", SIZE, 128)
        for octave in range(1, 11):
            across = 2**octave
            layer = Image.frombytes("L", (across, across), rng.randbytes(across * across))
            layer = layer.resize(SIZE, Image.Resampling.BICUBIC).point(lambda value, n=octave: (value - 128) / n + 128)
            channel = Image.blend(channel, ImageChops.add(channel, layer, 1, -128), 0.6)
        channels.append(ImageChops.add(channel, Image.effect_noise(SIZE, _GRAIN), 1, -128))
    return Image.merge("RGB", channels)


def child(folder: Path, cache: Path, side: int) -> None:
    """Make the copies and print what they came to."""
    config = TrainingConfig(
        pretrained_model_name_or_path="builtin:tiny", train_data_dir=str(folder), resolution=(side, side)
    )
    started_s = time.process_time()
    copies = make_copies(config, cache)
    took_s = time.process_time() - started_s
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps([copies.original_bytes, copies.bytes, copies.num_copied, took_s, rss_mb]))


def main() -> int:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=NUM_PICTURES)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        folder, cache, side = arguments.child
        child(Path(folder), Path(cache), int(side))
        return 0
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder, "pictures")
        pictures.mkdir()
        rng = random.Random(0)
        for index in range(arguments.pictures):
            draw(rng).save(pictures / f"{index}.jpg", quality=JPEG_QUALITY)
        for side in (512, 1024):
            for again in (False, True):
                argv = [sys.executable, __file__, "--child", str(pictures), f"{folder}/copies", str(side)]
                told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
                before, after, num_copied, took_s, rss_mb = json.loads(told)
                each_s = took_s / arguments.pictures
                if again:
                    print(f"  {side}: found again in {took_s:.1f} s of one core")
                    continue
                print(
                    f"  {side}: {arguments.pictures} pictures, {num_copied} as copies: {after / 1e6:.1f} MB instead of "
                    f"{before / 1e6:.1f} MB, made in {took_s:.1f} s of one core"
                )
                figures += [
                    Figure(f"{side}: bytes of the copies over those of the originals", after / before, "x", MAX_SHARE),
                    Figure(f"{side}: time of one core a picture", each_s, "s", MAX_CPU_S),
                    Figure(f"{side}: memory", rss_mb, "MB", MAX_RSS_MB),
                ]
    for figure in figures:
        print(figure)
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
