"""Vast.ai's adapter: the contract, and what is Vast.ai's own. Against the fake; its waits are scaled down."""

import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from loratui.domain.offers import Offer, OfferQuery
from loratui.providers.base import (
    Charges,
    InstanceState,
    OfferGoneError,
    ProviderBusyError,
    ProviderError,
    ProviderRefusedError,
    Rented,
    SshAddress,
    UnknownFateError,
)
from loratui.providers.vast import Vast
from loratui.providers.vast_requests import MAX_START_SCRIPT_BYTES
from support.fake_vast import STATUSES, FakeInstance, FakeVast, ask, fake_vast
from support.vast_schema import INSTANCE, OFFER, violations
from tui.providers.contract import PUBLIC_KEY, ProviderContract, order, until

FAST_S = 1e-4
THEIR_KEY = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC3 somebody@else"


@dataclass
class VastRig:
    provider: Vast
    fake: FakeVast
    stranger: Vast

    async def rent(self) -> Rented:
        [offer, *_] = await self.provider.offers(OfferQuery())
        return await self.provider.create(order(offer))

    def sent(self, kind: str) -> Any:
        """Return what the last request of a kind said."""
        return [body for each, _, body in self.fake.requests if each == kind][-1]

    def rental(self, rented: Rented) -> FakeInstance:
        return self.fake.instances[int(rented.instance_id)]


@pytest.fixture
async def rig() -> AsyncIterator[VastRig]:
    with fake_vast() as fake:
        fake.account_keys[90] = THEIR_KEY
        provider, stranger = (
            Vast(key, url=fake.url, retry_first_s=FAST_S) for key in (fake.key, "not-a-key-of-theirs")
        )
        yield VastRig(provider, fake, stranger)
        await provider.close()
        await stranger.close()


class TestVast(ProviderContract):
    pass


