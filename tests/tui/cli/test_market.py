"""``keys``, ``offers``, ``rentals`` and ``terminate`` as they are typed, against providers on loopback."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui.domain.offers import OfferQuery
from loratui.providers.base import Provider
from loratui.providers.runpod import RunPod
from loratui.providers.vast import Vast
from support.fake_runpod import FakeRunPod
from support.fake_vast import FakeVast
from support.local_cli import LocalCli, local_cli
from tui.providers.contract import order


@pytest.fixture
def cli(tmp_path: Path, vast: FakeVast, runpod: FakeRunPod) -> Iterator[LocalCli]:
    with local_cli(
        tmp_path,
        LORATUI_PROVIDERS__VAST__URL=vast.url,
        LORATUI_PROVIDERS__VAST__SPACING="0",
        LORATUI_PROVIDERS__RUNPOD__URL=runpod.url,
        LORATUI_PROVIDERS__RUNPOD__GRAPHQL_URL=runpod.graphql_url,
    ) as cli:
        yield cli


def with_keys(cli: LocalCli, vast: FakeVast, runpod: FakeRunPod) -> None:
    cli.environment |= {"LORATUI_VAST_API_KEY": vast.key, "LORATUI_RUNPOD_API_KEY": runpod.key}


def rent(provider: Provider, label: str) -> str:
    """Rent the cheapest offer; return the instance's id."""

    async def go() -> str:
        [offer, *_] = await provider.offers(OfferQuery())
        rented = await provider.create(order(offer, label))
        await provider.close()
        return rented.instance_id

    return asyncio.run(go())


def rent_both(vast: FakeVast, runpod: FakeRunPod) -> tuple[str, str]:
    return (
        rent(Vast(vast.key, url=vast.url, retry_first_s=1e-4), "loratui-one"),
        rent(RunPod(runpod.key, runpod.url, runpod.graphql_url, 1e-4), "loratui-two"),
    )


def test_a_key_is_tried_before_it_is_kept_and_never_shown(cli: LocalCli, vast: FakeVast) -> None:
    wrong = cli.start("keys", "vast", typed="wrong-key-canary\n")
    assert wrong.finish() == 4
    assert "[provider.key]" in "\n".join(wrong.errors)
    assert cli.run("keys").lines[0].startswith("vast     no key")
    entered = cli.start("keys", "vast", typed=f"{vast.key}\n")
    assert entered.finish() == 0, entered.errors
    [line] = entered.lines
    assert "the key works" in line
    assert "Balance $25.00" in line
    kept = cli.folder / "config" / "keys" / "vast"
    assert kept.read_text().strip() == vast.key
    shown = cli.run("keys")
    said = "\n".join([*wrong.lines, *wrong.errors, *entered.lines, *entered.errors, *shown.lines])
    assert vast.key not in said
    assert "canary" not in said
    assert cli.run("keys", "vast", "--forget").finish() == 0
    assert not kept.exists()


def test_offers_of_all_providers_come_cheapest_first_and_fit(cli: LocalCli, vast: FakeVast, runpod: FakeRunPod) -> None:
    with_keys(cli, vast, runpod)
    listed = cli.run("offers", "--vram", "24", "--json")
    assert listed.finish() == 0, listed.errors
    offers = json.loads(listed.lines[0])
    assert {offer["provider"] for offer in offers} == {"vast", "runpod"}
    prices = [offer["usd_per_h"] for offer in offers]
    assert prices == sorted(prices)
    assert all(offer["vram_gib"] >= 22 for offer in offers)
    rows = cli.run("offers", "--gpu", "4090").lines
    assert rows
    assert all("4090" in row for row in rows)


def test_without_a_key_only_what_anyone_may_see_is_shown(cli: LocalCli) -> None:
    listed = cli.run("offers", "--json")
    assert listed.finish() == 0, listed.errors
    assert {offer["provider"] for offer in json.loads(listed.lines[0])} == {"vast"}
    refused = cli.run("offers", "--provider", "runpod")
    assert refused.finish() == 2
    assert "loratui keys runpod" in "\n".join(refused.errors)


@pytest.mark.parametrize(("name", "word"), [("gpuflow", "chat API keys"), ("lambda", "no provider")])
def test_a_provider_that_is_not_there_is_said_to_be_none(cli: LocalCli, name: str, word: str) -> None:
    refused = cli.run("offers", "--provider", name)
    assert refused.finish() == 2
    assert word in "\n".join(refused.errors)


def test_rentals_name_everything_of_ours_and_an_answer_that_makes_no_sense_is_not_nothing(
    cli: LocalCli, vast: FakeVast, runpod: FakeRunPod
) -> None:
    with_keys(cli, vast, runpod)
    assert cli.run("rentals").lines == ["nothing is rented"]
    one, two = rent_both(vast, runpod)
    listed = json.loads(cli.run("rentals", "--json").lines[0])
    assert {(each["provider"], each["id"], each["label"]) for each in listed["rentals"]} == {
        ("vast", one, "loratui-one"),
        ("runpod", two, "loratui-two"),
    }
    vast.answer("list", 200, b'""', times=100)
    broken = cli.run("rentals")
    assert broken.finish() == 5
    assert "nobody knows what is rented there" in "\n".join(broken.errors)
    assert any("loratui-two" in line for line in broken.lines)


def test_terminate_ends_one_or_all_and_says_so_when_the_provider_shows_it(
    cli: LocalCli, vast: FakeVast, runpod: FakeRunPod
) -> None:
    with_keys(cli, vast, runpod)
    rent_both(vast, runpod)
    unasked = cli.run("terminate", "--all")
    assert unasked.finish() == 2
    assert (vast.num_living(), runpod.num_living()) == (1, 1)
    one = cli.run("terminate", "loratui-one", "--yes")
    assert one.finish() == 0, one.errors
    assert one.lines == ["1 ended, and shown gone by the provider"]
    assert (vast.num_living(), runpod.num_living()) == (0, 1)
    rest = cli.run("terminate", "--all", "--yes")
    assert rest.finish() == 0, rest.errors
    assert runpod.num_living() == 0
    assert cli.run("terminate", "--all", "--yes").lines == ["nothing is rented"]
    nobody = cli.run("terminate", "loratui-one", "--yes")
    assert nobody.finish() == 2


def test_what_may_still_bill_is_said_with_where_to_end_it(cli: LocalCli, vast: FakeVast, runpod: FakeRunPod) -> None:
    with_keys(cli, vast, runpod)
    rent_both(vast, runpod)
    vast.answer("list", 200, b"[]", times=100)
    ended = cli.run("terminate", "--all", "--yes")
    assert ended.finish() == 5
    said = "\n".join(ended.errors)
    assert "STILL BILLING, perhaps: whatever is at vast" in said
    assert "https://cloud.vast.ai/instances/" in said
    assert runpod.num_living() == 0, "one provider's trouble is no other's"


def test_which_rental_is_to_be_said(cli: LocalCli) -> None:
    assert cli.run("terminate").finish() == 2
    assert cli.run("terminate", "x", "--all").finish() == 2
