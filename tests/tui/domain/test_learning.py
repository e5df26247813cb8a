"""What is said of a training rests on pictures that it does not see, and on no more than was looked at."""

import math

import pytest

from loratui.domain.learning import LEAST_LOOKS, Trend, verdict
from loratui_protocol.messages import Validation


def looks(held: list[float], trained: list[float] | None = None) -> list[Validation]:
    pairs = zip(held, trained or held, strict=True)
    return [Validation(step=100 * n, loss=h, train_loss=t, num_pictures=3) for n, (h, t) in enumerate(pairs)]


@pytest.mark.parametrize(
    ("held", "trained", "trend"),
    [
        ([0.10], [0.10], Trend.TOO_EARLY),
        ([0.10, 0.09, 0.08], [0.10, 0.09, 0.08], Trend.TOO_EARLY),
        ([0.10, 0.095, 0.09, 0.085], [0.10, 0.09, 0.08, 0.07], Trend.LEARNING),
        ([0.10, 0.09, 0.0901, 0.0900, 0.0899], [0.10, 0.08, 0.0801, 0.0800, 0.0799], Trend.FLAT),
        ([0.10, 0.09, 0.092, 0.094, 0.096], [0.10, 0.08, 0.07, 0.06, 0.05], Trend.OVERFITTING),
        ([0.10, 0.11, 0.13, 0.16], [0.10, 0.12, 0.14, 0.17], Trend.RATE_TOO_HIGH),
        ([0.10, 0.080, 0.084, 0.088, 0.092], [0.10, 0.070, 0.074, 0.079, 0.084], Trend.RATE_TOO_HIGH),
        ([0.10, 0.080, 0.0815, 0.083, 0.085], [0.10, 0.070, 0.071, 0.072, 0.073], Trend.LEARNING),
        ([0.10, 0.09, math.nan], [0.10, 0.09, math.nan], Trend.RATE_TOO_HIGH),
    ],
)
def test_the_curves_have_a_plain_name(held: list[float], trained: list[float], trend: Trend) -> None:
    assert verdict(looks(held, trained)).trend is trend


def test_a_verdict_names_what_it_rests_on() -> None:
    found = verdict(looks([0.10, 0.09, 0.092, 0.094, 0.096], [0.10, 0.08, 0.07, 0.06, 0.05]))
    assert found.sentence == (
        "overfitting: held-out error down 4.0 % since step 0, that of pictures it trains on down 50.0 %; "
        "it was lowest at step 100, up 6.7 % since"
    )


def test_one_worse_look_is_no_overfitting() -> None:
    assert verdict(looks([0.10, 0.09, 0.08, 0.081], [0.10, 0.08, 0.07, 0.06])).trend is Trend.LEARNING


def test_nothing_is_claimed_of_too_few_looks_or_of_none() -> None:
    assert verdict([]).sentence == "too early to say: no pictures are held out"
    assert verdict(looks([0.1] * (LEAST_LOOKS - 1))).evidence == "3 of 4 looks so far"
    assert verdict(looks([0.0] * 9)).trend is Trend.TOO_EARLY, "an error of nothing has no share"
