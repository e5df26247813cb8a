"""Trains the demo concept with chosen settings and has its files judged: shared by bench_judge and record_diagnoses."""

import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from loratui_agent.demo.concept import CONCEPTS
from loratui_agent.demo.job import write_demo
from loratui_protocol import messages
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import read_config
from support.trainer_process import trainer, write_job

NUM_FILES = 6
_TIMEOUT_S = 3600


def judged_config(folder: Path, steps: int, concept: str = "demo", **changes: Any) -> TrainingConfig:
    """Write a built-in concept's dataset and return its config, with a few files that are judged and no samples."""
    config = read_config(write_demo(folder, concept, steps)).config
    grounds = CONCEPTS[concept].grounds[0]
    settings: dict[str, Any] = {
        "sample_prompts": (),
        "sample_every_n_steps": None,
        "save_every_n_steps": max(1, steps // NUM_FILES),
        "checkpoint_every_n_steps": None,
        "evaluate_checkpoints": NUM_FILES,
        "evaluate_weights": (0.0, 1.0),
        "evaluate_seeds": 5,
        "evaluate_prompts": tuple(f"a {{trigger}} on a {ground} background" for ground in grounds[:3]),
        "num_cpu_threads": 1,
    }
    return replace(config, **{**settings, **changes})


def train(folder: Path, config: TrainingConfig, concept: str = "demo") -> list[messages.Event]:
    """Train and judge in a process of its own, and return what it said.

    Raises:
        SystemExit: it failed.
    """
    job = write_job(folder / "job", config, evaluate_concept=concept)
    with trainer(job, folder) as process:
        process.process.wait(_TIMEOUT_S)
        if not process.of_type(messages.Done):
            raise SystemExit(f"the training failed:\n{process.log()[-2000:]}")
        return list(process.events)


def shuffle_captions(pictures: Path, seed: int = 0) -> None:
    """Deal the captions out anew, so that most pictures have one of another ground."""
    files = sorted(pictures.rglob("*.txt"))
    texts = [file.read_text("utf-8") for file in files]
    random.Random(seed).shuffle(texts)
    for file, text in zip(files, texts, strict=True):
        file.write_text(text, "utf-8")
