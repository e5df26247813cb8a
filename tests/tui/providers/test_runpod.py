"""RunPod's adapter against a server that behaves as RunPod's documents, and those who use it, say that RunPod does."""

import base64
import json
import os
import shlex
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.offers import Offer, OfferQuery
from loratui.providers import gpuflow, runpod_answers
from loratui.providers.base import (
    InstanceState,
    OfferGoneError,
    ProviderBusyError,
    ProviderError,
    ProviderRefusedError,
    SshAddress,
    UnknownFateError,
)
from loratui.providers.http import LONGEST_PAUSE_S, pause_s
from loratui.providers.runpod import ARGS, START_VARIABLE, RunPod
from support.fake_runpod import FakeRunPod, fake_runpod
from tui.providers.contract import PUBLIC_KEY, SCRIPT, ProviderContract, gone, order, until

FAST_S = 1e-4


@dataclass
class RunPodRig:
    provider: RunPod
    fake: FakeRunPod
    stranger: RunPod


def client(fake: FakeRunPod, key: str = "", **options: float) -> RunPod:
    return RunPod(key or fake.key, fake.url, fake.graphql_url, FAST_S, **{"logs_every_s": 0.0, **options})


@pytest.fixture
async def rig() -> AsyncIterator[RunPodRig]:
    with fake_runpod() as fake:
        made = RunPodRig(client(fake), fake, client(fake, "wrong"))
        yield made
        await made.provider.close()
        await made.stranger.close()


def asking(fake: FakeRunPod) -> httpx.Client:
    """Return a client that knows nothing of RunPod."""
    return httpx.Client(base_url=fake.url, headers={"Authorization": f"Bearer {fake.key}"})


async def offer_of(rig: RunPodRig, name: str = "4090", cloud: str = "SECURE", **query: object) -> Offer:
    offers = await rig.provider.offers(OfferQuery(gpu_name=name, **query))  # type: ignore[arg-type]
    return next(offer for offer in offers if offer.id.startswith(cloud))


async def rented(rig: RunPodRig, num_steps: int = 0) -> str:
    made = await rig.provider.create(order(await offer_of(rig)))
    for _ in range(num_steps):
        rig.fake.step()
    return made.instance_id


class TestRunPod(ProviderContract):
    pass


class TestOffers:
    async def test_a_price_is_that_of_the_gpu_and_its_disk_in_whole_micro_dollars(self, rig: RunPodRig) -> None:
        offer = await offer_of(rig, disk_gb=72)
        assert offer.price_microusd_per_h == 690_000 + 10_000
        assert offer.disk_microusd_per_h == 10_000
        assert (await offer_of(rig, cloud="COMMUNITY", disk_gb=72)).price_microusd_per_h == 340_000 + 10_000
        assert offer.balance_floor_microusd == offer.price_microusd_per_h
        assert (offer.stopped_microusd_per_h, offer.sent_microusd_per_gb, offer.received_microusd_per_gb) == (0, 0, 0)
        assert (offer.gpu_name, offer.vram_mib, offer.availability) == ("RTX 4090", 24_576, "HIGH")

    async def test_each_cloud_is_an_offer_and_only_one_of_them_is_a_datacenter(self, rig: RunPodRig) -> None:
        both = await rig.provider.offers(OfferQuery(gpu_name="4090"))
        assert {offer.is_datacenter for offer in both} == {True, False}
        [only] = await rig.provider.offers(OfferQuery(gpu_name="4090", only_datacenters=True))
        assert only.is_datacenter

    async def test_what_is_not_there_or_not_nvidias_is_no_offer(self, rig: RunPodRig) -> None:
        names = {offer.gpu_name for offer in await rig.provider.offers(OfferQuery())}
        assert "Instinct MI300X OAM" not in names
        clouds = [offer.id.split("|")[0] for offer in await rig.provider.offers(OfferQuery(gpu_name="L40S"))]
        assert clouds == ["SECURE"]
        rig.fake.take_away(await offer_of(rig, "L40S"))
        assert await rig.provider.offers(OfferQuery(gpu_name="L40S")) == []

    async def test_a_least_cuda_is_asked_for_and_goes_into_the_rental(self, rig: RunPodRig) -> None:
        assert await rig.provider.offers(OfferQuery(gpu_name="3090", min_cuda=(12, 8))) == []
        offer = await offer_of(rig, min_cuda=(12, 8))
        assert offer.cuda == (12, 8)
        await rig.provider.create(order(offer))
        assert rig.fake.bodies[-1]["gpu"] == {"id": "NVIDIA GeForce RTX 4090", "count": 1, "minCudaVersion": "12.8"}

    @pytest.mark.parametrize(("region", "places"), [("RO", ["EU-RO-1"]), ("US-TX-3", ["US-TX-3"])])
    async def test_a_region_goes_into_the_rental_too(self, rig: RunPodRig, region: str, places: list[str]) -> None:
        offer = await offer_of(rig, regions=frozenset({region}))
        assert offer.region == region
        await rig.provider.create(order(offer))
        assert rig.fake.bodies[-1]["dataCenterIds"] == places
        rig.fake.gpus[0]["dataCenters"] = [{"id": "EU-SE-1", "name": "x", "availability": "HIGH"}]
        with pytest.raises(OfferGoneError):
            await rig.provider.price_now(offer)

    @pytest.mark.parametrize(
        "damage",
        [
            {"price": {"secure": "0.69", "community": 0.34}},
            {"price": {"secure": True, "community": 0.34}},
            {"memory": 24.0},
            {"memory": None},
            {"id": None},
            {"availability": None},
            {"manufacturer": 7},
            {"secure": "yes"},
        ],
    )
    async def test_a_catalog_of_another_shape_is_an_error(self, rig: RunPodRig, damage: dict[str, object]) -> None:
        rig.fake.gpus[0].update(damage)
        with pytest.raises(ProviderError) as caught:
            await rig.provider.offers(OfferQuery())
        assert caught.value.code == "provider.shape"

    async def test_an_id_that_is_none_of_its_own_is_no_offer(self, rig: RunPodRig) -> None:
        strange = replace(await offer_of(rig), id="28347112")
        with pytest.raises(OfferGoneError):
            await rig.provider.price_now(strange)
        with pytest.raises(OfferGoneError):
            await rig.provider.create(order(strange))