class TestOffers:
    async def test_prices_can_be_looked_at_without_a_key(self, rig: VastRig) -> None:
        anybody = Vast(url=rig.fake.url, retry_first_s=FAST_S)
        assert await anybody.offers(OfferQuery())
        await anybody.close()

    async def test_a_program_with_a_name_asks(self, rig: VastRig) -> None:
        await rig.provider.offers(OfferQuery())
        [name] = rig.fake.user_agents
        assert name.startswith("loratui")

    async def test_the_price_is_exact_and_has_the_disk_in_it(self, rig: VastRig) -> None:
        by_id = {offer.id: offer for offer in await rig.provider.offers(OfferQuery(disk_gb=60))}
        assert rig.sent("offers")["allocated_storage"] == 60
        # 0.3403 + 60 * 0.15 / 720
        assert by_id["101"].price_microusd_per_h == 352_800
        assert (by_id["101"].stopped_microusd_per_h, by_id["101"].disk_microusd_per_h) == (12_500, 12_500)
        # 0.3001 + 60 * 0.9 / 720: the cheapest GPU of its kind is the dearest machine.
        assert by_id["105"].price_microusd_per_h == 375_100
        assert (by_id["101"].sent_microusd_per_gb, by_id["101"].received_microusd_per_gb) == (3907, 1954)

    async def test_offers_are_ordered_by_the_whole_price(self, rig: VastRig) -> None:
        offers = await rig.provider.offers(OfferQuery(disk_gb=400))
        assert [offer.id for offer in offers] == ["102", "101", "104", "103", "105"]

    async def test_a_price_that_forgot_the_disk_is_put_right(self, rig: VastRig) -> None:
        rig.fake.ignores_disk = True
        [offer] = [each for each in await rig.provider.offers(OfferQuery(disk_gb=60)) if each.id == "101"]
        assert offer.price_microusd_per_h == 352_800

    async def test_their_units_become_ours(self, rig: VastRig) -> None:
        by_id = {offer.id: offer for offer in await rig.provider.offers(OfferQuery())}
        first = by_id["101"]
        assert (first.gpu_name, first.vram_mib, first.driver) == ("RTX 4090", 24_564, "570.133.20")
        assert (first.compute_capability, first.cuda) == ((8, 9), (12, 8))
        assert (by_id["103"].compute_capability, by_id["103"].cuda) == ((12, 0), (13, 0))
        assert (first.num_cpus, first.download_mbit_s, first.upload_mbit_s) == (32, 842.9, 713.2)
        assert first.ram_gib == pytest.approx(515_896 / 4 / 1024)
        assert by_id["102"].ram_gib is None
        assert (first.region, by_id["102"].region, by_id["104"].region) == ("SE", "NO", "US")
        assert (first.is_datacenter, by_id["104"].is_datacenter) == (False, True)
        assert (first.machine, first.longest_s, first.reliability) == ("2101", 1_987_200.0, 0.9971)

    async def test_what_nobody_should_rent_never_comes_even_if_the_server_ignores_the_filters(
        self, rig: VastRig
    ) -> None:
        wanted = [offer.id for offer in await rig.provider.offers(OfferQuery())]
        rig.fake.ignores_filters = True
        offers = await rig.provider.offers(OfferQuery(limit=1000))
        assert [offer.id for offer in offers] == wanted == ["102", "101", "105", "104", "103"]
        assert min(offer.price_microusd_per_h for offer in offers) > 160_000

    async def test_an_offer_that_can_be_outbid_never_comes(self, rig: VastRig) -> None:
        rig.fake.asks = {301: ask(301, "RTX 4090", 24_564, 0.1, is_bid=True)}
        assert await rig.provider.offers(OfferQuery()) == []
        assert rig.sent("offers")["type"] == "on-demand"

    async def test_the_server_is_asked_for_what_is_wanted_in_its_units(self, rig: VastRig) -> None:
        await rig.provider.offers(
            OfferQuery(
                min_vram_mib=20_000,
                min_cuda=(12, 8),
                min_compute_capability=(7, 5),
                min_download_mbit_s=200,
                max_price_microusd_per_h=352_800,
                regions=frozenset({"SE", "NO"}),
                only_datacenters=True,
                min_duration_s=3600,
            )
        )
        asked = rig.sent("offers")
        expected = {
            "num_gpus": {"eq": 1},
            "verified": {"eq": True},
            "rentable": {"eq": True},
            "direct_port_count": {"gte": 2},
            "cpu_arch": {"eq": "amd64"},
            "gpu_ram": {"gte": 20_000},
            "cuda_max_good": {"gte": 12.8},
            "compute_cap": {"gte": 750},
            "inet_down": {"gte": 200},
            "dph_total": {"lte": 0.3528},
            "geolocation": {"in": ["NO", "SE"]},
            "datacenter": {"eq": True},
            "duration": {"gte": 3600},
            "reliability": {"gte": 0.98},
        }
        assert expected.items() <= asked.items()

    async def test_a_highest_price_is_met_to_the_last_digit(self, rig: VastRig) -> None:
        just, less = (OfferQuery(disk_gb=60, max_price_microusd_per_h=price) for price in (352_800, 352_799))
        assert "101" in [offer.id for offer in await rig.provider.offers(just)]
        assert "101" not in [offer.id for offer in await rig.provider.offers(less)]

    @pytest.mark.parametrize("name", ["RTX_4090", "rtx 4090", "4090"])
    async def test_a_gpu_is_found_by_its_name_however_it_is_written(self, rig: VastRig, name: str) -> None:
        assert {offer.id for offer in await rig.provider.offers(OfferQuery(gpu_name=name))} == {"101", "105"}

    async def test_one_offer_that_makes_no_sense_is_left_out_but_only_such_is_an_error(self, rig: VastRig) -> None:
        for odd in ({"dph_total": "cheap"}, {"storage_cost": None}, {"gpu_ram": -1}, {"is_bid": 0}, {"id": "101"}):
            good = ask(101, "RTX 4090", 24_564, 0.3, dph_total=0.31)
            rig.fake.answer("offers", 200, json.dumps({"offers": [{**good, **odd}, good]}).encode())
            assert len(await rig.provider.offers(OfferQuery())) == 1
            rig.fake.answer("offers", 200, json.dumps({"offers": [{**good, **odd}]}).encode())
            with pytest.raises(ProviderError):
                await rig.provider.offers(OfferQuery())

    @pytest.mark.parametrize("price", ["1e999999999", "NaN", "Infinity", "-0.1", "1" * 5000])
    async def test_a_price_that_is_no_price_is_an_error(self, rig: VastRig, price: str) -> None:
        listed = json.dumps({"offers": [ask(101, "RTX 4090", 24_564, 0.3, dph_total="PRICE")]})
        rig.fake.answer("offers", 200, listed.replace('"PRICE"', price).encode())
        with pytest.raises(ProviderError):
            await rig.provider.offers(OfferQuery())

    async def test_the_price_now_is_for_the_same_disk(self, rig: VastRig) -> None:
        [offer] = [each for each in await rig.provider.offers(OfferQuery(disk_gb=200)) if each.id == "101"]
        assert await rig.provider.price_now(offer) == offer
        assert rig.sent("offers")["id"] == {"eq": 101}

    async def test_another_offer_does_not_pass_for_the_one_that_is_gone(self, rig: VastRig) -> None:
        [offer] = [each for each in await rig.provider.offers(OfferQuery()) if each.id == "101"]
        other = ask(105, "RTX 4090", 24_564, 0.3, dph_total=0.31)
        rig.fake.answer("offers", 200, json.dumps({"offers": [other]}).encode())
        with pytest.raises(OfferGoneError):
            await rig.provider.price_now(offer)

    async def test_an_offer_that_is_rented_meanwhile_has_no_price(self, rig: VastRig) -> None:
        [offer] = [each for each in await rig.provider.offers(OfferQuery()) if each.id == "101"]
        rig.fake.asks[101]["rented"] = True
        with pytest.raises(OfferGoneError):
            await rig.provider.price_now(offer)

    async def test_texts_are_cleaned_and_bounded(self, rig: VastRig) -> None:
        rig.fake.asks[101]["gpu_name"] = "\x1b[31mRTX\u202e 4090\n" + "x" * 5000
        [offer] = [each for each in await rig.provider.offers(OfferQuery()) if each.id == "101"]
        assert re.fullmatch(r"\[31mRTX 4090 x+", offer.gpu_name)
        assert len(offer.gpu_name) <= 64


