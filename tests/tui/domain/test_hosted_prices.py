"""What hosted trainers take, and that their prices age."""

from datetime import timedelta

import pytest

from loratui.domain.base_kinds import SD1, SDXL, TINY
from loratui.domain.hosted_prices import HOSTED, OLD_DAYS, HostedPrice, hosted_costs


@pytest.mark.parametrize("price", HOSTED, ids=lambda price: price.name)
def test_every_price_says_where_and_when_it_was_seen(price: HostedPrice) -> None:
    assert "." in price.source
    assert (price.microusd > 0) != (price.microusd_per_s is not None)
    before, after = price.seen + timedelta(days=OLD_DAYS), price.seen + timedelta(days=OLD_DAYS + 1)
    for day, is_old in ((before, False), (after, True)):
        [cost] = [cost for cost in hosted_costs(SDXL, (600.0, 1200.0), day) if cost.price is price]
        assert cost.is_old is is_old


def test_what_is_billed_by_the_second_goes_with_the_time_and_a_flat_price_does_not() -> None:
    day = HOSTED[0].seen
    costs = {cost.price.name: cost for cost in hosted_costs(SD1, (600.0, 1200.0), day)}
    assert (costs["Civitai"].low_microusd, costs["Civitai"].high_microusd) == (500_000, 500_000)
    assert (costs["Replicate"].low_microusd, costs["Replicate"].high_microusd) == (585_000, 1_680_000)
    assert [cost.price.name for cost in hosted_costs(SD1, None, day)] == ["Civitai"]


def test_a_model_that_nobody_else_trains_is_not_compared() -> None:
    assert list(hosted_costs(TINY, (1.0, 2.0), HOSTED[0].seen)) == []
