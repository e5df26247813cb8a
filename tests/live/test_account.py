"""What costs nothing: the key and its scopes, real offers, the listing, and what the documents leave open."""

import httpx
import pytest

from loratui.domain import formatting
from loratui.domain.offers import OfferQuery, fits
from loratui.providers.http import USER_AGENT
from loratui.providers.runpod import URL as RUNPOD_URL
from loratui.sessions.market import SCOPES
from loratui.store.keys import Keys
from support.live import CAP_MICROUSD, Live, observed

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
RUNPOD_V1_URL = "https://rest.runpod.io/v1/pods"


async def test_the_key_opens_an_account_with_all_that_is_needed(live: Live) -> None:
    account = await live.provider.account()
    name = live.provider.name
    print(f"{name}: balance {formatting.money(account.balance_microusd)}", flush=True)
    assert account.id, "whose it is has to be known to prove an end"
    assert not account.missing_scopes, f"needed: {SCOPES[name]}"
    assert account.balance_microusd >= CAP_MICROUSD, "a rental of this set may cost that much"


async def test_offers_are_understood_and_meet_what_was_asked_for(live: Live) -> None:
    for query in (OfferQuery(), OfferQuery(min_vram_mib=20_000, only_datacenters=True, min_cuda=(12, 8))):
        offers = await live.provider.offers(query)
        assert offers, query
        assert all(fits(offer, query) for offer in offers)
        assert all(10_000 < offer.price_microusd_per_h < 100_000_000 for offer in offers)
        assert len({offer.id for offer in offers}) == len(offers)
        prices = [offer.price_microusd_per_h for offer in offers]
        observed(
            f"{live.provider.name}: {len(offers)} offers, {formatting.hourly_price(prices[0])} to "
            f"{formatting.hourly_price(prices[-1])}, {len({offer.gpu_name for offer in offers})} kinds of GPU"
        )
    now = await live.provider.price_now(offers[0])
    assert (now.id, now.gpu_name) == (offers[0].id, offers[0].gpu_name)


async def test_what_is_rented_is_listed_and_what_is_not_is_gone(live: Live) -> None:
    listed = await live.provider.list()
    print(f"{live.provider.name}: {len(listed)} rentals with a label of ours", flush=True)
    for instance in listed:
        assert await live.provider.get(instance.id) is not None
    assert await live.provider.get("1" if live.provider.name == "vast" else "nosuchpodatall0") is None


async def test_what_the_documents_leave_open_is_asked(live: Live) -> None:
    name, preferences = live.provider.name, live.preferences
    key = Keys(preferences.config_dir).read(name)
    assert key is not None
    headers = {"Authorization": f"Bearer {key.text}", "User-Agent": USER_AGENT}
    base = preferences.vast_url if name == "vast" else preferences.runpod_url
    path = "/api/v0/users/current/" if name == "vast" else "/pods"
    async with httpx.AsyncClient(headers=headers, timeout=30) as client:
        answer = await client.get(base + path)
        assert answer.status_code == 200
        limits = {each: value for each, value in answer.headers.items() if "rate" in each.lower()}
        observed(f"{name}: headers about limits: {limits or 'none'}")
        if name == "runpod" and base == RUNPOD_URL:
            old = await client.get(RUNPOD_V1_URL)
            observed(f"runpod: REST v1 answers {old.status_code}")
            described = await client.get(f"{base}/openapi.json")
            words = [word for word in ("entrypoint", "terminateAfter", "nextCursor") if word in described.text]
            observed(f"runpod: {base}/openapi.json answers {described.status_code}; it names {words or 'none of them'}")
