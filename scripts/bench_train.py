"""Is the training loop as fast and as lean as a bare one? Prints a table; exits 1 when a gate is missed.

    python scripts/bench_train.py            # step time at batch 1, 2 and 4, peak memory in two fresh processes

The bare loop has the same UNet, text encoder, LoRA modules, optimizer and cached latents, and nothing else: no
accelerate, no schedule, no events, no checks. Blocks of steps of both loops alternate in one process, so that a busy
machine slows both alike; the ratio is that of the block medians.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

from loratui_agent.demo.job import write_demo
from loratui_agent.train import loop, lora, objective, text
from loratui_agent.train.job import Job
from loratui_agent.train.models import Models, load_models
from loratui_agent.train.reporter import Reporter
from loratui_agent.train.run import Run, add_optimizer, set_up
from loratui_protocol import messages
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import read_config

MAX_STEP_RATIO = 1.02
BATCHES = (1, 2, 4)
MAX_RSS_RATIO = 1.10
MAX_EMIT_PCT = 0.5
BLOCK_STEPS = 5


def new_run(folder: Path, batch: int) -> Run:
    """Set up the demo's training up to its first step."""
    config = replace(read_config(write_demo(folder, "demo")).config, train_batch_size=batch)
    for name in ("ckpt", "artifacts"):
        (folder / name).mkdir()
    # No agent listens: events are encoded and kept, as they are while an agent is away.
    run = set_up(Job(folder, config, ""), Reporter(folder / "none.sock", "job", 0, 1))
    loop.encode_prompts(run)
    loop.cache_latents(run)
    add_optimizer(run)
    return run


def our_step(run: Run) -> None:
    """Take a step as the loop does, with its event."""
    loss, grad_norm = loop.take_step(run)
    run.reporter.emit(
        messages.Step(step=run.step, total=600, epoch=1, loss=loss, lr=1e-3, it_s=1, eta_s=1, grad_norm=grad_norm)
    )


def bare_models(folder: Path) -> tuple[Models, TrainingConfig]:
    """Load the base model and attach the demo's LoRA modules, for the bare loop's own process."""
    config = replace(read_config(write_demo(folder, "demo")).config, train_batch_size=BATCHES[-1])
    models = load_models(config.pretrained_model_name_or_path, torch.float32)
    text_encoder = models.text_encoders["text_encoder"]
    lora.add_lora(models.unet, lora.unet_targets(models.unet), config)
    lora.add_lora(text_encoder, lora.text_encoder_targets(text_encoder), config)
    models.unet.train()
    return models, config


