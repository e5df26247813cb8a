"""Do the caches grow with the dataset by what they say, and by nothing else? Exits 1 when a gate is missed.

    python scripts/bench_cache.py [--pictures N]

Caches pictures of 128x128 with the built-in model's VAE in a fresh process, a quarter of them first, and compares the
growth of the resident memory over the rest with the stated bytes a picture.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from figures import Figure

from loratui_agent.demo.concept import DEMO, draw_concept
from loratui_agent.train import latents
from loratui_agent.train.models import load_models
from loratui_agent.train.run import resident_gib
from loratui_protocol.buckets import place
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import scan_config
from loratui_protocol.subsets import subsets_of

NUM_PICTURES = 2000
SIDE = 128
MAX_RATIO = 1.05


def child(folder: Path, num_pictures: int) -> None:
    """Cache the pictures and print how the resident memory grew over the last three quarters, and what was stated."""
    config = TrainingConfig(
        pretrained_model_name_or_path="builtin:tiny", train_data_dir=str(folder), resolution=(SIDE, SIDE)
    )
    (picture,) = scan_config(config).pictures
    placements = place([(picture.width, picture.height)], config)
    vae = load_models(config.pretrained_model_name_or_path, torch.float32).vae
    assert vae is not None
    seen: dict[int, float] = {}
    cache = latents.cache_latents(
        vae,
        [picture] * num_pictures,
        placements * num_pictures,
        subsets_of(config),
        on_progress=lambda done: seen.setdefault(done, resident_gib() * 2**30),
    )
    first = num_pictures // 4
    grown = (seen[num_pictures] - seen[first]) / (num_pictures - first)
    print(json.dumps({"grown": grown, "stated": cache.num_bytes / num_pictures}))


def main() -> int:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=NUM_PICTURES)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.pictures)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        draw_concept(random.Random(0), DEMO, "red").resize((SIDE, SIDE)).save(Path(folder) / "0.png")
        argv = [sys.executable, __file__, "--child", folder, "--pictures", str(arguments.pictures)]
        found = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    grown, stated = found["grown"], found["stated"]
    each = f"stated {stated / 1024:.1f} KiB each, grown {grown / 1024:.1f} KiB"
    print(f"  {arguments.pictures} pictures of {SIDE}x{SIDE}: {each}")
    figure = Figure("growth of the resident memory over what is stated", grown / stated, "x", MAX_RATIO)
    print(figure)
    return 0 if figure.holds else 1


if __name__ == "__main__":
    sys.exit(main())
