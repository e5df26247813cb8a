"""What a config can be trained on, asked of providers on loopback: offers, accounts, and terms that are agreed to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui.domain.estimate_ranking import SortBy
from loratui.providers.base import ProviderError
from loratui.sessions.market_look import look_at_market, terms_of
from loratui.sessions.provider_keys import keep_key
from loratui.store.keys import Keys
from loratui_protocol.errors import UsageError
from support.market_here import MarketHere, market_here


@pytest.fixture
def here(tmp_path: Path) -> Iterator[MarketHere]:
    with market_here(tmp_path) as here:
        yield here


def test_everything_that_is_shown_of_the_market_was_answered(here: MarketHere) -> None:
    market = look_at_market(here.config, here.preferences)

    assert {quote.offer.provider for quote in market.quoted.ranked} == {"vast", "runpod"}
    assert market.accounts["vast"].balance_microusd == 25_000_000
    assert not market.lacking
    assert market.is_first
    totals = [quote.estimate.p50_microusd for quote in market.ordered(SortBy.TOTAL) if quote.estimate.is_speed_known]
    prices = [quote.offer.price_microusd_per_h for quote in market.ordered(SortBy.PRICE)]
    assert (totals, prices) == (sorted(totals), sorted(prices))
    assert len(prices) == len(market.quoted.ranked)


def test_without_a_key_offers_can_be_seen_and_not_rented(tmp_path: Path) -> None:
    with market_here(tmp_path, keys=()) as here:
        market = look_at_market(here.config, here.preferences)

        assert market.lacking == ("vast", "runpod")
        assert {quote.offer.provider for quote in market.quoted.ranked} == {"vast"}
        with pytest.raises(UsageError, match="no key of vast"):
            terms_of(market, market.quoted.ranked[0], here.preferences)


def test_an_account_that_can_not_be_asked_is_not_one_without_a_key(here: MarketHere) -> None:
    here.vast.answer("account", 403, b"{}", times=2)
    market = look_at_market(here.config, here.preferences)
    of_vast = next(quote for quote in market.quoted.ranked if quote.offer.provider == "vast")

    assert "vast" in market.failures
    with pytest.raises(UsageError, match="what is on the account is not known"):
        terms_of(market, of_vast, here.preferences)


def test_the_command_names_the_offer_its_price_and_what_was_agreed_to(here: MarketHere) -> None:
    market = look_at_market(here.config, here.preferences)
    quote = next(quote for quote in market.quoted.ranked if quote.offer.id == "103")
    terms = terms_of(market, quote, here.preferences)

    assert terms.budget_microusd % 10_000 == 0
    assert quote.estimate.p90_microusd < terms.limits.cap_microusd == terms.budget_microusd
    command = " ".join(terms.command(here.config))
    dearest = f"{quote.offer.price_microusd_per_h / 1e6:.6f}"
    assert f"--on vast --offer 103 --max-price {dearest} --budget {terms.budget_microusd / 1e6:.2f} " in command
    with pytest.raises(UsageError, match="is likely to cost"):
        terms_of(market, quote, here.preferences, budget_microusd=10)


def test_a_key_is_kept_once_it_works(tmp_path: Path) -> None:
    with market_here(tmp_path, keys=()) as here:
        with pytest.raises(ProviderError):
            keep_key("vast", "wrong-key-0123", here.preferences)
        assert Keys(here.preferences.config_dir).read("vast") is None

        where, account = keep_key("vast", here.vast.key, here.preferences)
        assert (Path(where).read_text().strip(), account.balance_microusd) == (here.vast.key, 25_000_000)
        assert not look_at_market(here.config, here.preferences).failures