class TestCreate:
    async def test_a_request_is_what_the_schema_knows_and_brings_its_own_key(self, rig: RunPodRig) -> None:
        offer = await offer_of(rig)
        wanted = order(offer)
        await rig.provider.create(wanted)
        [body] = rig.fake.bodies
        assert (body["name"], body["cloud"], body["disk"]) == (wanted.label, "SECURE", offer.disk_gb)
        assert (body["ports"], body["startSsh"], "mounts" in body) == (["22/tcp"], True, False)
        assert body["env"]["PUBLIC_KEY"] == PUBLIC_KEY
        assert body["env"]["LORATUI_DEADLINE"] == "1763931200"
        assert base64.b64decode(body["env"][START_VARIABLE]).decode() == SCRIPT
        assert rig.fake.num_requests("keys") == 0

    async def test_a_name_that_runpod_hides_is_a_mistake_of_ours(self, rig: RunPodRig) -> None:
        wanted = replace(order(await offer_of(rig)), environment={"RUNPOD_API_KEY": "secret"})
        with pytest.raises(ValueError, match="hide"):
            await rig.provider.create(wanted)
        assert rig.fake.num_requests("create") == 0

    @pytest.mark.parametrize(
        ("status", "detail", "error", "code"),
        [
            (422, "Request validation failed.", ProviderRefusedError, "provider.request"),
            (400, "mounts are mutually exclusive", ProviderRefusedError, "provider.request"),
            (400, "This machine does not have the resources to deploy your pod", OfferGoneError, None),
            (400, "Please try a different machine", OfferGoneError, None),
            (400, "Something went wrong. Please try again later.", ProviderBusyError, "provider.busy"),
            (400, "Your balance is too low", ProviderRefusedError, "provider.balance"),
            (400, "this exceeds your spend limit", ProviderRefusedError, "provider.limit"),
            (401, "invalid bearer token", ProviderRefusedError, "provider.key"),
            (402, "insufficient balance", ProviderRefusedError, "provider.balance"),
            (403, "no access to this pool", OfferGoneError, None),
            (403, "the API key lacks write scope", ProviderRefusedError, "provider.scope"),
            (404, "template not found", ProviderRefusedError, "provider.request"),
        ],
    )
    async def test_a_refusal_says_what_is_to_be_done(
        self, rig: RunPodRig, status: int, detail: str, error: type[ProviderError], code: str | None
    ) -> None:
        offer = await offer_of(rig)
        rig.fake.refuse("create", status, detail)
        with pytest.raises(error) as caught:
            await rig.provider.create(order(offer))
        assert code is None or caught.value.code == code
        assert detail in caught.value.what
        assert rig.fake.num_requests("create") == 1

    async def test_too_many_requests_are_busy_and_say_for_how_long(self, rig: RunPodRig) -> None:
        offer = await offer_of(rig)
        rig.fake.refuse("create", 429, "rate limit exceeded for the minute window", **{"Retry-After": "12"})
        with pytest.raises(ProviderBusyError) as caught:
            await rig.provider.create(order(offer))
        assert caught.value.retry_after_s == 12

    @pytest.mark.parametrize(
        ("status", "content"), [(403, b"<html>Just a moment</html>"), (400, b"{}"), (404, b"nginx"), (302, b"")]
    )
    async def test_a_refusal_by_whoever_stands_before_runpod_is_of_unknown_fate(
        self, rig: RunPodRig, status: int, content: bytes
    ) -> None:
        offer = await offer_of(rig)
        rig.fake.answer("create", status, content)
        with pytest.raises(UnknownFateError):
            await rig.provider.create(order(offer))

    async def test_a_pod_of_another_name_is_of_unknown_fate_and_named(self, rig: RunPodRig) -> None:
        offer = await offer_of(rig)
        rig.fake.answer("create", 201, b'{"id": "abc123", "name": "somebody-elses", "cost": 0.1}')
        with pytest.raises(UnknownFateError) as caught:
            await rig.provider.create(order(offer))
        assert caught.value.instance_id == "abc123"

    async def test_a_pod_that_costs_more_than_agreed_is_ended_at_once_and_reported(self, rig: RunPodRig) -> None:
        wanted = order(await offer_of(rig))
        rig.fake.raise_price(wanted.offer, 2 * wanted.max_price_microusd_per_h)
        with pytest.raises(UnknownFateError) as caught:
            await rig.provider.create(wanted)
        assert (caught.value.code, rig.fake.num_living()) == ("provider.price", 0)
        assert caught.value.instance_id in rig.fake.ended
        with pytest.raises(OfferGoneError):
            await rig.provider.create(replace(wanted, max_price_microusd_per_h=1))
        assert rig.fake.num_requests("create") == 1


