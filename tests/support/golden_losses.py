"""Short runs whose losses are kept: what they train, and how the file of them is written anew.

After a change that is meant to change them, in the folder of the tests: ``python -m support.golden_losses``.
"""

import json
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

from loratui_agent.demo.concept import DEMO, draw_concept
from support.tiny_run import new_run, take_steps
from support.tiny_sdxl import write_tiny_sdxl
from support.v_model import v_folder

FILE = Path(__file__).with_name("golden_losses.json")
NUM_STEPS = 12

CURVES: dict[str, dict[str, Any]] = {
    "sd1": {},
    "sd1, U-Net alone": {
        "network_train_unet_only": True,
        "min_snr_gamma": 5.0,
        "loss_type": "huber",
        "noise_offset": 0.05,
        "flip_aug": True,
        "caption_dropout_rate": 0.2,
        "clip_skip": 2,
        "gradient_accumulation_steps": 2,
    },
    "sd1, convolutions and dropout": {
        "network_args": {"conv_dim": 2.0, "conv_alpha": 1.0},
        "network_dropout": 0.1,
        "shuffle_caption": True,
        "max_token_length": 150,
        "lr_scheduler": "cosine",
        "multires_noise_iterations": 4,
    },
    "v": {"pretrained_model_name_or_path": "v", "min_snr_gamma": 5.0},
    "sdxl": {"pretrained_model_name_or_path": "xl", "text_encoder_lr": (1e-3, 5e-4)},
    "sdxl, U-Net alone": {
        "pretrained_model_name_or_path": "xl",
        "network_train_unet_only": True,
        "debiased_estimation_loss": True,
        "ip_noise_gamma": 0.1,
        "max_grad_norm": 0.01,
    },
}
"""What each of them changes of the smallest training; a model is named by its folder."""

_SIZES = ((64, 64), (128, 64), (64, 128), (96, 96))


def write_inputs(folder: Path) -> Path:
    """Write pictures of several proportions, and the base models that are not built in; return the folder."""
    rng = random.Random(0)
    concept = folder / "pictures" / "2_zorbix"
    concept.mkdir(parents=True)
    for index, size in enumerate(_SIZES):
        draw_concept(rng, DEMO, "red").resize(size).save(concept / f"{index}.png")
        (concept / f"{index}.txt").write_text(f"a zorbix, red background, number {index}", "utf-8")
    write_tiny_sdxl(folder / "xl")
    v_folder(folder / "v", rescale_betas_zero_snr=True)
    return folder


def curve(folder: Path, name: str) -> list[tuple[float, float]]:
    """Return (loss, gradient norm) of every step; ``folder`` has the inputs."""
    settings = dict(CURVES[name])
    if model := settings.get("pretrained_model_name_or_path"):
        settings["pretrained_model_name_or_path"] = str(folder / model)
    shutil.rmtree(folder / "ckpt", ignore_errors=True)
    return take_steps(new_run(folder, **settings), NUM_STEPS)


def main() -> None:
    """Write the file anew."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = write_inputs(Path(name))
        curves = {name: [[float(f"{value:.7g}") for value in step] for step in curve(folder, name)] for name in CURVES}
    steps = {name: [json.dumps(step) for step in steps] for name, steps in curves.items()}
    parts = [f"  {json.dumps(name)}: [\n    " + ",\n    ".join(lines) + "\n  ]" for name, lines in steps.items()]
    FILE.write_text("{\n" + ",\n".join(parts) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main()
