"""The memory that a training competes for: a GPU's. On a CPU torch can't tell what a step takes; nothing is asked."""

import contextlib
from collections.abc import Iterator
from typing import Protocol

import torch

_MARGIN = 0.05
"""Share of the GPU that a probe leaves free: a run's memory falls into pieces that can't be used again."""
_MARGIN_LATER = 0.01


class DeviceMemory(Protocol):
    """A device's memory, as far as a training may use it."""

    total_bytes: int
    """What there is for this process, beside what others hold."""

    def begin(self, *, margin: bool) -> None:
        """Forget the peak so far; with a ``margin`` less than all can be had, and what is above is out of memory."""

    def peak_bytes(self) -> int:
        """Return the most that was in use since ``begin``."""

    def synchronize(self) -> None:
        """Wait until the device has done everything."""

    def release(self) -> None:
        """Give back what nobody uses."""

    def held(self, num_bytes: int) -> contextlib.AbstractContextManager[None]:
        """Hold so much, in the place of something that comes later."""


class CudaMemory:
    """A GPU's. Past the limit torch says so, instead of letting a driver spill into the host's memory."""

    def __init__(self, device: torch.device) -> None:
        # Some of torch's functions want to be told which one, where a device may leave that open.
        self._device = torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
        free, self._all_bytes = torch.cuda.mem_get_info(self._device)
        self.total_bytes = free + torch.cuda.memory_reserved(self._device)

    def begin(self, *, margin: bool) -> None:
        """Forget the peak so far and set the limit."""
        share = self.total_bytes / self._all_bytes * (1 - (_MARGIN if margin else _MARGIN_LATER))
        torch.cuda.set_per_process_memory_fraction(share, self._device)
        torch.cuda.reset_peak_memory_stats(self._device)

    def peak_bytes(self) -> int:
        """Return the most that torch reserved since ``begin``."""
        return torch.cuda.max_memory_reserved(self._device)

    def synchronize(self) -> None:
        """Wait until the GPU has done everything."""
        torch.cuda.synchronize(self._device)

    def release(self) -> None:
        """Give back what torch keeps for later."""
        torch.cuda.empty_cache()

    @contextlib.contextmanager
    def held(self, num_bytes: int) -> Iterator[None]:
        """Hold so much."""
        place = torch.empty(num_bytes, dtype=torch.uint8, device=self._device)
        try:
            yield
        finally:
            del place


def device_memory(device: torch.device) -> DeviceMemory | None:
    """Return the memory of the device; None where it can't be asked."""
    return CudaMemory(device) if device.type == "cuda" else None


_LIBRARIES_NO_ROOM = ("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "CUDA error: out of memory")
"""How libraries say it that take memory of the GPU past torch's allocator; torch has a mere RuntimeError for it."""


def is_out_of_vram(error: BaseException) -> bool:
    """Return whether the error says that the GPU has no more memory."""
    return isinstance(error, torch.OutOfMemoryError) or any(said in str(error) for said in _LIBRARIES_NO_ROOM)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the error says that the GPU, or the machine, has no more memory."""
    # torch has no exception of its own for the RAM.
    return is_out_of_vram(error) or isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error)