class TestStart:
    def test_the_start_command_survives_every_way_of_splitting_it(self) -> None:
        shell, flag, program = shlex.split(ARGS)
        assert (shell, flag) == ("sh", "-c")
        assert "'" not in program
        assert '"' not in program
        assert "\\" not in program
        assert f"sh -c '{program}'" == ARGS
        # What begins like JSON is read as such by the older API.
        assert not ARGS.startswith("{")

    def test_the_script_comes_before_the_images_own_start_and_nothing_ever_exits(self, tmp_path: Path) -> None:
        told = tmp_path / "told"
        os.mkfifo(told)
        image_start = tmp_path / "start.sh"
        image_start.write_text(f'#!/bin/sh\necho "image $(cat {tmp_path}/order)" > {told}\nexit 1\n')
        image_start.chmod(0o755)
        script = f"#!/bin/sh\necho 'it'\"'\"'s first' > {tmp_path}/order\nexit 3\n"
        args = ARGS.replace("/loratui-start", f"{tmp_path}/loratui-start").replace("/start.sh", str(image_start))
        environment = {**os.environ, START_VARIABLE: base64.b64encode(script.encode()).decode()}
        with subprocess.Popen(shlex.split(args), env=environment, start_new_session=True) as process:
            try:
                assert told.read_text() == "image it's first\n"
                # The image's start has failed by now or does so next; the command goes on.
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.1)
            finally:
                os.killpg(process.pid, 9)


