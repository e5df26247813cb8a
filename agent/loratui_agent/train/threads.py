"""How many threads torch uses on a CPU: measured, since for small models one is often faster than many."""

import os
import time
from collections.abc import Callable

import torch

from loratui_agent.train.run import Run

_NUM_TRIALS = 2


def set_num_threads(run: Run, *, saved: int | None, train_once: Callable[[], object]) -> None:
    """Set torch's threads: as configured, as in the state that is resumed, or whichever count is measured faster.

    A resumed run keeps its count, because another one may round differently. Several processes share the cores, and
    measure nothing: they would measure each other. On a GPU nothing is changed.
    """
    if run.accelerator.device.type != "cpu":
        return
    if run.config.num_cpu_threads is not None:
        torch.set_num_threads(run.config.num_cpu_threads)
        return
    # The cores that this process may use, where the system tells them apart from those that there are.
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if run.ranks.count > 1:
        torch.set_num_threads(saved or max(1, num_cores // run.ranks.count))
    elif saved is None and num_cores > 1:
        run.say("measure_threads", message=f"comparing 1 and {num_cores} threads")
        torch.set_num_threads(min((1, num_cores), key=lambda number: _step_s(run, number, train_once)))
    else:
        torch.set_num_threads(saved or 1)


def _step_s(run: Run, num_threads: int, train_once: Callable[[], object]) -> float:
    """Return the fastest of a few gradient computations in seconds; the gradients are thrown away."""
    torch.set_num_threads(num_threads)
    durations = []
    for _ in range(_NUM_TRIALS):
        started_s = time.perf_counter()
        train_once()
        durations.append(time.perf_counter() - started_s)
        run.optimizer.zero_grad()
    return min(durations)
