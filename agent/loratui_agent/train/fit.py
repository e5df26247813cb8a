"""How a run fits the memory of its device: what of ``memory_ladder`` it has given up, and what comes next."""

import importlib.machinery
import json
from dataclasses import asdict

import torch

from loratui_agent.files import write_json
from loratui_agent.train.job import Job
from loratui_protocol.config import TrainingConfig
from loratui_protocol.memory_ladder import Fit, Reserves, as_configured, reserves_of, rungs

FIT_FILE = "fit.json"


class AgainError(Exception):
    """This attempt ends, and another one goes on from the last state in the way that ``keep_fit`` has kept."""


def fit_of(job: Job) -> Fit:
    """Return how the job fits so far: as configured, or as an earlier attempt found out."""
    try:
        kept = json.loads((job.folder / FIT_FILE).read_text("utf-8"))
    except FileNotFoundError:
        return as_configured(job.config)
    resolution = kept.pop("resolution")
    return Fit(**kept, resolution=resolution and (resolution[0], resolution[1]))


def keep_fit(job: Job, fit: Fit) -> None:
    """Leave to the next attempt how the job fits."""
    write_json(job.folder / FIT_FILE, asdict(fit))


def reserves_here(config: TrainingConfig, *, trains_text: bool, trains_unet: bool) -> Reserves:
    """Return what a run could do without on this machine."""
    has_8bit = torch.cuda.is_available() and _is_installed("bitsandbytes")
    return reserves_of(config, trains_text=trains_text, trains_unet=trains_unet, has_8bit=has_8bit)


def step_down(job: Job, config: TrainingConfig, fit: Fit, reserves: Reserves) -> str:
    """Keep the next rung for another attempt and return a sentence about it; empty: there is none left."""
    for lower, sentence in rungs(config, fit, reserves):
        keep_fit(job, lower)
        return sentence
    return ""


def _is_installed(module: str) -> bool:
    # Looked for where it would lie: it is blocked until it is chosen, and whether it works is found out then.
    return importlib.machinery.PathFinder.find_spec(module) is not None
