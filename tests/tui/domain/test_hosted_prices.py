"""What hosted trainers take, and that their prices age."""

from datetime import timedelta

import pytest

from loratui.domain.base_kinds import SD1, SDXL, TINY
from loratui.domain.estimate import training_s
from loratui.domain.estimate_speeds import MeasuredSpeed, speed_of
from loratui.domain.hosted_prices import HOSTED, OLD_DAYS, HostedCost, HostedPrice, hosted_costs
from support.estimates import a_work

DAY = HOSTED[0].seen
[LOAD] = a_work(kind=SDXL, steps=1600, units_per_step=1.0).loads


def by_name(*measured: MeasuredSpeed) -> dict[str, HostedCost]:
    return {cost.price.name: cost for cost in hosted_costs(LOAD, measured, DAY)}


@pytest.mark.parametrize("price", HOSTED, ids=lambda price: price.name)
def test_every_price_says_where_and_when_it_was_seen(price: HostedPrice) -> None:
    assert "." in price.source
    assert bool(price.microusd) != bool(price.microusd_per_s)
    before, after = price.seen + timedelta(days=OLD_DAYS), price.seen + timedelta(days=OLD_DAYS + 1)
    for day, is_old in ((before, False), (after, True)):
        [cost] = [cost for cost in hosted_costs(LOAD, (), day) if cost.price is price]
        assert cost.is_old is is_old


def test_what_is_billed_by_the_second_is_the_time_on_that_very_gpu_at_its_price() -> None:
    cost = by_name()["Replicate"]
    gpus = {time.gpu: time for time in cost.times}
    assert gpus.keys() == {"L40S", "A100 80GB"}
    others = [training_s(LOAD, speed_of(gpu, SDXL, 1.0))[0] for gpu in ("RTX 3090", "RTX 4090")]
    assert all(time.seconds not in others for time in gpus.values())
    assert gpus["L40S"].seconds == pytest.approx(others[0] * 936 / 864)
    assert gpus["A100 80GB"].seconds == pytest.approx(others[0] * 936 / 1935)
    costs = [round(gpus["L40S"].seconds * 975), round(gpus["A100 80GB"].seconds * 1400)]
    assert (cost.low_microusd, cost.high_microusd) == (min(costs), max(costs))
    assert all(time.source.startswith("scaled from RTX 3090") for time in gpus.values())


def test_a_run_of_ones_own_on_such_a_gpu_takes_the_place_of_what_was_scaled() -> None:
    ours = MeasuredSpeed(gpu="NVIDIA L40S", kind=SDXL, units_per_s=2.0, units_per_step=1.0, run="cat")
    gpus = {time.gpu: time for time in by_name(ours)["Replicate"].times}
    assert gpus["L40S"].source == "measured in run cat"
    assert gpus["L40S"].seconds == LOAD.training_units / 2
    assert gpus["A100 80GB"].source.startswith("scaled")


def test_a_price_of_a_whole_training_does_not_go_with_its_time() -> None:
    cost = by_name()["Civitai"]
    assert (cost.low_microusd, cost.high_microusd, cost.times) == (500_000, 500_000, ())


def test_a_model_that_nobody_else_trains_is_not_compared() -> None:
    [tiny] = a_work(kind=TINY).loads
    assert list(hosted_costs(tiny, (), DAY)) == []
    [small] = a_work(kind=SD1).loads
    assert len(list(hosted_costs(small, (), DAY))) == len(HOSTED)