class TestGet:
    async def test_a_pod_is_ready_when_it_has_an_address_of_its_own_and_not_before(self, rig: RunPodRig) -> None:
        instance_id = await rented(rig)
        seen = []
        for _ in range(4):
            found = await rig.provider.get(instance_id)
            assert found is not None
            seen.append((found.state, found.ssh is not None))
            rig.fake.step()
        starting = (InstanceState.STARTING, False)
        assert seen == [starting, starting, starting, (InstanceState.RUNNING, True)]
        assert found is not None
        assert found.ssh == SshAddress(host="127.0.0.1", port=30_001, user="root")
        assert (found.gpu_name, found.created_ts) == ("RTX 4090", 1_795_435_200)

    async def test_the_proxys_address_is_never_used(self, rig: RunPodRig) -> None:
        instance_id = await rented(rig)
        rig.fake.pods[instance_id].has_proxy_only = True
        for _ in range(5):
            rig.fake.step()
        found = await rig.provider.get(instance_id)
        assert found is not None
        assert (found.state, found.ssh) == (InstanceState.RUNNING, None)
        assert "proxy" in found.detail

    async def test_a_pull_that_fails_is_told_in_the_words_of_the_log_though_the_pod_is_said_to_run(
        self, rig: RunPodRig
    ) -> None:
        instance_id = await rented(rig)
        pod = rig.fake.pods[instance_id]
        pod.is_failing = True
        pod.log += ["create container", "loading \x1b[31mcontainer image\u202e"]
        rig.fake.step()
        rig.fake.step()
        found = await rig.provider.get(instance_id)
        assert found is not None
        assert (pod.status, found.state) == ("RUNNING", InstanceState.STARTING)
        assert found.detail.endswith("loading [31mcontainer image")
        pod.log.append("toomanyrequests: You have reached your pull rate limit" + "!" * 1000)
        found = await rig.provider.get(instance_id)
        assert found is not None
        assert (found.state, found.detail[:16]) == (InstanceState.FAILED, "toomanyrequests:")
        assert len(found.detail) <= 300

    async def test_a_pull_that_succeeds_after_all_is_no_failure(self, rig: RunPodRig) -> None:
        instance_id = await rented(rig, 2)
        pod = rig.fake.pods[instance_id]
        pod.log += ["failed to pull image: unexpected EOF", "Status: Downloaded newer image for runpod/pytorch"]
        found = await rig.provider.get(instance_id)
        assert found is not None
        assert found.state is InstanceState.STARTING

    async def test_a_log_without_an_end_holds_nothing_up(self, rig: RunPodRig) -> None:
        instance_id = await rented(rig)
        rig.fake.fail_start(instance_id)
        rig.fake.keeps_logs_open = True
        rig.fake.step()
        hurried = client(rig.fake, logs_within_s=0.2)
        found = await hurried.get(instance_id)
        await hurried.close()
        assert found is not None
        assert (found.state, found.detail[:20]) == (InstanceState.FAILED, "failed to pull image")

    async def test_a_log_of_any_size_is_read_to_a_bound(self, rig: RunPodRig) -> None:
        instance_id = await rented(rig, 1)
        rig.fake.answer("logs", 200, b'data: {"line": "pulling"}\n' * 100_000, content_type="text/event-stream")
        found = await rig.provider.get(instance_id)
        assert found is not None
        assert found.detail.endswith("pulling")

    @pytest.mark.parametrize("status", [403, 404, 500])
    async def test_a_log_that_can_not_be_had_is_no_news(self, rig: RunPodRig, status: int) -> None:
        instance_id = await rented(rig, 1)
        rig.fake.answer("logs", status, b"oops")
        found = await rig.provider.get(instance_id)
        assert found is not None
        assert found.state is InstanceState.STARTING

    async def test_a_log_is_looked_into_now_and_then_and_what_it_said_stays(self, rig: RunPodRig) -> None:
        patient = client(rig.fake, logs_every_s=3600.0)
        instance_id = await rented(rig)
        rig.fake.fail_start(instance_id)
        rig.fake.step()
        for _ in range(3):
            found = await patient.get(instance_id)
            assert found is not None
            assert found.state is InstanceState.FAILED
        await patient.close()
        assert rig.fake.num_requests("logs") == 1

    async def test_what_runpod_says_of_a_pod_counts(self, rig: RunPodRig) -> None:
        instance_id = await rented(rig, 3)
        pod = rig.fake.pods[instance_id]
        running = await rig.provider.get(instance_id)
        pod.status = "EXITED"
        stopped = await rig.provider.get(instance_id)
        pod.status = "ERROR"
        failed = await rig.provider.get(instance_id)
        assert running is not None
        assert stopped is not None
        assert failed is not None
        assert running.price_microusd_per_h == 690_000 + 5_556
        assert (stopped.state, stopped.price_microusd_per_h, stopped.ssh) == (InstanceState.STOPPED, 0, None)
        assert (failed.state, failed.ssh) == (InstanceState.FAILED, None)
        rig.fake.answer("get", 200, json.dumps({**pod.seen(), "status": "MIGRATING"}).encode())
        strange = await rig.provider.get(instance_id)
        assert strange is not None
        assert (strange.state, strange.detail) == (InstanceState.UNKNOWN, "MIGRATING")

    async def test_terminated_is_gone(self, rig: RunPodRig) -> None:
        instance_id = await rented(rig)
        rig.fake.shows_terminated = True
        await rig.provider.end(instance_id)
        assert await rig.provider.get(instance_id) is None
        assert rig.fake.ended[instance_id].status == "TERMINATED"
        assert await rig.provider.get(instance_id) is None

    @pytest.mark.parametrize(
        "damage",
        [
            {"id": "another"},
            {"id": "../account"},
            {"status": None},
            {"cost": "0.69"},
            {"cost": None},
            {"cost": 1e300},
            {"disk": "60"},
            {"name": None},
            {"ssh": None},
            {"ssh": {"direct": {"host": "-oProxyCommand=x", "port": 22, "username": "root"}}},
            {"ssh": {"direct": {"host": "h", "port": "34446", "username": "root"}}},
            {"ssh": {"direct": {"host": "h", "port": 0, "username": "root"}}},
            {"ssh": {"direct": {"host": "h", "port": 22, "username": "-l"}}},
        ],
    )
    async def test_a_pod_of_another_shape_is_an_error(self, rig: RunPodRig, damage: dict[str, object]) -> None:
        instance_id = await rented(rig, 3)
        shown = json.dumps({**rig.fake.pods[instance_id].seen(), **damage}).encode()
        rig.fake.answer("get", 200, shown)
        with pytest.raises(ProviderError) as caught:
            await rig.provider.get(instance_id)
        assert caught.value.code == "provider.shape"

    @pytest.mark.parametrize("content", [b"", b"{}", b'{"message": "not found"}', b'{"title": "x", "status": 403}'])
    async def test_not_found_is_gone_only_when_runpod_itself_says_so(self, rig: RunPodRig, content: bytes) -> None:
        rig.fake.answer("get", 404, content)
        with pytest.raises(ProviderError):
            await rig.provider.get("abc")

    @pytest.mark.parametrize("name", ["", ".", "../account/ssh-keys", "a/b", "a?b", "a" * 65])
    async def test_what_is_no_id_never_becomes_part_of_an_address(self, rig: RunPodRig, name: str) -> None:
        with pytest.raises(ProviderRefusedError):
            await rig.provider.get(name)
        with pytest.raises(ProviderRefusedError):
            await rig.provider.end(name)


