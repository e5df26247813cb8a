"""That GPUs are known by what people call them."""

import pytest

from loratui.domain.gpu_memory import full_name, memory_mib
from loratui_protocol.errors import UsageError


def test_gpus_are_known_by_name_or_by_their_memory() -> None:
    for name in ("RTX 4090", "4090", "NVIDIA GeForce RTX 4090", "24GB", "24 gb", "24"):
        assert memory_mib(name) == 24 * 1024
    assert memory_mib("a100") == 40 * 1024
    for name in ("RTX 9999", "", "999", "-1"):
        with pytest.raises(UsageError, match="is not known here"):
            memory_mib(name)


def test_a_gpu_is_named_in_full_as_far_as_it_is_known() -> None:
    assert [full_name(name) for name in ("4090", "a100", "l40s", "RTX 9999")] == [
        "RTX 4090",
        "A100",
        "L40S",
        "RTX 9999",
    ]