def bare_loop(
    models: Models, config: TrainingConfig, mean: torch.Tensor, std: torch.Tensor, captions: list[str]
) -> Callable[[], None]:
    """Return a function that takes one step of the reference loop on cached latents, shape (N, 4, 16, 16)."""
    text_encoder = models.text_encoders["text_encoder"]
    parameters = [*lora.trainable_parameters(models.unet), *lora.trainable_parameters(text_encoder)]
    optimizer = torch.optim.AdamW(parameters, 1e-3)
    ids = text.tokenize(models.tokenizers["tokenizer"], captions)
    weight = objective.min_snr_weight(objective.snr_table(models.noise_scheduler), config.min_snr_gamma or 5.0)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        chosen = torch.randint(0, len(mean), (config.train_batch_size,), generator=generator)
        latents = mean[chosen] + std[chosen] * torch.randn(mean[chosen].shape, generator=generator)
        latents = latents * models.vae_scaling_factor
        eps = torch.randn(latents.shape, generator=generator)
        t = torch.randint(0, 1000, (len(chosen),), generator=generator)
        noisy = models.noise_scheduler.add_noise(latents, eps, t)
        predicted = models.unet(noisy, t, text_encoder(ids[chosen])[0]).sample
        loss = (F.mse_loss(predicted, eps, reduction="none").mean((1, 2, 3)) * weight[t]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def block_s(step: Callable[[], None]) -> float:
    """Return the seconds a step of a block takes."""
    started_s = time.perf_counter()
    for _ in range(BLOCK_STEPS):
        step()
    return (time.perf_counter() - started_s) / BLOCK_STEPS


def compare_steps(batch: int, num_blocks: int) -> tuple[float, float, float, float]:
    """Return median seconds a step, ours and bare, the median ratio of neighbouring blocks, and ``emit_us``."""
    with tempfile.TemporaryDirectory() as folder:
        run = new_run(Path(folder), batch)
        posteriors = run.latents.plain
        mean, std = torch.stack([p.mean for p in posteriors]), torch.stack([p.std for p in posteriors])
        bare = bare_loop(run.models, run.config, mean, std, [p.caption for p in run.dataset.pictures])
        block_s(bare), block_s(lambda: our_step(run))
        pairs = []
        for index in range(num_blocks):
            # The order turns around from pair to pair: neither loop always runs on the warmer cache.
            if index % 2:
                theirs, ours = block_s(bare), block_s(lambda: our_step(run))
            else:
                ours, theirs = block_s(lambda: our_step(run)), block_s(bare)
            pairs.append((ours, theirs))
        emitted_us = emit_us(run)
    ours_s, bare_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    return ours_s, bare_s, statistics.median(ours / theirs for ours, theirs in pairs), emitted_us


def emit_us(run: Run) -> float:
    """Return the median microseconds that the loop waits for an event to be handed over."""
    durations = []
    for step in range(2000):
        started_ns = time.perf_counter_ns()
        run.reporter.emit(messages.Step(step=step, total=2000, epoch=1, loss=0.1, lr=1e-3, it_s=1, eta_s=1))
        durations.append(time.perf_counter_ns() - started_ns)
    return statistics.median(durations) / 1e3


def peak_rss_mib(mode: str) -> float:
    """Return the peak resident memory of a fresh process that takes a few steps of one loop."""
    argv = [sys.executable, __file__, "--child", mode]
    return float(json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()[-1]))


def child(mode: str) -> None:
    """Take a few steps and print the peak resident memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        if mode == "ours":
            run = new_run(Path(folder), BATCHES[-1])
            for _ in range(6):
                our_step(run)
        else:
            models, config = bare_models(Path(folder))
            latents = torch.randn(80, 4, 16, 16)
            step = bare_loop(models, config, latents, torch.ones_like(latents), ["a zorbix on a red background"] * 80)
            for _ in range(6):
                step()
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main() -> int:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", choices=["ours", "bare"], help=argparse.SUPPRESS)
    parser.add_argument("--blocks", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.child:
        child(arguments.child)
        return 0
    compared = {batch: compare_steps(batch, arguments.blocks) for batch in BATCHES}
    ours_mib, bare_mib = peak_rss_mib("ours"), peak_rss_mib("bare")
    print(f"{'':24}{'ours':>10}{'bare':>10}{'ratio':>8}{'gate':>8}")
    for batch, (ours_s, bare_s, ratio, _) in compared.items():
        row = f"step at batch {batch}, ms"
        print(f"{row:24}{ours_s * 1e3:10.1f}{bare_s * 1e3:10.1f}{ratio:8.3f}{MAX_STEP_RATIO:8.2f}")
    rss_ratio = ours_mib / bare_mib
    print(f"{'peak RSS, MiB':24}{ours_mib:10.0f}{bare_mib:10.0f}{rss_ratio:8.3f}{MAX_RSS_RATIO:8.2f}")
    fastest_s, _, _, emitted_us = compared[BATCHES[0]]
    emitted_pct = emitted_us / fastest_s / 1e4
    print(f"handing an event to the agent: {emitted_us:.1f} us, {emitted_pct:.4f} % of a step (gate {MAX_EMIT_PCT} %)")
    is_fast = all(ratio <= MAX_STEP_RATIO for _, _, ratio, _ in compared.values())
    return 0 if is_fast and rss_ratio <= MAX_RSS_RATIO and emitted_pct <= MAX_EMIT_PCT else 1


if __name__ == "__main__":
    sys.exit(main())