class TestPace:
    async def test_requests_keep_the_distance_that_the_server_wants(self) -> None:
        # Its own intervals, at a tenth: 2 s for an instance, 1 s for keys. Less leaves a busy machine no margin.
        with fake_vast(FakeVast(intervals_s={"get": 0.2, "keys": 0.1})) as fake:
            provider = Vast(fake.key, url=fake.url, retry_first_s=0.1)
            for _ in range(4):
                await provider.get("1")
            await provider.close()
        assert fake.num_requests("get") == 4

    @pytest.mark.parametrize(
        ("content", "content_type"),
        [
            (b"API requests too frequent", "text/plain"),
            (b"API requests too frequent: endpoint threshold=2.0", "text/html"),
            (b'{"detail": "API requests too frequent endpoint threshold=3.0"}', "application/json"),
        ],
    )
    async def test_too_frequent_is_waited_out_though_no_time_is_named(
        self, rig: VastRig, content: bytes, content_type: str
    ) -> None:
        provider = Vast(rig.fake.key, url=rig.fake.url, retry_first_s=0.01)
        rig.fake.answer("get", 429, content, content_type=content_type)
        begun_s = time.monotonic()
        assert await provider.get("1") is None
        assert time.monotonic() - begun_s >= 0.05
        await provider.close()

    async def test_a_create_that_was_too_frequent_did_nothing_and_is_not_sent_again(self, rig: VastRig) -> None:
        [offer, *_] = await rig.provider.offers(OfferQuery())
        rig.fake.answer("create", 429, b"API requests too frequent", content_type="text/plain")
        with pytest.raises(ProviderBusyError):
            await rig.provider.create(order(offer))
        assert (rig.fake.num_requests("create"), rig.fake.num_living()) == (1, 0)


