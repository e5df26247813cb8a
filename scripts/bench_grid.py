"""How fast is a grid of pictures drawn, and how near to what the model alone could do?

    python scripts/bench_grid.py                         # the tiny model: 5 files x 5 weights x 5 seeds
    python scripts/bench_grid.py --prompts 8             # the same in full batches, against the bare pipeline
    python scripts/bench_grid.py --kinds sd15 sdxl       # on a GPU, at true sizes with random weights

The grid is drawn as a judgement draws it: the base model is loaded once, with all files, in the time that counts. The
bare figure is diffusers' own pipeline without any file, at the same batch size, steps and resolution.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from bench_gpu import KINDS, random_models
from diffusers.utils import convert_state_dict_to_diffusers
from figures import Figure
from peft import LoraConfig, get_peft_model_state_dict

from loratui_agent.judge.draw import BATCH_SIZE, NUM_INFERENCE_STEPS, Base, Drawer
from loratui_agent.model_path import resolve_model
from loratui_agent.train.sampling import load_pipeline, new_pipeline
from loratui_protocol.config import TrainingConfig
from loratui_protocol.judging.grid import Grid, TriedFile, seeds
from loratui_protocol.judging.prompts import GridPrompt, Role

WEIGHTS = (0.0, 0.5, 0.7, 0.8, 1.0)
NUM_FILES = NUM_SEEDS = 5
TINY = "tiny"
TINY_SIDE, RANK, MOST_S, LEAST_SHARE = 64, 16, 60, 0.8
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]


def write_files(base: Base, folder: Path) -> list[Path]:
    """Write LoRA files for a base model: how they were trained makes no difference to the time."""
    pipeline: Any = load_pipeline(base.path, base.dtype)
    pipeline.unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=TARGETS, init_lora_weights=False))
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipeline.unet))
    paths = [folder / f"file{index}.safetensors" for index in range(NUM_FILES)]
    for path in paths:
        pipeline.save_lora_weights(folder, unet_lora_layers=layers, weight_name=path.name)
    return paths


def new_grid(files: Sequence[Path], num_prompts: int) -> Grid:
    """Return the grid; ``num_prompts`` are drawn together at each file, weight and seed."""
    texts = [f"a zog on hill {number}" for number in range(num_prompts)]
    return Grid(
        files=tuple(TriedFile(id=path.name, name=path.name) for path in files),
        weights=WEIGHTS,
        seeds=seeds(NUM_SEEDS),
        prompts=tuple(GridPrompt(role=Role.SCENE, text=text, plain=text) for text in texts),
    )


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds it takes, to the last kernel."""
    started_s = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started_s


def bare_rate(base: Base, side: int, batch: int) -> float:
    """Return the pictures a second of diffusers' pipeline alone."""
    pipeline: Any = load_pipeline(base.path, base.dtype).to(base.device)
    generators = [torch.Generator().manual_seed(seed) for seed in range(batch)]

    def draw() -> None:
        pipeline(
            ["a hill"] * batch,
            width=side,
            height=side,
            num_inference_steps=NUM_INFERENCE_STEPS,
            guidance_scale=4.0,
            generator=generators,
        )

    draw()
    rounds = 5
    return rounds * batch / timed(lambda: [draw() for _ in range(rounds)])


def measure(kind: str, num_prompts: int) -> list[Figure]:
    """Draw the grid of one kind of model."""
    device = torch.device("cpu" if kind == TINY else "cuda")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        side = TINY_SIDE
        path, dtype = resolve_model("builtin:tiny"), torch.float32
        if kind != TINY:
            of_kind, side = KINDS[kind]
            path, dtype = folder / "model", torch.bfloat16
            new_pipeline(random_models(of_kind, dtype)).save_pretrained(path)
            torch.cuda.empty_cache()
        base = Base(path=path, configs=None, device=device, dtype=dtype)
        files = write_files(base, folder)
        grid = new_grid(files, num_prompts)
        config = TrainingConfig(
            pretrained_model_name_or_path=str(path), train_data_dir=str(folder), resolution=(side, side)
        )
        made: list[Drawer] = []
        load_s = timed(lambda: made.append(Drawer(base, grid, files, config)))
        batches = list(grid.batches(BATCH_SIZE))
        if kind != TINY:
            # The first kernels are chosen and compiled once, not for each picture.
            made[0].draw(batches[-1])
        draw_s = timed(lambda: [made[0].draw(batch) for batch in batches])
        made.clear()
        rate = grid.num_pictures / draw_s
        bare = bare_rate(base, side, BATCH_SIZE)
    of = f"{kind}, {NUM_FILES} x {len(WEIGHTS)} x {NUM_SEEDS} x {num_prompts} prompts"
    print(
        f"{of}: {grid.num_pictures} pictures, {load_s:.1f} s to load, {rate:.2f} a second; bare {bare:.2f}", flush=True
    )
    if kind == TINY and num_prompts == 1:
        return [Figure(of, load_s + draw_s, "s", MOST_S)]
    return [Figure(f"{of}, of what is bare", rate / bare, "", LEAST_SHARE, at_least=True)]


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=[TINY, *KINDS], default=[TINY])
    parser.add_argument("--prompts", type=int, help="per file, weight and seed; 1 on the tiny model, a batch elsewhere")
    arguments = parser.parse_args()
    if not torch.cuda.is_available() and arguments.kinds != [TINY]:
        print("there is no GPU: the tiny model alone is measured")
        arguments.kinds = [TINY]
    figures = []
    for kind in arguments.kinds:
        figures += measure(kind, arguments.prompts or (1 if kind == TINY else BATCH_SIZE))
    print(*figures, sep="\n")
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
