"""The smallest real training: the built-in model, four pictures of the demo concept, a few steps."""

import random
from pathlib import Path
from typing import Any

from loratui_agent.demo.concept import DEMO, draw_concept
from loratui_agent.demo.job import write_demo
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


def demo_config(folder: Path, num_steps: int) -> Path:
    """Write the demo concept's dataset and config, without pictures on the way and with a state every ten steps."""
    path = write_demo(folder, "demo", num_steps)
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("sample_")]
    lines = ["checkpoint_every_n_steps = 10" if line.startswith("checkpoint_every") else line for line in lines]
    # Measured, the number depends on what else the machine does at that moment, and so do the last bits of the result.
    lines = ["seed = 1\nnum_cpu_threads = 1" if line.startswith("seed") else line for line in lines]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path
