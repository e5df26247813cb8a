"""A training within this process: set up, a few steps, and what it has learned."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from loratui_agent.train import loop
from loratui_agent.train.export import kohya_state_dict
from loratui_agent.train.job import Job
from loratui_agent.train.reporter import Reporter
from loratui_agent.train.run import Run, add_optimizer, set_up
from loratui_protocol import messages
from support.tiny_training import tiny_config, write_pictures


class HeardReporter(Reporter):
    """No agent listens: events are kept, as they are while an agent is away, and here for the test too."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "none.sock", "job", 0, 1)
        self.heard: list[messages.Event] = []

    def emit(self, event: messages.Event) -> None:
        """Keep an event."""
        self.heard.append(event)
        super().emit(event)


def new_run(folder: Path, configs: Path | None = None, **changes: Any) -> Run:
    """Return a run on a few pictures that are written to ``folder``; ``configs`` as in ``load_models``."""
    pictures = folder / "pictures"
    config = tiny_config(pictures if pictures.exists() else write_pictures(pictures), **changes)
    job = Job(folder, config, "")
    return set_up(job, HeardReporter(folder), configs=configs)


def warnings_of(run: Run) -> list[str]:
    """Return the codes of what a person was warned of."""
    assert isinstance(run.reporter, HeardReporter)
    return [event.code for event in run.reporter.heard if isinstance(event, messages.Warn)]


def take_steps(run: Run, num_steps: int = 3) -> list[tuple[float, float]]:
    """Take the first steps and return the losses and gradient norms."""
    loop.encode_prompts(run)
    loop.cache_latents(run)
    add_optimizer(run)
    return [loop.take_step(run) for _ in range(num_steps)]


def trained(run: Run) -> dict[str, Tensor]:
    """Return the LoRA's tensors, in float32."""
    return kohya_state_dict(run.models.kind, run.trained, torch.float32)
