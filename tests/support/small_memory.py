"""A device with little memory, on a CPU: it counts what the backward pass keeps, and has no more than its limit.

As a trainer (``python -m support.small_memory``) its limit comes from the environment: megabytes at first, and from
some step on. Real tensors, real errors; only the limit is ours.
"""

import contextlib
import os
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

MIB = 1 << 20
LIMIT_MIB, LATER_MIB, LATER_STEP = "SMALL_MEMORY_MIB", "SMALL_MEMORY_LATER_MIB", "SMALL_MEMORY_LATER_STEP"


class _Kept:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class SmallMemory:
    """What ``memory.DeviceMemory`` asks for, of activations alone."""

    def __init__(self, limit_bytes: int) -> None:
        self.total_bytes = limit_bytes
        self._in_use = 0
        self._peak = 0

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Count, and refuse what is too much."""
        with torch.autograd.graph.saved_tensors_hooks(self._keep, lambda kept: kept.tensor):
            yield

    def _keep(self, tensor: Tensor) -> _Kept:
        kept = _Kept(tensor.detach())
        num_bytes = tensor.numel() * tensor.element_size()
        if self._in_use + num_bytes > self.total_bytes:
            raise torch.OutOfMemoryError(f"{self._in_use + num_bytes} bytes")
        self._in_use += num_bytes
        self._peak = max(self._peak, self._in_use)
        weakref.finalize(kept, self._give_back, num_bytes)
        return kept

    def _give_back(self, num_bytes: int) -> None:
        self._in_use -= num_bytes

    def begin(self, *, margin: bool) -> None:
        self._peak = self._in_use

    def peak_bytes(self) -> int:
        return self._peak

    def synchronize(self) -> None:
        pass

    def release(self) -> None:
        pass

    @contextlib.contextmanager
    def held(self, num_bytes: int) -> Iterator[None]:
        self._in_use += num_bytes
        try:
            if self._in_use > self.total_bytes:
                raise torch.OutOfMemoryError(f"{self._in_use} bytes")
            yield
        finally:
            self._in_use -= num_bytes


def main() -> int:
    """Train with little memory."""
    from loratui_agent.train import __main__ as trainer
    from loratui_agent.train import loop, probe

    memory = SmallMemory(int(os.environ[LIMIT_MIB]) * MIB)
    probe.device_memory = lambda device: memory
    take_step = loop.take_step

    def step_with_less(run):
        # Once for all attempts: what happens later must not happen again.
        happened = Path(run.job.folder) / "less-memory"
        if LATER_STEP in os.environ and run.step >= int(os.environ[LATER_STEP]) and not happened.exists():
            happened.touch()
            memory.total_bytes = int(os.environ[LATER_MIB]) * MIB
        elif happened.exists():
            memory.total_bytes = int(os.environ[LATER_MIB]) * MIB
        return take_step(run)

    loop.take_step = step_with_less
    with memory.counting():
        return trainer.main()


if __name__ == "__main__":
    sys.exit(main())