class TestList:
    async def test_all_pages_are_read_where_there_are_pages(self, rig: RunPodRig) -> None:
        ids = {await rented(rig) for _ in range(5)}
        rig.fake.page_size = 2
        assert {found.id for found in await rig.provider.list()} == ids
        assert rig.fake.num_requests("list") == 3

    @pytest.mark.parametrize(
        "pages",
        [
            b"null",
            b"[]",
            b"{}",
            b'{"hasNextPage": 1}',
            b'{"hasNextPage": true}',
            b'{"hasNextPage": true, "nextCursor": ""}',
            b'{"hasNextPage": true, "nextCursor": 7}',
        ],
    )
    async def test_pages_that_make_no_sense_are_not_a_whole_listing(self, rig: RunPodRig, pages: bytes) -> None:
        rig.fake.answer("list", 200, b'{"pods": [], "pagination": ' + pages + b"}")
        with pytest.raises(ProviderError):
            await rig.provider.list()

    async def test_pages_that_go_in_circles_are_an_error(self, rig: RunPodRig) -> None:
        again = b'{"pods": [], "pagination": {"hasNextPage": true, "nextCursor": "7"}}'
        rig.fake.answer("list", 200, again, times=5)
        with pytest.raises(ProviderError):
            await rig.provider.list()
        assert rig.fake.num_requests("list") == 2

    async def test_pods_of_others_are_left_out_and_need_not_be_understood(self, rig: RunPodRig) -> None:
        instance_id = await rented(rig)
        ours = rig.fake.pods[instance_id].seen()
        shown = {"pods": [{"name": "training"}, ours, {**ours, "status": "TERMINATED"}]}
        rig.fake.answer("list", 200, json.dumps(shown).encode())
        assert [found.id for found in await rig.provider.list()] == [instance_id]

    @pytest.mark.parametrize("pod", [b"7", b"null", b"{}", b'{"name": null}', b'{"name": "loratui-x"}'])
    async def test_one_pod_that_can_not_be_understood_spoils_the_listing(self, rig: RunPodRig, pod: bytes) -> None:
        rig.fake.answer("list", 200, b'{"pods": [' + pod + b"]}")
        with pytest.raises(ProviderError):
            await rig.provider.list()


