"""How fast and how lean is the trainer on this GPU? Prints one table as it goes, and its rows as JSON with --out.

    python scripts/bench_gpu.py                       # about half an hour: every case, SD 1.5 and SDXL
    python scripts/bench_gpu.py --kinds sdxl --batches 8 --out h200.json

Nothing is downloaded: the models are built here at their true sizes with random weights, which train at the same speed.
Every case is a process of its own, so that none inherits another one's memory. A case changes one thing from the plain
one of its batch: bf16, UNet only, AdamW, no checkpointing, nothing compiled. `bare` is what an example script does:
fp32 weights under fp16 autocast, a loss that is read at every step, AdamW without fusing.

Launch gaps are the share of the time in which the GPU runs no kernel. Figures belong to the card that is named on top.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextConfig

from loratui_agent.train import loop, lora, run, single_file
from loratui_agent.train.flops import FlopCount
from loratui_agent.train.job import Job
from loratui_agent.train.kinds import SD1, SDXL, Kind
from loratui_agent.train.models import Models
from loratui_agent.train.reporter import Reporter
from loratui_protocol.config import TrainingConfig

KINDS = {"sd15": (SD1, 512), "sdxl": (SDXL, 1024)}
BATCHES = (1, 2, 4, 8)
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "checkpointing": {"gradient_checkpointing": True},
    "compiled": {"compile": "default"},
    "graphs": {"compile": "reduce-overhead"},
    "8-bit": {"optimizer_type": "AdamW8bit"},
    "with text": {"network_train_unet_only": False},
    "bare": {},
}
DEVICE = torch.device("cuda")
NUM_WARM_UP, NUM_STEPS = 5, 20
RANK = 32
MAX_VRAM_RATIO, MIN_SPEEDUP, MIN_SDXL_SHARE = 0.7, 2.0, 0.5
"""Aimed at on an H200: VRAM and (SD 1.5, batch 2) speed over a bare loop's; SDXL at batch 8 over a product's rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case, measured; ``error`` says why it was not."""

    kind: str
    batch: int
    variant: str
    img_s: float = 0.0
    tflop_s: float = 0.0
    vram_gib: float = 0.0
    gaps: float = 0.0
    error: str = ""


def random_models(kind: Kind, dtype: torch.dtype) -> Models:
    """Build a base model of the true size, frozen."""
    configs = kind.configs

    def made(module: Any, of: torch.dtype) -> Any:
        return module.to(DEVICE, of).requires_grad_(requires_grad=False)

    with DEVICE:
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(configs, subfolder="unet"))
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(configs, subfolder="vae"))
        text_encoders = {
            part.name: part.model(CLIPTextConfig.from_pretrained(configs / part.name)) for part in kind.text_parts
        }
    return Models(
        kind=kind,
        path=configs,
        configs=configs,
        tokenizers={part.tokenizer: single_file.load_tokenizer(configs / part.tokenizer) for part in kind.text_parts},
        text_encoders={name: made(text_encoder, dtype) for name, text_encoder in text_encoders.items()},
        vae=made(vae, torch.float32),
        unet=made(unet, dtype),
        noise_scheduler=DDPMScheduler.from_pretrained(configs, subfolder="scheduler"),
        vae_scaling_factor=vae.config.scaling_factor,
    )


def new_config(folder: Path, batch: int, side: int, **changes: Any) -> TrainingConfig:
    """Write a few pictures of noise and return the config that trains on them."""
    rng = np.random.default_rng(0)
    for index in range(batch):
        path = folder / "1_noise" / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)).save(path)
        path.with_suffix(".txt").write_text(f"picture {index} of noise", "utf-8")
    settings: dict[str, Any] = {
        # Its content is hashed and no more: the models are made above.
        "pretrained_model_name_or_path": "builtin:tiny",
        "train_data_dir": str(folder),
        "resolution": (side, side),
        "network_dim": RANK,
        "network_train_unet_only": True,
        "train_batch_size": batch,
        "max_train_steps": 1000,
        "mixed_precision": "bf16",
        "validation_split": 0.0,
        "seed": 1,
    }
    return TrainingConfig(**{**settings, **changes})


def our_step(kind: Kind, side: int, batch: int, variant: str, folder: Path) -> tuple[Callable[[], object], run.Run]:
    """Return a function that takes a step as the trainer does."""
    changes = {key: value for key, value in VARIANTS[variant].items() if key != "compile"}
    run.load_models = lambda _name, dtype, **_configs: random_models(kind, dtype)
    for name in ("ckpt", "artifacts"):
        (folder / name).mkdir()
    config = new_config(folder, batch, side, **changes)
    made = run.set_up(Job(folder, config, ""), Reporter(folder / "none.sock", "job", 0, 1))
    loop.encode_prompts(made)
    loop.cache_latents(made)
    run.add_optimizer(made)
    return lambda: loop.take_step(made), made


def compile_unet(made: run.Run, mode: str) -> None:
    """Compile what repeats, or all of it with CUDA graphs."""
    if mode == "reduce-overhead":
        made.models.unet = torch.compile(made.models.unet, mode=mode)
    else:
        made.models.unet.compile_repeated_blocks(fullgraph=True)


def bare_step(kind: Kind, side: int, batch: int) -> Callable[[], object]:
    """Return a function that takes a step as example scripts do."""
    models = random_models(kind, torch.float32)
    models.vae = None
    models.text_encoders.clear()
    config = TrainingConfig(pretrained_model_name_or_path="none", train_data_dir="none", network_dim=RANK)
    unet = models.unet
    lora.add_lora(unet, lora.unet_targets(unet), config)
    unet.train()
    parameters = lora.trainable_parameters(unet)
    optimizer, scaler = torch.optim.AdamW(parameters, 1e-4), torch.amp.GradScaler(DEVICE.type)
    hidden = torch.randn(batch, 77, unet.config.cross_attention_dim, device=DEVICE)
    added = None
    if kind is SDXL:
        sizes = torch.tensor([[side, side, 0, 0, side, side]] * batch, dtype=torch.float32, device=DEVICE)
        added = {"text_embeds": torch.randn(batch, 1280, device=DEVICE), "time_ids": sizes}
    latents = torch.randn(batch, 4, side // 8, side // 8, device=DEVICE)

    def step() -> float:
        noise = torch.randn_like(latents)
        t = torch.randint(0, 1000, (batch,), device=DEVICE)
        noisy = models.noise_scheduler.add_noise(latents, noise, t)
        with torch.autocast(DEVICE.type, torch.float16):
            predicted = unet(noisy, t, hidden, added_cond_kwargs=added).sample
        loss = F.mse_loss(predicted.float(), noise)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        return loss.item()

    return step


def measure(kind_name: str, batch: int, variant: str) -> Row:
    """Measure one case in this process."""
    kind, side = KINDS[kind_name]
    case = {"kind": kind_name, "batch": batch, "variant": variant}
    with tempfile.TemporaryDirectory() as name:
        if variant == "bare":
            step, made = bare_step(kind, side, batch), None
        else:
            step, made = our_step(kind, side, batch, variant, Path(name))
        counted = FlopCount()
        with counted:
            step()
        # Counting works on what is not compiled.
        if made is not None and (mode := VARIANTS[variant].get("compile")):
            compile_unet(made, mode)
        for _ in range(NUM_WARM_UP):
            step()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        started_s = time.perf_counter()
        for _ in range(NUM_STEPS):
            step()
        torch.cuda.synchronize()
        step_s = (time.perf_counter() - started_s) / NUM_STEPS
        return Row(
            **case,
            img_s=batch / step_s,
            tflop_s=counted.flops / step_s / 1e12,
            vram_gib=torch.cuda.max_memory_reserved() / 2**30,
            gaps=launch_gaps(step),
        )


def launch_gaps(step: Callable[[], object]) -> float:
    """Return the share of a few steps' time in which no kernel runs."""
    torch.cuda.synchronize()
    started_s = time.perf_counter()
    for _ in range(3):
        step()
    torch.cuda.synchronize()
    wall_s = time.perf_counter() - started_s
    # Profiled, steps are slower: the kernels' time is taken from here, that of the steps from above.
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(3):
            step()
        torch.cuda.synchronize()
    busy_s = sum(event.self_device_time_total for event in profile.key_averages()) / 1e6
    return max(0.0, 1 - busy_s / wall_s)


