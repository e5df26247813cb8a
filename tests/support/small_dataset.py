"""A dataset and a config that need neither torch nor the agent."""

from pathlib import Path
from typing import Any

from PIL import Image

from loratui_protocol.config import TrainingConfig


def write_small_dataset(folder: Path, num_pictures: int = 4) -> Path:
    """Write a kohya folder of plain captioned pictures and return its parent."""
    concept = folder / "1_cat"
    concept.mkdir(parents=True, exist_ok=True)
    for index in range(num_pictures):
        picture = Image.new("RGB", (64, 64), (40 * index % 256, 90, 30))
        # One colour alone would be a finding of its own.
        picture.paste("white", (8 + 5 * index % 40, 10, 20 + 5 * index % 40, 30))
        picture.save(concept / f"{index}.png")
        (concept / f"{index}.txt").write_text("a cat\n", "utf-8")
    return folder


def small_config(train_data_dir: Path, /, **changes: Any) -> TrainingConfig:
    """Return a config of a dozen steps."""
    settings: dict[str, Any] = {
        "pretrained_model_name_or_path": "builtin:tiny",
        "train_data_dir": str(train_data_dir),
        "resolution": (64, 64),
        "train_batch_size": 2,
        "max_train_steps": 12,
        "output_name": "cat",
    }
    return TrainingConfig(**{**settings, **changes})
