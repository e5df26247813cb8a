"""What RunPod was asked for is looked through again: a server that heeds nothing of it leads to no other machine."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from loratui.domain.offers import OfferQuery
from loratui.providers.runpod import RunPod
from support.fake_runpod import FakeRunPod, fake_runpod


@pytest.fixture
def fake() -> Iterator[FakeRunPod]:
    with fake_runpod() as fake:
        yield fake


@pytest.fixture
async def provider(fake: FakeRunPod) -> AsyncIterator[RunPod]:
    provider = RunPod(fake.key, fake.url, fake.graphql_url, 1e-4)
    yield provider
    await provider.close()


def answer_with_everything(fake: FakeRunPod, **changes: Any) -> None:
    content = json.dumps({"gpus": [{**gpu, **changes} for gpu in fake.gpus]}).encode()
    fake.answer("offers", 200, content, times=10, content_type="application/json")


async def test_gpus_with_older_drivers_are_left_out_where_the_catalog_names_them(
    fake: FakeRunPod, provider: RunPod
) -> None:
    answer_with_everything(fake)
    names = {offer.gpu_name for offer in await provider.offers(OfferQuery(min_cuda=(12, 8)))}
    assert "RTX 4090" in names
    assert "RTX 3090" not in names


async def test_where_the_catalog_names_no_drivers_its_own_filter_is_believed(
    fake: FakeRunPod, provider: RunPod
) -> None:
    answer_with_everything(fake, cudaVersions=None)
    names = {offer.gpu_name for offer in await provider.offers(OfferQuery(min_cuda=(12, 8)))}
    assert {"RTX 4090", "RTX 3090"} <= names


async def test_a_kind_of_pod_is_named_alike_whatever_else_was_asked_for(fake: FakeRunPod, provider: RunPod) -> None:
    plain = {offer.kind for offer in await provider.offers(OfferQuery())}
    assert {"NVIDIA RTX A5000 SECURE", "NVIDIA RTX A5000 COMMUNITY"} <= plain
    assert {offer.kind for offer in await provider.offers(OfferQuery(min_cuda=(12, 8), disk_gb=99))} < plain
    there = await provider.offers(OfferQuery(regions=frozenset({"SE"})))
    assert "NVIDIA RTX A5000 SECURE SE" in {offer.kind for offer in there}, "another place is another chance"
    for offer in there:
        assert (await provider.price_now(offer)).kind == offer.kind


@pytest.mark.parametrize("region", ["SE", "RO", "US"])
async def test_a_rental_is_asked_for_in_no_other_country(fake: FakeRunPod, provider: RunPod, region: str) -> None:
    answer_with_everything(fake)
    offers = await provider.offers(OfferQuery(regions=frozenset({region})))
    assert offers
    places = {place for offer in offers for place in offer.id.split("|")[3].split(",")}
    assert places
    assert all(region in place.split("-") for place in places)


async def test_a_place_whose_id_tells_of_no_country_is_where_the_server_says(
    fake: FakeRunPod, provider: RunPod
) -> None:
    answer_with_everything(fake, dataCenters=[{"id": "north", "name": "North", "availability": "HIGH"}])
    offers = await provider.offers(OfferQuery(regions=frozenset({"SE"})))
    assert {offer.id.split("|")[3] for offer in offers} == {"north"}