def matrix_tflop_s() -> float:
    """Return the rate of a large bf16 product, which nothing here can exceed."""
    side = 8192
    a, b = (torch.randn(side, side, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(5):
        a @ b
    torch.cuda.synchronize()
    started_s = time.perf_counter()
    for _ in range(30):
        a @ b
    torch.cuda.synchronize()
    return 30 * 2 * side**3 / (time.perf_counter() - started_s) / 1e12


def in_its_own_process(kind: str, batch: int, variant: str) -> Row:
    """Measure one case; what goes wrong is its row's."""
    argv = [sys.executable, __file__, "--case", kind, str(batch), variant]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["it ended without a word"]
        return Row(kind=kind, batch=batch, variant=variant, error=lines[-1][:90])
    return Row(**json.loads(done.stdout.splitlines()[-1]))


def judge(rows: list[Row], matrix: float) -> bool:
    """Print what is aimed at beside what was measured; return whether all of it holds."""
    found = {(row.kind, row.batch, row.variant): row for row in rows if not row.error}
    aims = []
    if large := found.get(("sdxl", 8, "plain")):
        share = large.tflop_s / matrix
        what = f"SDXL at batch 8: {share:.0%} of the matrix rate"
        aims.append((what, share > MIN_SDXL_SHARE, f"> {MIN_SDXL_SHARE:.0%}"))
    if bare := found.get(("sd15", 2, "bare")):
        ours = [row.img_s for row in found.values() if (row.kind, row.batch) == ("sd15", 2) and row != bare]
        speedup = max(ours, default=0.0) / bare.img_s
        aims.append((f"SD 1.5 at batch 2: {speedup:.2f} x a bare loop", speedup >= MIN_SPEEDUP, f">= {MIN_SPEEDUP}"))
    for (kind, batch, variant), row in found.items():
        plain = found.get((kind, batch, "plain"))
        if variant == "bare" and plain:
            ratio = plain.vram_gib / row.vram_gib
            what = f"{kind} at batch {batch}: {ratio:.2f} x a bare loop's VRAM"
            aims.append((what, ratio <= MAX_VRAM_RATIO, f"<= {MAX_VRAM_RATIO}"))
    for what, holds, aim in aims:
        print(f"  {what:<50} aim {aim}{'' if holds else '   MISSED'}")
    return all(holds for _, holds, _ in aims)


def main() -> int:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=[*KINDS])
    parser.add_argument("--batches", nargs="+", type=int, default=[*BATCHES])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=[*VARIANTS])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("this script measures a GPU, and there is none: nothing was measured")
        return 0
    if arguments.case:
        kind, batch, variant = arguments.case
        print(json.dumps(asdict(measure(kind, int(batch), variant))))
        return 0
    card, matrix = torch.cuda.get_device_name(), matrix_tflop_s()
    print(f"{card}, torch {torch.__version__}; bf16 matrix rate {matrix:.0f} TFLOP/s; rank {RANK}")
    print(f"{'':6}{'batch':>6}  {'variant':<14}{'img/s':>9}{'TFLOP/s':>9}{'VRAM GiB':>10}{'gaps':>7}")
    rows = []
    for kind in arguments.kinds:
        for batch in arguments.batches:
            for variant in arguments.variants:
                row = in_its_own_process(kind, batch, variant)
                rows.append(row)
                figures = row.error or f"{row.img_s:9.2f}{row.tflop_s:9.1f}{row.vram_gib:10.1f}{row.gaps:7.0%}"
                print(f"{kind:6}{batch:6}  {variant:<14}{figures}", flush=True)
    if arguments.out:
        content = {"card": card, "matrix_tflop_s": matrix, "rows": [asdict(row) for row in rows]}
        arguments.out.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    return 0 if judge(rows, matrix) else 1


if __name__ == "__main__":
    sys.exit(main())
