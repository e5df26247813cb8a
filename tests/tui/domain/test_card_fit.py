"""On which cards a training fits, and what it gives up there."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loratui.domain.base_kinds import SD1, SDXL
from loratui.domain.card_fit import CARDS_GIB, card_fit, cards, fitted, least_gb
from loratui.domain.gpu_memory import memory_mib
from loratui.domain.memory_need import min_vram_mib
from loratui_protocol.config import TrainingConfig
from loratui_protocol.memory_ladder import ladder, reserves_told
from support.small_dataset import small_config


def config(**changes: Any) -> TrainingConfig:
    usual = {"resolution": (1024, 1024), "train_batch_size": 4, "network_dim": 32}
    return small_config(Path("/gone"), **{**usual, **changes})


def of_unet(**changes: Any) -> TrainingConfig:
    return config(network_train_unet_only=True, **changes)


def test_what_is_to_spare_or_missing_is_the_cards_memory_less_our_own_model_of_the_run() -> None:
    needed = min_vram_mib(config(), SDXL)
    large, small = card_fit(config(), SDXL, needed + 100), card_fit(config(), SDXL, needed - 100)
    assert (large.fits, large.spare_mib, large.given_up) == (True, 100, ())
    assert (small.fits, small.spare_mib) == (False, -100)


def test_a_smaller_card_takes_the_first_rung_that_is_enough_and_a_tiny_one_none() -> None:
    of = {card.vram_mib // 1024: card for card in cards(config(), SDXL)}
    assert tuple(of) == CARDS_GIB
    assert of[24].given_up == ("2 of 4 pictures at a time",)
    assert of[12].given_up == ("1 of 4 pictures at a time", "gradient checkpointing")
    assert of[48].fits
    assert (of[8].given_up, of[8].spare_then_mib) == ((), None)
    assert all(card.spare_then_mib is None or card.spare_then_mib >= 0 for card in of.values())


def test_what_would_change_what_is_learned_is_not_given_up_before_there_is_anything_learned() -> None:
    asked = config(train_batch_size=1, gradient_checkpointing=True, min_resolution=512, optimizer_type="SGDNesterov")
    last, _ = ladder(asked, reserves_told(asked))[-1]
    assert last.resolution is not None
    assert not last.learns_text
    needed = min_vram_mib(asked, SDXL)
    assert min_vram_mib(asked, SDXL, last) < needed - 1000
    assert card_fit(asked, SDXL, needed - 1).spare_then_mib is None


@pytest.mark.parametrize("kind", [SD1, SDXL])
@pytest.mark.parametrize(
    "changes",
    [{}, {"network_train_unet_only": True, "shuffle_caption": True}, {"mixed_precision": "no", "min_resolution": 512}],
)
def test_no_rung_takes_more_than_the_one_above_it(kind: Any, changes: dict[str, Any]) -> None:
    asked = config(**changes)
    fits = [fit for fit, _ in ladder(asked, reserves_told(asked))]
    taken = [min_vram_mib(asked, kind), *(min_vram_mib(asked, kind, fit) for fit in fits)]
    assert taken == sorted(taken, reverse=True)
    assert taken[-1] < taken[0]


def test_with_room_everything_is_computed_at_once() -> None:
    found = fitted(
        of_unet(train_batch_size=2, gradient_accumulation_steps=2, gradient_checkpointing=True), SDXL, 80 * 1024
    )
    assert (found.train_batch_size, found.gradient_accumulation_steps) == (4, 1)
    assert not found.gradient_checkpointing


def test_smaller_micro_batches_come_before_checkpointing() -> None:
    on_24 = fitted(of_unet(), SDXL, memory_mib("RTX 4090"))
    assert (on_24.train_batch_size, on_24.gradient_accumulation_steps, on_24.gradient_checkpointing) == (2, 2, False)
    on_12 = fitted(of_unet(), SDXL, memory_mib("12GB"))
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
    before = of_unet(
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
    least = least_gb(of_unet(), SDXL)
    assert least is not None
    assert min_vram_mib(fitted(of_unet(), SDXL, least * 1024), SDXL) <= least * 1024
    assert least_gb(of_unet(resolution=(16384, 16384)), SDXL) is None