class TestEnd:
    async def test_where_a_delete_is_barred_the_action_ends_the_pod(self, rig: RunPodRig) -> None:
        instance_id = await rented(rig)
        rig.fake.no_delete = "pod cannot be terminated via the pod endpoints"
        await rig.provider.end(instance_id)
        await gone(rig, instance_id)
        await rig.provider.end(instance_id)

    async def test_an_end_that_is_refused_both_ways_is_an_error(self, rig: RunPodRig) -> None:
        instance_id = await rented(rig)
        for _ in range(2):
            rig.fake.refuse("end", 409, "pod is locked")
        with pytest.raises(ProviderRefusedError, match="locked"):
            await rig.provider.end(instance_id)
        assert rig.fake.num_living() == 1

    async def test_a_lost_answer_to_an_end_is_asked_again(self, rig: RunPodRig) -> None:
        instance_id = await rented(rig)
        rig.fake.lose_answers("end", carried_out=True)
        await rig.provider.end(instance_id)
        assert (rig.fake.num_living(), rig.fake.num_requests("end")) == (0, 2)

    @pytest.mark.parametrize(("status", "content"), [(403, b"<html>"), (404, b"<html>"), (418, b"")])
    async def test_an_answer_that_makes_no_sense_is_no_end(self, rig: RunPodRig, status: int, content: bytes) -> None:
        instance_id = await rented(rig)
        rig.fake.answer("end", status, content, times=2)
        with pytest.raises(ProviderError):
            await rig.provider.end(instance_id)

    async def test_a_pods_own_key_ends_that_pod_and_nothing_else(self, rig: RunPodRig) -> None:
        mine, other = await rented(rig), await rented(rig)
        own = client(rig.fake, rig.fake.pods[mine].scoped_key)
        for forbidden in (own.list(), own.get(other), own.end(other), own.offers(OfferQuery())):
            with pytest.raises(ProviderRefusedError) as caught:
                await forbidden
            assert caught.value.code == "provider.scope"
        rig.fake.scoped_may_delete = False
        assert await own.get(mine) is not None
        await own.end(mine)
        await own.close()
        assert list(rig.fake.pods) == [other]

    async def test_the_accounts_keys_are_never_touched(self, rig: RunPodRig) -> None:
        instance_id = await rented(rig, 3)
        await rig.provider.end(instance_id)
        await rig.provider.tidy("loratui-x", PUBLIC_KEY)
        assert (rig.fake.num_requests("keys"), len(rig.fake.ssh_keys)) == (0, 1)


class TestAccount:
    async def test_balance_and_limit_are_read(self, rig: RunPodRig) -> None:
        account = await rig.provider.account()
        assert (account.balance_microusd, account.spend_limit_microusd_per_h) == (25_000_000, 80_000_000)
        assert account.missing_scopes == ()
        assert account.id == "user_2abCdEf"

    async def test_a_field_that_graphql_does_not_know_costs_only_that_field(self, rig: RunPodRig) -> None:
        rig.fake.spend_limit = None
        account = await rig.provider.account()
        assert (account.balance_microusd, account.spend_limit_microusd_per_h) == (25_000_000, None)
        assert account.id == "user_2abCdEf"
        rig.fake.account_id = None
        account = await rig.provider.account()
        assert (account.balance_microusd, account.id) == (25_000_000, "")

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (b'{"errors": [{"message": "Something went wrong"}], "data": null}', "provider.shape"),
            (b'{"errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]}', "provider.key"),
            (b'{"errors": [{"message": "Unauthorized"}], "data": {"myself": null}}', "provider.key"),
            (b'{"errors": []}', "provider.shape"),
            (b'{"errors": {}}', "provider.shape"),
            (b'{"data": {"myself": null}}', "provider.shape"),
            (b'{"data": {"myself": {"clientBalance": null}}}', "provider.shape"),
            (b'{"data": {"myself": {"clientBalance": "25"}}}', "provider.shape"),
            (b'{"data": {"myself": {"clientBalance": NaN}}}', "provider.shape"),
            (b'{"data": {"myself": {"clientBalance": true}}}', "provider.shape"),
            (b'{"data": {"myself": {"clientBalance": 25, "id": ""}}}', "provider.shape"),
            (b'{"data": {"myself": {"clientBalance": 25, "id": 7}}}', "provider.shape"),
            (b'{"data": {"myself": {"clientBalance": 1e400}}}', "provider.shape"),
        ],
    )
    async def test_errors_that_come_with_a_status_of_200_are_errors(
        self, rig: RunPodRig, content: bytes, code: str
    ) -> None:
        rig.fake.answer("account", 200, content)
        with pytest.raises(ProviderError) as caught:
            await rig.provider.account()
        assert caught.value.code == code

    async def test_a_key_that_may_not_read_pods_is_said_to_lack_that(self, rig: RunPodRig) -> None:
        rig.fake.refuse("list", 403, "access denied")
        assert (await rig.provider.account()).missing_scopes == ("read and write access to pods",)


