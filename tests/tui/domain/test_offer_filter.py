"""What is typed to see fewer offers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.estimate import estimate
from loratui.domain.estimate_ranking import Quote
from loratui.domain.offer_filter import FIELDS, parse_filter
from support.estimates import A_WORK, an_offer


def a_quote(**changes: Any) -> Quote:
    offer = an_offer(**changes)
    return Quote(offer=offer, estimate=estimate(A_WORK, offer))


SAID = a_quote(region="SE", is_datacenter=False)
UNSAID = a_quote(provider="runpod", reliability=None, region="", download_mbit_s=None, upload_mbit_s=None)
QUOTES = (SAID, UNSAID, a_quote(gpu_name="RTX 3090", vram_mib=24_576, price_microusd_per_h=170_000, region="US"))


@pytest.mark.parametrize(
    ("typed", "fits"),
    [
        ("vram>=24", True),
        ("vram>24", False),
        ("price<0.5 rel>.98 4090 eu -spot", True),
        ("price<$0.35", False),
        ("rel>=99%", True),
        ("rel>99.8", False),
        ("4090 vast se", True),
        ("us", False),
        ("-us -eu", False),
        ("-vast", False),
        ("-price<0.3", True),
        ("HOME RTX", True),
        ("total<100 time<600", True),
        ("total<0.0001", False),
        ("", True),
    ],
)
def test_all_terms_must_hold(typed: str, fits: bool) -> None:
    read = parse_filter(typed)

    assert not read.trouble
    assert read.lets_through(SAID) is fits


@pytest.mark.parametrize("typed", ["rel>.98", "rel<.5", "-rel>.98", "eu", "-eu", "cuda>=12.4", "down>100 up>100"])
def test_what_a_provider_does_not_say_counts_as_fitting(typed: str) -> None:
    assert parse_filter(typed).lets_through(UNSAID)


def test_versions_are_no_decimal_numbers() -> None:
    assert parse_filter("cuda>=12.4").lets_through(a_quote(cuda=(12, 10)))
    assert not parse_filter("cuda>=12.10").lets_through(a_quote(cuda=(12, 4)))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("vram>=", "vram wants a number: vram>=24"),
        ("rel>high", "rel wants a number: rel>=0.98"),
        ("cost<1", "cost is nothing to compare: vram, price, total"),
        (">3", "> is nothing to compare"),
        ("4090 -", "- wants a word after it"),
    ],
)
def test_a_term_that_makes_no_sense_is_told_and_leaves_nothing_out(typed: str, said: str) -> None:
    read = parse_filter(typed)

    assert said in read.trouble
    assert read.lets_through(SAID)


@given(st.text())
def test_nothing_that_can_be_typed_breaks_it(text: str) -> None:
    read = parse_filter(text)

    assert all(read.lets_through(quote) in (True, False) for quote in QUOTES)


@given(
    st.lists(st.sampled_from(("vram>=24", "price<.2", "rel>.99", "-se", "4090", "eu", "time<", "-")), max_size=5),
    st.sampled_from(("vram<24", "price>=.3", "us", "-rtx")),
)
def test_another_term_never_lets_more_through(typed: list[str], more: str) -> None:
    before, after = parse_filter(" ".join(typed)), parse_filter(" ".join((*typed, more)))

    assert all(before.lets_through(quote) for quote in QUOTES if after.lets_through(quote))


@given(
    st.sampled_from(FIELDS),
    st.sampled_from((">=", "<=", ">", "<", "=")),
    st.decimals(0, 1000, places=2).map(str),
)
def test_of_what_is_known_a_term_and_its_contrary_hold_never_both(field: str, sign: str, number: str) -> None:
    term = f"{field}{sign}{number}"
    quote = a_quote(cuda=(12, 4))

    assert parse_filter(term).lets_through(quote) is not parse_filter(f"-{term}").lets_through(quote)
