"""How much memory a GPU has, by the name that people type. Pure."""

import re

from loratui.domain.estimate_speeds import gpu_key
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
_BY_KEY = {gpu_key(name): name for name in _MEMORY_GB}


def memory_mib(gpu: str) -> int:
    """Return the memory of a GPU, by its name ("RTX 4090", "4090") or the memory itself ("24GB").

    Raises:
        UsageError: no GPU of that name is known here.
    """
    if (found := _GB.fullmatch(gpu.strip())) and int(found[1]) <= max(_MEMORY_GB.values()):
        return int(found[1]) * _MIB_PER_GB
    gb = _MEMORY_GB.get(full_name(gpu))
    if gb is None:
        raise UsageError(
            f"how much memory a {gpu!r} has is not known here", fix="write it instead: --gpu 24GB", code="usage.gpu"
        )
    return gb * _MIB_PER_GB


def full_name(gpu: str) -> str:
    """Return a GPU's name as its maker writes it ("4090": "RTX 4090"), or as it was typed where nobody knows it."""
    key = gpu_key(gpu)
    return _BY_KEY.get(key) or _BY_KEY.get(f"rtx{key}") or gpu.strip()