class TestCreate:
    async def test_what_is_sent_is_what_was_ordered(self, rig: VastRig) -> None:
        [offer, *_] = await rig.provider.offers(OfferQuery(disk_gb=60))
        wanted = order(offer)
        rented = await rig.provider.create(wanted)
        assert rig.sent("create") == {
            "client_id": "me",
            "image": wanted.image,
            "label": wanted.label,
            "disk": 60,
            "runtype": "ssh_direct",
            "target_state": "running",
            "cancel_unavail": True,
            "env": {"LORATUI_DEADLINE": "1763931200"},
            "onstart": wanted.start_script,
        }
        assert rented.scoped_key == rig.rental(rented).api_key

    async def test_the_key_handed_out_can_end_this_instance_and_nothing_else(self, rig: VastRig) -> None:
        first, second = await rig.rent(), await rig.rent()
        box = Vast(first.scoped_key, url=rig.fake.url, retry_first_s=FAST_S)
        assert await box.get(first.instance_id) is not None
        for refused in (box.get(second.instance_id), box.end(second.instance_id), box.list(), box.account()):
            with pytest.raises(ProviderRefusedError):
                await refused
        await box.end(first.instance_id)
        assert rig.fake.num_living() == 1
        await box.close()

    async def test_a_rental_without_a_key_of_its_own_is_still_a_rental(self, rig: VastRig) -> None:
        [offer, *_] = await rig.provider.offers(OfferQuery())
        rig.fake.answer("create", 200, b'{"success": true, "new_contract": 77, "instance_api_key": null}')
        assert await rig.provider.create(order(offer)) == Rented(instance_id="77")

    async def test_our_key_is_on_the_account_before_and_on_the_machine_after(self, rig: VastRig) -> None:
        rented = await rig.rent()
        kinds = [kind for kind, _, _ in rig.fake.requests]
        assert kinds == ["offers", "keys", "new_key", "create", "attach"]
        assert rig.rental(rented).public_keys == [THEIR_KEY, PUBLIC_KEY]

    async def test_our_key_is_not_put_on_the_account_twice(self, rig: VastRig) -> None:
        rig.fake.account_keys[91] = PUBLIC_KEY.rsplit(" ", 1)[0] + " another comment"
        await rig.rent()
        assert rig.fake.num_requests("new_key") == 0

    @pytest.mark.parametrize("status", [200, 400, 404, 500])
    async def test_a_key_that_is_on_the_account_alone_will_do(self, rig: VastRig, status: int) -> None:
        rig.fake.answer("attach", status, b"{}")
        rented = await rig.rent()
        assert rig.rental(rented).public_keys == [THEIR_KEY, PUBLIC_KEY]

    async def test_a_team_has_no_keys_and_the_machine_takes_ours(self, rig: VastRig) -> None:
        rig.fake.is_team = True
        assert PUBLIC_KEY in rig.rental(await rig.rent()).public_keys

    async def test_a_machine_that_lets_nobody_in_is_ended(self, rig: VastRig) -> None:
        rig.fake.is_team = True
        rig.fake.answer("attach", 400, b'{"success": false, "error": "invalid_args", "msg": "no"}')
        with pytest.raises(ProviderRefusedError):
            await rig.rent()
        assert (rig.fake.num_requests("create"), rig.fake.num_living()) == (1, 0)

    async def test_a_key_that_may_not_register_ours_rents_nothing(self, rig: VastRig) -> None:
        rig.fake.lacks_scopes = {"new_key"}
        with pytest.raises(ProviderRefusedError) as caught:
            await rig.rent()
        assert caught.value.code == "provider.scope"
        assert rig.fake.num_requests("create") == 0

    @pytest.mark.parametrize(
        ("status", "error", "words"),
        [
            (404, "invalid_args", "error 404/3603: no_such_ask Instance type by id 101 is not available."),
            (410, "no_such_ask", "error 410/3907: no_such_ask Instance type 101 is no longer available."),
            (400, "invalid_price", "the quote is stale"),
        ],
    )
    async def test_an_offer_that_went_leads_to_the_next(
        self, rig: VastRig, status: int, error: str, words: str
    ) -> None:
        rig.fake.answer("create", status, json.dumps({"success": False, "error": error, "msg": words}).encode())
        with pytest.raises(OfferGoneError):
            await rig.rent()

    @pytest.mark.parametrize(
        ("status", "said", "code"),
        [
            (400, {"success": False, "error": "insufficient_credit", "msg": "lacks credit"}, "provider.balance"),
            (403, {"error": "missing_billing", "msg": "no card"}, "provider.balance"),
            (402, {"msg": "pay first"}, "provider.balance"),
            (400, {"error": "spend_rate_limit", "msg": "new account"}, "provider.limit"),
            (200, {"success": False, "msg": "error: spend_rate_limit reached"}, "provider.limit"),
            (401, {"error": "auth_error", "msg": "Invalid"}, "provider.key"),
            (404, {"error": "auth_error", "msg": "Invalid user key"}, "provider.key"),
            (403, {"msg": "not allowed"}, "provider.scope"),
            (403, {"error": "invalid_args", "msg": "error 403/3586: Offer 101 is not your own."}, "provider.request"),
            (400, {"error": "invalid_args", "msg": "error 400/3467: Invalid args", "ask_id": 101}, "provider.request"),
            (400, {"message": "label_too_long"}, "provider.request"),
        ],
    )
    async def test_what_it_refuses_is_said_for_what_it_is(
        self, rig: VastRig, status: int, said: dict[str, Any], code: str
    ) -> None:
        rig.fake.answer("create", status, json.dumps(said).encode())
        with pytest.raises(ProviderRefusedError) as caught:
            await rig.rent()
        assert caught.value.code == code

    @pytest.mark.parametrize(
        ("status", "content"),
        [
            (404, b"<html>nginx</html>"),
            (400, b"{}"),
            (302, b""),
            (200, b'{"success": true}'),
            (200, b'{"success": true, "new_contract": "12"}'),
            (200, b'{"success": true, "new_contract": true}'),
            (200, b'{"success": true, "new_contract": -5}'),
        ],
    )
    async def test_what_is_neither_a_yes_nor_a_no_leaves_its_fate_unknown(
        self, rig: VastRig, status: int, content: bytes
    ) -> None:
        rig.fake.answer("create", status, content)
        with pytest.raises(UnknownFateError):
            await rig.rent()

    async def test_a_refusal_that_created_an_instance_ends_it(self, rig: VastRig) -> None:
        rig.fake.creates_and_refuses = True
        with pytest.raises(OfferGoneError):
            await rig.rent()
        assert (rig.fake.num_living(), len(rig.fake.ended)) == (0, 1)
        assert rig.fake.num_requests("get") == 2

    @pytest.mark.parametrize(
        ("kind", "status", "content"),
        [
            ("end", 200, b'{"success": true}'),
            ("end", 503, b"maintenance"),
            ("end", 400, b'{"success": false, "error": "oops", "msg": "no"}'),
            ("get", 200, b""),
            ("get", 503, b"maintenance"),
        ],
    )
    async def test_a_refusal_that_created_what_can_not_be_ended_names_it(
        self, rig: VastRig, kind: str, status: int, content: bytes
    ) -> None:
        rig.fake.creates_and_refuses = True
        rig.fake.answer(kind, status, content, times=10)
        with pytest.raises(UnknownFateError) as caught:
            await rig.rent()
        [made] = {**rig.fake.instances, **rig.fake.ended}
        assert caught.value.instance_id == str(made)

    @pytest.mark.parametrize(
        ("status", "said"),
        [(400, {"success": False}), (200, {"error": "invalid_args"}), (200, {}), (302, {"success": True})],
    )
    async def test_an_instance_in_anything_but_a_plain_yes_is_ended(
        self, rig: VastRig, status: int, said: dict[str, Any]
    ) -> None:
        rented = await rig.rent()
        rig.fake.answer("create", status, json.dumps({**said, "new_contract": int(rented.instance_id)}).encode())
        with pytest.raises(ProviderRefusedError):
            await rig.rent()
        assert rig.fake.num_living() == 0

    async def test_a_start_script_that_does_not_fit_is_refused_before_anything_is_sent(self, rig: VastRig) -> None:
        [offer, *_] = await rig.provider.offers(OfferQuery())
        fits = replace(order(offer), start_script="#" * MAX_START_SCRIPT_BYTES)
        for too_long in (
            replace(fits, start_script=fits.start_script + "#"),
            replace(fits, start_script="\u00e4" * (MAX_START_SCRIPT_BYTES // 2 + 1)),
            replace(fits, label="loratui-" + "x" * 250),
            replace(fits, image="x" * 1025),
            replace(fits, environment={"NAME": "x" * 32_768}),
            replace(fits, disk_gb=offer.disk_gb + 1),
        ):
            with pytest.raises(ProviderRefusedError) as caught:
                await rig.provider.create(too_long)
            assert caught.value.code == "provider.request"
        assert {kind for kind, _, _ in rig.fake.requests} == {"offers"}
        await rig.provider.create(fits)

    async def test_nothing_is_rented_above_the_confirmed_price(self, rig: VastRig) -> None:
        [offer, *_] = await rig.provider.offers(OfferQuery())
        with pytest.raises(OfferGoneError):
            await rig.provider.create(replace(order(offer), max_price_microusd_per_h=offer.price_microusd_per_h - 1))
        assert rig.fake.num_requests("create") == 0

    async def test_nothing_but_a_number_gets_into_a_path(self, rig: VastRig) -> None:
        [offer, *_] = await rig.provider.offers(OfferQuery())
        for call in (
            rig.provider.get("1/../2"),
            rig.provider.end("*"),
            rig.provider.end("1" * 5000),
            rig.provider.charges("\u0661"),
            rig.provider.create(order(replace(offer, id="1?x=1"))),
            rig.provider.price_now(replace(offer, id="")),
        ):
            with pytest.raises(ProviderRefusedError):
                await call


class TestGet:
    @pytest.mark.parametrize(
        ("says", "state"),
        [
            ({"actual_status": None}, InstanceState.STARTING),
            ({"actual_status": "created"}, InstanceState.STARTING),
            ({"actual_status": "loading"}, InstanceState.STARTING),
            ({"actual_status": "scheduling"}, InstanceState.STARTING),
            ({"actual_status": "rebooting"}, InstanceState.STARTING),
            ({"actual_status": "running"}, InstanceState.RUNNING),
            ({"actual_status": "stopped"}, InstanceState.STOPPED),
            ({"actual_status": "exited", "intended_status": "stopped"}, InstanceState.STOPPED),
            (
                {"actual_status": None, "intended_status": "stopped", "cur_state": "stopped", "next_state": "stopped"},
                InstanceState.STOPPED,
            ),
            ({"actual_status": "exited"}, InstanceState.FAILED),
            ({"actual_status": "error"}, InstanceState.FAILED),
            ({"actual_status": "offline"}, InstanceState.UNKNOWN),
            ({"actual_status": "unknown"}, InstanceState.UNKNOWN),
            ({"actual_status": "frozen"}, InstanceState.UNKNOWN),
            ({"actual_status": "a word from the future"}, InstanceState.UNKNOWN),
            *(
                ({"actual_status": "loading", "status_msg": words}, InstanceState.FAILED)
                for words in (
                    "Error response from daemon: pull access denied",
                    "failed to pull image",
                    "write /var/lib/docker: no space left on device",
                    "manifest unknown: manifest unknown",
                    "unauthorized: incorrect username or password",
                    "unexpected EOF",
                    "abc: OCI runtime create failed: runc",
                )
            ),
            ({"actual_status": "running", "status_msg": "Error response from daemon: old"}, InstanceState.RUNNING),
            ({"actual_status": "loading", "status_msg": "f1555660aa88: Download complete"}, InstanceState.STARTING),
        ],
    )
    async def test_their_words_become_a_state(self, rig: VastRig, says: dict[str, Any], state: InstanceState) -> None:
        rented = await rig.rent()
        rig.rental(rented).changes = says
        found = await rig.provider.get(rented.instance_id)
        assert found is not None
        assert found.state is state
        assert str(says["actual_status"] or "") in found.detail

    async def test_a_text_that_stands_still_fails_nothing(self, rig: VastRig) -> None:
        rented = await rig.rent()
        rig.rental(rented).changes = {"actual_status": "loading", "status_msg": "f1555660aa88: Download complete"}
        for _ in range(20):
            rig.fake.step()
            found = await rig.provider.get(rented.instance_id)
            assert found is not None
            assert (found.state, found.ssh) == (InstanceState.STARTING, None)

    async def test_a_host_that_is_offline_for_a_while_is_running_again_afterwards(self, rig: VastRig) -> None:
        rented = await rig.rent()
        await until(rig, rented.instance_id, lambda it: it.ssh)
        rig.rental(rented).changes = {"actual_status": "offline"}
        away = await rig.provider.get(rented.instance_id)
        assert away is not None
        assert (away.state, away.ssh) == (InstanceState.UNKNOWN, None)
        rig.rental(rented).changes = {}
        back = await rig.provider.get(rented.instance_id)
        assert back is not None
        assert (back.state, back.ssh is not None) == (InstanceState.RUNNING, True)

    async def test_it_runs_before_its_port_is_known_and_the_proxy_is_no_address(self, rig: VastRig) -> None:
        rented = await rig.rent()
        running = await until(rig, rented.instance_id, lambda it: it.state is InstanceState.RUNNING)
        assert running.ssh is None
        rig.fake.step()
        found = await rig.provider.get(rented.instance_id)
        assert found is not None
        assert found.ssh == SshAddress(host="203.0.113.42", port=40_000 + int(rented.instance_id) % 1000)
        assert rig.rental(rented).shown()["public_ipaddr"].endswith("\n")

    @pytest.mark.parametrize("ports", [None, {}, {"22/tcp": None}, {"22/tcp": []}, {"8080/tcp": [{"HostPort": "1"}]}])
    async def test_without_a_port_of_its_own_there_is_no_address(self, rig: VastRig, ports: Any) -> None:
        rented = await rig.rent()
        await until(rig, rented.instance_id, lambda it: it.ssh)
        rig.rental(rented).changes = {"ports": ports}
        found = await rig.provider.get(rented.instance_id)
        assert found is not None
        assert found.ssh is None

    @pytest.mark.parametrize(
        "says",
        [
            {"ports": {"22/tcp": [{"HostPort": "0"}]}},
            {"ports": {"22/tcp": [{"HostPort": "65536"}]}},
            {"ports": {"22/tcp": [{"HostPort": "22; rm"}]}},
            {"ports": {"22/tcp": ["34973"]}},
            {"ports": [34973]},
            {"public_ipaddr": "evil.example -oProxyCommand=x"},
            {"dph_total": None},
            {"dph_total": "0.35"},
            {"id": None},
            {"id": 4},
            {"label": 5},
        ],
    )
    async def test_an_instance_that_makes_no_sense_is_an_error(self, rig: VastRig, says: dict[str, Any]) -> None:
        rented = await rig.rent()
        await until(rig, rented.instance_id, lambda it: it.ssh)
        rig.rental(rented).changes = says
        with pytest.raises(ProviderError):
            await rig.provider.get(rented.instance_id)

    async def test_what_it_says_is_read(self, rig: VastRig) -> None:
        rented = await rig.rent()
        rig.rental(rented).changes = {"actual_status": "running", "status_msg": "\x1b[2Jsuccess,\nrunning " + "x" * 900}
        found = await rig.provider.get(rented.instance_id)
        assert found is not None
        assert found.detail.startswith("running: [2Jsuccess, running xx")
        assert len(found.detail) < 400
        assert (found.gpu_name, found.machine) == ("RTX 3090", "2102")
        assert found.created_ts == pytest.approx(time.time(), abs=60)
        # 0.1622 + 40 * 0.15 / 720, as it is said: to the millionth.
        assert found.price_microusd_per_h == 170_533

    async def test_a_price_that_rises_under_way_is_seen(self, rig: VastRig) -> None:
        rented = await rig.rent()
        rig.rental(rented).changes = {"dph_total": 0.9}
        found = await rig.provider.get(rented.instance_id)
        assert found is not None
        assert found.price_microusd_per_h == 900_000

    @pytest.mark.parametrize(
        ("status", "content"),
        [(200, b'{"instances": null}'), (404, b'{"success": false, "error": "no_such_instance", "msg": "not found"}')],
    )
    async def test_gone_is_what_it_says_in_so_many_words(self, rig: VastRig, status: int, content: bytes) -> None:
        rig.fake.answer("get", status, content)
        assert await rig.provider.get("7") is None

    @pytest.mark.parametrize(
        ("status", "content"),
        [
            (404, b'{"success": false, "error": "auth_error", "msg": "Invalid user key"}'),
            (404, b'{"success": false, "error": "not_found", "msg": "no such endpoint"}'),
            (404, b"{}"),
            (200, b'{"instances": {}}'),
            (200, b'{"instances": []}'),
            (200, b'{"instances": null, "success": false}'),
            (200, b'{"instances": null, "error": "oops"}'),
            (204, b""),
        ],
    )
    async def test_nothing_else_is_gone(self, rig: VastRig, status: int, content: bytes) -> None:
        rig.fake.answer("get", status, content)
        with pytest.raises(ProviderError):
            await rig.provider.get("7")


class TestList:
    async def test_all_pages_are_read(self, rig: VastRig) -> None:
        labels = [(await rig.rent()).instance_id for _ in range(5)]
        assert [found.id for found in await rig.provider.list()] == labels
        assert rig.fake.num_requests("list") == 3

    async def test_what_is_not_ours_is_not_looked_into(self, rig: VastRig) -> None:
        theirs, ours = await rig.rent(), await rig.rent()
        rig.rental(theirs).label = None
        rig.rental(theirs).changes = {"dph_total": None}
        assert [found.id for found in await rig.provider.list()] == [ours.instance_id]

    async def test_one_of_ours_that_makes_no_sense_makes_the_listing_an_error(self, rig: VastRig) -> None:
        rig.rental(await rig.rent()).changes = {"dph_total": None}
        with pytest.raises(ProviderError):
            await rig.provider.list()

    @pytest.mark.parametrize(
        "page",
        [
            {"instances": []},
            {"instances": [], "next_token": ""},
            {"instances": [], "next_token": 7},
            {"instances": [], "next_token": "again"},
            {"instances": None, "next_token": None},
            {"instances": {}, "next_token": None},
            {"instances": ["one"], "next_token": None},
            {"instances": [{"label": "loratui-x"}], "next_token": None},
            {"instances": [], "next_token": None, "success": False},
        ],
    )
    async def test_a_listing_that_does_not_end_as_one_does_is_an_error(
        self, rig: VastRig, page: dict[str, Any]
    ) -> None:
        rig.fake.answer("list", 200, json.dumps(page).encode(), times=1000)
        with pytest.raises(ProviderError):
            await rig.provider.list()
        assert rig.fake.num_requests("list") <= 2

    async def test_a_page_that_fails_fails_the_listing(self, rig: VastRig) -> None:
        for _ in range(3):
            await rig.rent()
        rig.fake.answer("list", 200, b'{"success": true, "instances": [], "next_token": "eyJzdGFydCI6IDJ9"}')
        rig.fake.answer("list", 400, b'{"success": false, "error": "invalid_token", "msg": "Invalid pagination token"}')
        with pytest.raises(ProviderError):
            await rig.provider.list()


class TestEnd:
    @pytest.mark.parametrize(
        ("status", "content"),
        [
            (404, b'{"success": false, "error": "no_such_instance", "msg": "Instance 7 not found."}'),
            (200, b'{"success": false, "error": "no_such_instance", "msg": "Instance 7 not found."}'),
            (404, b'{"error": "not_found", "msg": "Instance 7"}'),
        ],
    )
    async def test_what_is_gone_already_is_fine(self, rig: VastRig, status: int, content: bytes) -> None:
        rig.fake.answer("end", status, content)
        await rig.provider.end("7")

    @pytest.mark.parametrize(
        ("status", "content"),
        [
            (200, b""),
            (200, b"{}"),
            (200, b'{"success": false, "msg": "try later"}'),
            (404, b"<html>nginx</html>"),
            (404, b'{"success": false, "error": "auth_error", "msg": "Invalid user key"}'),
        ],
    )
    async def test_what_was_not_accepted_is_an_error(self, rig: VastRig, status: int, content: bytes) -> None:
        rig.fake.answer("end", status, content)
        with pytest.raises(ProviderError):
            await rig.provider.end("7")

    async def test_a_lost_answer_is_asked_for_again(self, rig: VastRig) -> None:
        rented = await rig.rent()
        rig.fake.lose_answers("end", carried_out=True)
        await rig.provider.end(rented.instance_id)
        assert (rig.fake.num_requests("end"), rig.fake.num_living()) == (2, 0)


class TestCharges:
    async def test_they_are_read_from_all_pages_and_by_kind(self, rig: VastRig) -> None:
        now_s = 1_763_924_000.0
        rig.fake.clock_s = lambda: now_s
        rented = await rig.rent()
        for _ in range(4):
            await rig.rent()
        await until(rig, rented.instance_id, lambda it: it.ssh)
        now_s += 7200
        await rig.provider.end(rented.instance_id)
        # Two hours of 0.1622, and of 40 * 0.15 / 720; 6 GB in, half a GB out.
        assert await rig.provider.charges(rented.instance_id) == Charges(
            total_microusd=355_000, gpu_microusd=324_000, disk_microusd=17_000, traffic_microusd=14_000
        )
        assert rig.fake.num_requests("charges") == 3

    async def test_what_the_records_do_not_know_yet_is_none(self, rig: VastRig) -> None:
        await rig.rent()
        assert await rig.provider.charges("7") is None

    async def test_a_credit_of_the_provider_counts_and_no_kind_is_invented(self, rig: VastRig) -> None:
        items = [{"type": "gpu", "amount": 1.5}, {"type": "sla", "amount": -0.25}]
        row = {"type": "instance", "source": "instance-7", "amount": 1.25, "items": items}
        rig.fake.answer("charges", 200, json.dumps({"success": True, "results": [row], "next_token": None}).encode())
        assert await rig.provider.charges("7") == Charges(total_microusd=1_250_000, gpu_microusd=1_500_000)

    async def test_a_key_that_may_not_read_them_says_so(self, rig: VastRig) -> None:
        rig.fake.lacks_scopes = {"charges"}
        with pytest.raises(ProviderRefusedError) as caught:
            await rig.provider.charges("7")
        assert caught.value.code == "provider.scope"

    @pytest.mark.parametrize("row", [{"source": "instance-7"}, {"source": "instance-7", "amount": 1, "items": 5}])
    async def test_records_that_make_no_sense_are_an_error(self, rig: VastRig, row: dict[str, Any]) -> None:
        rig.fake.answer("charges", 200, json.dumps({"results": [row], "next_token": None}).encode())
        with pytest.raises(ProviderError):
            await rig.provider.charges("7")


class TestTidy:
    async def test_our_key_goes_and_theirs_stays(self, rig: VastRig) -> None:
        await rig.rent()
        rig.fake.account_keys[95] = PUBLIC_KEY.replace(" loratui", " again")
        await rig.provider.tidy("loratui-x", PUBLIC_KEY)
        assert list(rig.fake.account_keys.values()) == [THEIR_KEY]
        await rig.provider.tidy("loratui-x", PUBLIC_KEY)

    async def test_a_key_that_somebody_else_took_away_is_fine(self, rig: VastRig) -> None:
        await rig.rent()
        rig.fake.answer("end_key", 400, b'{"success": false, "error": "no_ssh_key", "msg": "No ssh key provided"}')
        await rig.provider.tidy("loratui-x", PUBLIC_KEY)

    @pytest.mark.parametrize("content", [b"", b"{}", b'{"ssh_keys": []}', b'[{"id": "x"}]', b"[5]"])
    async def test_a_list_of_keys_that_makes_no_sense_is_an_error(self, rig: VastRig, content: bytes) -> None:
        rig.fake.answer("keys", 200, content)
        with pytest.raises(ProviderError):
            await rig.provider.tidy("loratui-x", PUBLIC_KEY)


class TestAccount:
    @pytest.mark.parametrize(
        ("said", "microusd"),
        [
            (b'{"id": 1, "credit": 25.0, "balance": 0}', 25_000_000),
            (b'{"id": 1, "balance": 0.1234567}', 123_456),
            (b'{"id": 1, "credit": null, "balance": 3}', 3_000_000),
            (b'{"id": 1, "credit": -0.5}', -500_000),
        ],
    )
    async def test_what_can_be_spent_is_the_credit(self, rig: VastRig, said: bytes, microusd: int) -> None:
        rig.fake.answer("account", 200, said)
        assert (await rig.provider.account()).balance_microusd == microusd

    @pytest.mark.parametrize("status", [401, 403, 404])
    async def test_a_wrong_key_is_one_whatever_status_it_has(self, rig: VastRig, status: int) -> None:
        rig.fake.wrong_key = (status, "Invalid user key" if status == 404 else "This action requires login.")
        for call in (
            rig.stranger.account(),
            rig.stranger.list(),
            rig.stranger.get("1"),
            rig.stranger.offers(OfferQuery()),
        ):
            with pytest.raises(ProviderRefusedError) as caught:
                await call
            assert caught.value.code == "provider.key"

    @pytest.mark.parametrize(
        ("lacks", "missing"),
        [(set(), []), ({"list"}, ["instance_read"]), ({"list", "charges"}, ["instance_read", "billing_read"])],
    )
    async def test_scopes_that_are_missing_are_named_as_far_as_they_can_be_known(
        self, rig: VastRig, lacks: set[str], missing: list[str]
    ) -> None:
        rig.fake.lacks_scopes = lacks
        assert (await rig.provider.account()).missing_scopes == missing

    async def test_a_listing_in_trouble_does_not_hide_the_balance(self, rig: VastRig) -> None:
        rig.fake.answer("list", 503, b"oops", times=10)
        assert await rig.provider.account() is not None

    async def test_a_daily_quota_is_not_waited_for(self, rig: VastRig) -> None:
        rig.fake.retry_after_s = 20_000
        rig.fake.answer("offers", 429, b'{"error": "search_quota_exceeded", "msg": "try tomorrow"}', times=9)
        with pytest.raises(ProviderBusyError) as caught:
            await rig.provider.offers(OfferQuery())
        assert (caught.value.retry_after_s, rig.fake.num_requests("offers")) == (20_000, 1)


class TestFake:
    """What a program needs that puts real machines behind it."""

    async def test_a_machine_is_started_and_ended_behind_the_address(self, rig: VastRig) -> None:
        seen: list[tuple[str, FakeInstance]] = []

        def start(instance: FakeInstance) -> tuple[str, int]:
            seen.append(("running", instance))
            return "127.0.0.1", 2222

        rig.fake.on_running = start
        rig.fake.on_gone = lambda instance: seen.append(("gone", instance))
        rented = await rig.rent()
        found = await until(rig, rented.instance_id, lambda it: it.ssh)
        assert found.ssh == SshAddress(host="127.0.0.1", port=2222)
        await rig.provider.end(rented.instance_id)
        assert [word for word, _ in seen] == ["running", "gone"]
        instance = seen[0][1]
        assert instance.public_keys[-1] == PUBLIC_KEY
        assert (instance.start_script, instance.environment["LORATUI_DEADLINE"]) == (
            order(offer_of(instance)).start_script,
            "1763931200",
        )


def offer_of(instance: FakeInstance) -> Offer:
    return Offer(
        provider="vast", id=str(instance.ask["id"]), gpu_name="", vram_mib=0, price_microusd_per_h=1, disk_gb=40
    )


class TestDocuments:
    """What the fake says and takes is what Vast.ai's documents list."""

    async def test_its_offers_and_instances_have_the_listed_fields_and_types(self, rig: VastRig) -> None:
        _, answer = rig.fake._offers(0, {"type": "on-demand"})
        assert [violations(each, OFFER) for each in answer["offers"]] == [[]] * len(answer["offers"])
        [offer, *_] = await rig.provider.offers(OfferQuery())
        rented = await rig.provider.create(order(offer))
        instance = rig.fake.instances[int(rented.instance_id)]
        for stage in range(len(STATUSES) + 1):
            instance.stage = stage
            assert violations(instance.shown(), INSTANCE) == []

    async def test_it_takes_no_request_that_real_servers_would_not(self, rig: VastRig) -> None:
        status, answer = rig.fake._offers(0, {"gpu_memory": {"gte": 1}, "gpu_ram": {"above": 1}})
        assert (status, answer["error"]) == (400, "invalid_request")
        assert "gpu_memory is not listed; above is no operator" in answer["msg"]
        for wrong in ({"disk": "40"}, {"gpu": "RTX 4090"}, {"env": "-e A=1"}, {"runtype": "ssh_direc ssh_proxy"}):
            status, answer = rig.fake._create(101, {"image": "i", "disk": 40, "runtype": "ssh_direct", **wrong})
            assert (status, answer["error"]) == (400, "invalid_args"), wrong
        assert rig.fake.num_living() == 0
