"""That a config is made to fit a GPU, and goes on learning the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loratui.domain.base_kinds import SD1, SDXL
from loratui.domain.estimate_work import min_vram_mib
from loratui.domain.fit_gpu import fitted, least_gb, memory_mib
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import UsageError


def config(**changes: object) -> TrainingConfig:
    usual = {"pretrained_model_name_or_path": "a", "train_data_dir": "b", "network_train_unet_only": True}
    return TrainingConfig(**{"resolution": (1024, 1024), "train_batch_size": 4, **usual, **changes})  # type: ignore[arg-type]


def test_with_room_everything_is_computed_at_once() -> None:
    found = fitted(
        config(train_batch_size=2, gradient_accumulation_steps=2, gradient_checkpointing=True), SDXL, 80 * 1024
    )
    assert (found.train_batch_size, found.gradient_accumulation_steps) == (4, 1)
    assert not found.gradient_checkpointing


def test_smaller_micro_batches_come_before_checkpointing() -> None:
    on_24 = fitted(config(), SDXL, memory_mib("RTX 4090"))
    assert (on_24.train_batch_size, on_24.gradient_accumulation_steps, on_24.gradient_checkpointing) == (2, 2, False)
    on_12 = fitted(config(), SDXL, memory_mib("12GB"))
    assert (on_12.train_batch_size, on_12.gradient_accumulation_steps, on_12.gradient_checkpointing) == (4, 1, True)


@settings(max_examples=20, deadline=None)
@given(
    batch=st.integers(1, 12),
    accumulation=st.integers(1, 6),
    is_checkpointed=st.booleans(),
    gb=st.integers(1, 96),
    side=st.sampled_from([512, 768, 1024]),
)
def test_a_step_has_as_many_pictures_as_before_on_every_gpu(
    batch: int, accumulation: int, is_checkpointed: bool, gb: int, side: int
) -> None:
    before = config(
        train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        gradient_checkpointing=is_checkpointed,
        resolution=(side, side),
    )
    for kind in (SD1, SDXL):
        after = fitted(before, kind, gb * 1024)
        assert after.train_batch_size * after.gradient_accumulation_steps == batch * accumulation
        if min_vram_mib(after, kind) > gb * 1024:
            assert (after.train_batch_size, after.gradient_checkpointing) == (1, True)
            assert gb < (least_gb(before, kind) or 1000)


def test_the_smallest_gpu_that_will_do_is_known() -> None:
    least = least_gb(config(), SDXL)
    assert least is not None
    assert min_vram_mib(fitted(config(), SDXL, least * 1024), SDXL) <= least * 1024
    assert least_gb(config(resolution=(16384, 16384)), SDXL) is None


def test_gpus_are_known_by_name_or_by_their_memory() -> None:
    for name in ("RTX 4090", "4090", "NVIDIA GeForce RTX 4090", "24GB", "24 gb", "24"):
        assert memory_mib(name) == 24 * 1024
    assert memory_mib("a100") == 40 * 1024
    for name in ("RTX 9999", "", "999", "-1"):
        with pytest.raises(UsageError, match="is not known here"):
            memory_mib(name)
