"""The smallest real training: the built-in model, four pictures of the demo concept, a few steps."""

import random
from pathlib import Path
from typing import Any

from loratui_agent.demo.concept import DEMO, draw_concept
from loratui_protocol.config import TrainingConfig


def write_pictures(folder: Path, num_pictures: int = 4) -> Path:
    """Write a kohya folder of a few captioned pictures and return its parent."""
    rng = random.Random(0)
    concept = folder / "1_zorbix"
    concept.mkdir(parents=True)
    for index in range(num_pictures):
        draw_concept(rng, DEMO, "red").save(concept / f"{index}.png")
        (concept / f"{index}.txt").write_text("a zorbix on a red background\n", "utf-8")
    return folder


def tiny_config(train_data_dir: Path, /, **changes: Any) -> TrainingConfig:
    """Return a config that trains a dozen steps in a few seconds."""
    settings: dict[str, Any] = {
        "pretrained_model_name_or_path": "builtin:tiny",
        "train_data_dir": str(train_data_dir),
        "resolution": (64, 64),
        "network_dim": 4,
        "learning_rate": 1e-3,
        "train_batch_size": 2,
        "max_train_steps": 12,
        "checkpoint_every_n_steps": 3,
        "num_cpu_threads": 1,
        "seed": 7,
        "output_name": "tiny",
    }
    return TrainingConfig(**{**settings, **changes})