class TestCharges:
    async def test_records_are_summed_up(self, rig: RunPodRig) -> None:
        instance_id = await rented(rig)
        assert await rig.provider.charges(instance_id) is None
        for _ in range(60):
            rig.fake.step()
        await rig.provider.end(instance_id)
        charges = await rig.provider.charges(instance_id)
        assert charges is not None
        assert (charges.total_microusd, charges.gpu_microusd) == (700_000, 690_000)
        assert (charges.disk_microusd, charges.traffic_microusd) == (10_000, 0)

    @pytest.mark.parametrize(
        "content",
        [
            b"{}",
            b'{"records": null}',
            b'{"records": [{}]}',
            b'{"records": [{"podId": "other", "totalAmount": 1, "gpuAmount": 1, "diskAmount": 0}]}',
            b'{"records": [{"podId": "abc", "totalAmount": "1", "gpuAmount": 1, "diskAmount": 0}]}',
            b'{"records": [{"podId": "abc", "totalAmount": 1, "diskAmount": 0}]}',
        ],
    )
    async def test_records_of_another_shape_are_an_error(self, rig: RunPodRig, content: bytes) -> None:
        rig.fake.answer("charges", 200, content)
        with pytest.raises(ProviderError):
            await rig.provider.charges("abc")

    @given(st.lists(st.integers(0, 10**9), min_size=1, max_size=50))
    def test_no_micro_dollar_is_lost_in_a_sum(self, amounts: list[int]) -> None:
        def usd(microusd: int) -> str:
            return f"{microusd // 10**6}.{microusd % 10**6:06d}"

        records = ",".join(
            f'{{"podId": "abc", "totalAmount": {usd(it)}, "gpuAmount": {usd(it)}, "diskAmount": 0.0}}' for it in amounts
        )
        charges = runpod_answers.charges_in(f'{{"records": [{records}]}}'.encode(), "abc")
        assert charges is not None
        assert charges.total_microusd == charges.gpu_microusd == sum(amounts)


class TestRates:
    @pytest.mark.parametrize(
        ("header", "expected_s"),
        [
            ('"minute";r=59;t=12, "hour";r=2800;t=1812, "day";r=49500;t=45012', 0.0),
            ('"minute";r=0;t=12, "hour";r=2800;t=1812', 12.0),
            ('"minute";t=12;r=0', 12.0),
            ('"minute";r=0;t=12, "day";r=0;t=45012', LONGEST_PAUSE_S),
            ("", 0.0),
            ("r=0", 0.0),
            (";r=0;t=x", 0.0),
            ('"minute";r=00;t=' + "9" * 500, 0.0),
        ],
    )
    def test_a_window_that_is_spent_is_waited_for_within_bounds(self, header: str, expected_s: float) -> None:
        assert pause_s(header) == expected_s

    async def test_nothing_is_sent_before_the_window_begins_anew(self, rig: RunPodRig) -> None:
        instance_id = await rented(rig, 1)
        rig.fake.window = (0, 1)
        began_s = time.monotonic()
        # What can be spared is not sent at all: the log.
        assert await rig.provider.get(instance_id) is not None
        assert rig.fake.num_requests("logs") == 0
        rig.fake.window = None
        await rig.provider.get(instance_id)
        assert time.monotonic() - began_s >= 0.9


