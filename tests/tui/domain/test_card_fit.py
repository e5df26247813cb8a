"""On which cards a training fits, and what it gives up there."""

from pathlib import Path
from typing import Any

import pytest

from loratui.domain.base_kinds import SD1, SDXL
from loratui.domain.card_fit import CARDS_GIB, card_fit, cards
from loratui.domain.estimate_work import min_vram_mib
from loratui_protocol.config import TrainingConfig
from loratui_protocol.memory_ladder import ladder, reserves_told
from support.small_dataset import small_config


def config(**changes: Any) -> TrainingConfig:
    usual = {"resolution": (1024, 1024), "train_batch_size": 4, "network_dim": 32}
    return small_config(Path("/gone"), **{**usual, **changes})


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
