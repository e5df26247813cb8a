"""Makes a config fit a GPU's memory without changing what is learned: the pictures of a step stay as many. Pure."""

import re
from dataclasses import replace

from loratui.domain.base_kinds import BaseKind
from loratui.domain.estimate_speeds import gpu_key
from loratui.domain.estimate_work import min_vram_mib
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import UsageError

_MIB_PER_GB = 1024
_GB = re.compile(r"(\d{1,3}) ?(?:gb|gib)?", re.IGNORECASE)
# As their makers sell them, with the memory that most of them have.
_MEMORY_GB = {
    "GTX 1080 Ti": 11,
    "RTX 2060": 6,
    "RTX 2070": 8,
    "RTX 2080": 8,
    "RTX 2080 Ti": 11,
    "RTX 3060": 12,
    "RTX 3060 Ti": 8,
    "RTX 3070": 8,
    "RTX 3080": 10,
    "RTX 3080 Ti": 12,
    "RTX 3090": 24,
    "RTX 3090 Ti": 24,
    "RTX 4060": 8,
    "RTX 4060 Ti": 8,
    "RTX 4070": 12,
    "RTX 4070 Ti": 12,
    "RTX 4080": 16,
    "RTX 4090": 24,
    "RTX 5060 Ti": 16,
    "RTX 5070": 12,
    "RTX 5070 Ti": 16,
    "RTX 5080": 16,
    "RTX 5090": 32,
    "T4": 16,
    "V100": 16,
    "L4": 24,
    "A10": 24,
    "RTX A4000": 16,
    "RTX A5000": 24,
    "RTX A6000": 48,
    "RTX 6000 Ada": 48,
    "A40": 48,
    "L40": 48,
    "L40S": 48,
    "A100": 40,
    "H100": 80,
    "H200": 141,
}
_BY_KEY = {gpu_key(name): gb for name, gb in _MEMORY_GB.items()}


def memory_mib(gpu: str) -> int:
    """Return the memory of a GPU, by its name ("RTX 4090", "4090") or the memory itself ("24GB").

    Raises:
        UsageError: no GPU of that name is known here.
    """
    if (found := _GB.fullmatch(gpu.strip())) and int(found[1]) <= max(_BY_KEY.values()):
        return int(found[1]) * _MIB_PER_GB
    key = gpu_key(gpu)
    gb = _BY_KEY.get(key) or _BY_KEY.get(f"rtx{key}")
    if gb is None:
        raise UsageError(
            f"how much memory a {gpu!r} has is not known here", fix="write it instead: --gpu 24GB", code="usage.gpu"
        )
    return gb * _MIB_PER_GB


def fitted(config: TrainingConfig, kind: BaseKind, vram_mib: int) -> TrainingConfig:
    """Return the config as it fits best: the first of these that is small enough, else the smallest.

    Smaller micro-batches come before checkpointing, which takes a third more time. A config with ``[[datasets]]`` only
    gets or loses the checkpointing: these have batches of their own.
    """
    ways = _ways(config)
    return next((way for way in ways if min_vram_mib(way, kind) <= vram_mib), ways[-1])


def least_gb(config: TrainingConfig, kind: BaseKind) -> int | None:
    """Return the memory of the smallest GPU that the config can be made to fit, None if there is none so large."""
    needed_mib = min_vram_mib(_ways(config)[-1], kind)
    return next((gb for gb in sorted(set(_BY_KEY.values())) if gb * _MIB_PER_GB >= needed_mib), None)


def _ways(config: TrainingConfig) -> list[TrainingConfig]:
    """Return the ways to compute the same, the preferred ones first; the last one needs the least memory."""
    wanted = config.train_batch_size * config.gradient_accumulation_steps
    micro_batches = [config.train_batch_size]
    if not config.datasets:
        micro_batches = [size for size in range(wanted, 0, -1) if wanted % size == 0]
    return [
        replace(
            config,
            gradient_checkpointing=is_checkpointed,
            train_batch_size=size,
            gradient_accumulation_steps=config.gradient_accumulation_steps if config.datasets else wanted // size,
        )
        for is_checkpointed in (False, True)
        for size in micro_batches
    ]