class TestFake:
    """The fake holds what RunPod's documents say, also where the adapter does not get to."""

    def test_a_property_that_is_not_known_is_refused(self) -> None:
        body = {"name": "x", "image": "y", "gpu": {"id": "NVIDIA L40S"}}
        with fake_runpod() as fake, asking(fake) as ask:
            answer = ask.post("/pods", json={**body, "interruptible": False})
            assert answer.status_code == 422
            assert answer.json()["errors"] == ["$: additional properties 'interruptible' not allowed"]
            assert ask.post("/pods", json={**body, "terminateAfter": "x"}).status_code == 422
            assert ask.post("/pods", json={**body, "gpu": {"id": "NVIDIA L40S", "spot": True}}).status_code == 422
            assert ask.post("/pods", json={**body, "cpu": {"id": "cpu5c"}}).status_code == 400
            assert ask.post("/pods", json=body).status_code == 201

    def test_an_action_has_to_fit_the_state(self) -> None:
        with fake_runpod() as fake, asking(fake) as ask:
            made = ask.post("/pods", json={"name": "x", "image": "y", "gpu": {"id": "NVIDIA L40S"}}).json()
            path = f"/pods/{made['id']}"
            answer = ask.post(f"{path}/action", json={"action": "start"})
            assert (answer.status_code, answer.headers["Content-Type"]) == (409, "application/problem+json")
            assert ask.post(f"{path}/action", json={"action": "stop"}).json()["status"] == "EXITED"
            assert ask.post(f"{path}/action", json={"action": "terminate"}).status_code == 204
            assert ask.get(path).status_code == 404

    def test_a_quota_is_told_before_it_is_used_up(self) -> None:
        with fake_runpod(quota_per_minute=1) as fake, asking(fake) as ask:
            answers = [ask.get("/pods"), ask.get("/pods")]
        assert [answer.status_code for answer in answers] == [200, 429]
        assert answers[0].headers["RateLimit"].startswith('"minute";r=0;t=')
        assert 0 < int(answers[1].headers["Retry-After"]) <= 61

    def test_pythons_own_name_is_turned_away_before_anything_else(self) -> None:
        with fake_runpod() as fake, asking(fake) as ask:
            answer = ask.get("/pods", headers={"User-Agent": "Python-urllib/3.11"})
        assert (answer.status_code, b"Cloudflare" in answer.content) == (403, True)

    async def test_hooks_give_a_pod_its_machine_and_take_it_away(self) -> None:
        ends = []
        options = {"on_start": lambda pod: ("127.0.0.1", 2222, "worker"), "on_end": lambda pod: ends.append(pod.id)}
        with fake_runpod(**options) as fake:
            provider = client(fake)
            rig = RunPodRig(provider, fake, provider)
            instance_id = await rented(rig)
            ready = await until(rig, instance_id, lambda it: it.ssh)
            assert ready.ssh == SshAddress(host="127.0.0.1", port=2222, user="worker")
            query = f'mutation {{ podTerminate(input: {{podId: "{instance_id}"}}) }}'
            own = {"Authorization": f"Bearer {fake.pods[instance_id].env['RUNPOD_API_KEY']}"}
            async with httpx.AsyncClient(headers=own) as pod:
                assert "errors" not in (await pod.post(fake.graphql_url, json={"query": query})).json()
                assert "errors" in (await pod.post(fake.graphql_url, json={"query": query})).json()
            await provider.close()
        assert ends == [instance_id]

    async def test_pods_end_when_the_money_does(self, rig: RunPodRig) -> None:
        await rented(rig, 3)
        rig.fake.empty_account()
        rig.fake.step()
        assert rig.fake.num_living() == 0

    async def test_time_goes_by_itself_where_the_clock_is_real(self) -> None:
        with fake_runpod(clock=time.monotonic, step_s=0.01, quota_per_minute=10_000) as fake:
            provider = client(fake)
            made = await provider.create(order((await provider.offers(OfferQuery()))[0]))
            while (found := await provider.get(made.instance_id)) and found.ssh is None:
                pass
            await provider.close()
        assert found is not None


def test_why_gpuflow_can_not_train_is_said_in_a_sentence_that_fits_on_a_screen() -> None:
    assert "chat API keys" in gpuflow.WHY_NOT
    assert len(gpuflow.WHY_NOT) < 400
