"""RunPod: pods of one GPU, through REST API v2, and its GraphQL API for the balance, which v2 does not tell.

A pod is a kind of GPU somewhere in one of two clouds, not a certain machine. Its own disk is all it has: no volume, so
nothing bills once it is stopped or gone. No provider-side timer is used: RunPod accepts some and fires none.
"""

import base64
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

from loratui.domain.offers import Offer, OfferQuery, fits
from loratui.providers import runpod_answers as answers
from loratui.providers import runpod_words as words
from loratui.providers.base import (
    LABEL_PREFIX,
    Account,
    Charges,
    Instance,
    OfferGoneError,
    ProviderBusyError,
    ProviderError,
    ProviderRefusedError,
    RentalOrder,
    Rented,
    UnknownFateError,
)
from loratui.providers.http import RETRY_FIRST_S, Answer, Api
from loratui.providers.runpod_answers import Choice, Heard, ShapeError

URL = "https://api.runpod.io/v2"
GRAPHQL_URL = "https://api.runpod.io/graphql"
LOGS_EVERY_S = 15.0
LOGS_WITHIN_S = 3.0
_MAX_LOG_BYTES = 64 << 10
_MAX_PAGES = 100

# What a pod runs. The schema of v2 knows one field for it, `args`, a text that goes to the image's entrypoint in place
# of the image's own command (`entrypoint` and `cmd`, which some send, are refused with 422). RunPod's images have no
# entrypoint of their own but NVIDIA's, which executes what it is given; their command is /start.sh, which puts
# PUBLIC_KEY into authorized_keys, starts sshd and sleeps. So the start script goes first, then we call /start.sh.
# - How `args` is split is not documented; a shell in single quotes with nothing quoted inside is what is known to work.
#   The script itself therefore travels as base64 in an environment variable.
# - It runs to its end before anything else starts: what must go on after that, it has to leave in the background.
# - A container whose command ends is started again, for ever, and bills: nothing here ever returns.
# - Images without /start.sh need an sshd; where one is installed it is given the key and started.
START_VARIABLE = "LORATUI_START"
ARGS = (
    "sh -c '"
    f"echo ${START_VARIABLE} | base64 -d > /loratui-start; sh /loratui-start < /dev/null; "
    "if [ -x /start.sh ]; then /start.sh; elif [ -x /usr/sbin/sshd ]; then "
    "mkdir -p /root/.ssh /run/sshd; echo $PUBLIC_KEY >> /root/.ssh/authorized_keys; "
    "chmod 700 /root/.ssh; chmod 600 /root/.ssh/authorized_keys; ssh-keygen -A; /usr/sbin/sshd; fi; "
    "while :; do sleep 3600; done'"
)


class RunPod:
    """``url`` and ``graphql_url`` are where its APIs are; a log is looked into every ``logs_every_s`` at most."""

    name = "runpod"

    def __init__(
        self,
        key: str,
        url: str = URL,
        graphql_url: str = GRAPHQL_URL,
        retry_first_s: float = RETRY_FIRST_S,
        *,
        logs_every_s: float = LOGS_EVERY_S,
        logs_within_s: float = LOGS_WITHIN_S,
    ) -> None:
        self._api = Api("RunPod", url, key=key, retry_first_s=retry_first_s)
        self._graphql_url = graphql_url
        self._logs_every_s = logs_every_s
        self._logs_within_s = logs_within_s
        self._heard: dict[str, tuple[float, Heard]] = {}

    async def account(self) -> Account:
        """Return what the key opens: the balance, from GraphQL, and whether it may read pods."""
        found = await self._myself("clientBalance", "id", "spendLimit")
        limit = found.get("spendLimit")
        try:
            number = answers.text(found, "id") if "id" in found else ""
            balance_microusd = answers.microusd(found.get("clientBalance"))
            limit_microusd = None if limit is None else answers.microusd(limit)
        except ShapeError as error:
            raise ProviderError(
                f"RunPod tells no balance ({error}); nothing follows from it", fix="try again", code="provider.shape"
            ) from error
        missing: tuple[str, ...] = ()
        try:
            await self.list()
        except ProviderRefusedError as refused:
            if refused.code != "provider.scope":
                raise
            missing = ("read and write access to pods",)
        return Account(
            id=number,
            balance_microusd=balance_microusd,
            spend_limit_microusd_per_h=limit_microusd,
            missing_scopes=missing,
        )

    async def offers(self, query: OfferQuery) -> list[Offer]:
        """Return one offer for each kind of GPU and cloud, and for each region where some are asked for."""
        min_cuda = ".".join(map(str, query.min_cuda)) if query.min_cuda else ""
        found: list[Offer] = []
        for cloud in ("SECURE",) if query.only_datacenters else ("SECURE", "COMMUNITY"):
            for region in sorted(query.regions) or [""]:
                answer = await self._catalog(cloud, min_cuda, region if len(region) == 2 else "")
                try:
                    found += answers.offers_in(
                        answer.content, cloud, query.disk_gb, min_cuda, region, places=bool(region)
                    )
                except ShapeError as error:
                    self._api.nonsense(answer, str(error))
        fitting = [offer for offer in found if fits(offer, query)]
        return sorted(fitting, key=lambda offer: offer.price_microusd_per_h)[: query.limit]

    async def price_now(self, offer: Offer) -> Offer:
        """Return the offer as it is now."""
        choice = _choice(offer)
        answer = await self._catalog(choice.cloud, choice.min_cuda)
        try:
            rows = answers.offers_in(
                answer.content, choice.cloud, offer.disk_gb, choice.min_cuda, offer.region, places=False
            )
            now = next((row for row in rows if Choice.of(row.id).gpu == choice.gpu), None)
            is_there = now is not None and (not choice.places or answers.has_any_place(answer.content, choice))
        except ShapeError as error:
            self._api.nonsense(answer, str(error))
        if now is None or not is_there:
            raise OfferGoneError(f"RunPod has no {offer.gpu_name} left there", fix="take the next offer")
        return replace(now, id=offer.id)

    async def create(self, order: RentalOrder) -> Rented:
        """Rent a pod."""
        if order.offer.price_microusd_per_h > order.max_price_microusd_per_h:
            raise OfferGoneError(f"the {order.offer.gpu_name} costs more than was agreed to", fix="take another offer")
        answer = await self._api.order("create", "POST", "/pods", json=_request(order))
        if answer.status not in (200, 201):
            raise self._not_rented(answer)
        try:
            pod = answers.parsed(answer.content)
            instance_id, label = answers.pod_id(pod), answers.field(pod, "name", str)
        except ShapeError as error:
            self._api.nonsense(answer, str(error), of_order=True)
        if label != order.label:
            raise UnknownFateError(
                f"RunPod says that it rented a pod, but not ours ({instance_id}). Something may be billing",
                instance_id=instance_id,
            )
        await self._refuse_higher_price(pod, order, instance_id)
        return Rented(instance_id=instance_id)

    async def get(self, instance_id: str) -> Instance | None:
        """Return the pod; its system log is looked into while it is not ready, for an image that can't be pulled."""
        answer = await self._api.ask("get", "GET", _path(instance_id))
        if answer.status == 404 and answers.problem(404, answer.content) is not None:
            self._heard.pop(instance_id, None)
            return None
        if answer.status != 200:
            self._refuse(answer)
        try:
            pod = answers.parsed(answer.content)
            found = answers.instance_in(pod)
        except ShapeError as error:
            self._api.nonsense(answer, str(error))
        if found is not None and found.id != instance_id:
            self._api.nonsense(answer, "it is another pod")
        if found is not None and found.ssh is None and pod["status"] in _WITH_LOGS:
            return answers.instance_in(pod, await self._listen(instance_id))
        self._heard.pop(instance_id, None)
        return found

    async def list(self, label_prefix: str = LABEL_PREFIX) -> list[Instance]:
        """Return every pod of ours. Why one does not start is for ``get`` to find out."""
        found: list[Instance] = []
        cursor, seen = "", set[str]()
        while True:
            answer = await self._api.ask("list", "GET", "/pods", params={"cursor": cursor} if cursor else {})
            if answer.status != 200:
                self._refuse(answer)
            try:
                pods, cursor = answers.pods_in(answer.content)
                # Others' pods need not be understood, but whose they are does.
                ours = [pod for pod in pods if answers.field(pod, "name", str).startswith(label_prefix)]
                found += filter(None, map(answers.instance_in, ours))
            except ShapeError as error:
                self._api.nonsense(answer, str(error))
            if not cursor:
                return found
            if cursor in seen or len(seen) == _MAX_PAGES:
                self._api.nonsense(answer, "its pages have no end")
            seen.add(cursor)

    async def end(self, instance_id: str) -> None:
        """Terminate the pod, by the other way where the first one is barred."""
        path = _path(instance_id)
        answer = await self._api.ask("end", "DELETE", path)
        if answer.status in (403, 405, 409):
            answer = await self._api.ask("end", "POST", f"{path}/action", json={"action": "terminate"})
        if answer.status in (200, 202, 204):
            return
        if answer.status != 404 or answers.problem(404, answer.content) is None:
            self._refuse(answer)

    async def charges(self, instance_id: str) -> Charges | None:
        """Return the sum of what the last thirty days' records say."""
        answer = await self._api.ask("charges", "GET", "/billing/pods", params={"podId": instance_id})
        if answer.status != 200:
            self._refuse(answer)
        try:
            return answers.charges_in(answer.content, instance_id)
        except ShapeError as error:
            self._api.nonsense(answer, str(error))

    async def tidy(self, label: str, public_key: str) -> None:
        """Do nothing: a pod gets its key by itself, and the account's keys are never touched."""

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def _catalog(self, cloud: str, min_cuda: str, country: str = "") -> Answer:
        parameters = {"include": "AVAILABILITY", "product": "POD", "cloud": cloud, "count": "1"}
        if min_cuda:
            parameters["minCudaVersion"] = min_cuda
        if country:
            parameters["countryCodes"] = country
        answer = await self._api.ask("offers", "GET", "/catalog/gpus", params=parameters)
        if answer.status != 200:
            self._refuse(answer)
        return answer

    async def _myself(self, indispensable: str, *others: str) -> Mapping[str, Any]:
        """Return these fields of the account; fewer if the API does not know all of them."""
        query = {"query": f"query {{ myself {{ {' '.join((indispensable, *others))} }} }}"}
        answer = await self._api.ask("account", "POST", self._graphql_url, json=query)
        if answer.status not in (200, 400):
            self._refuse(answer)
        try:
            data, errors = answers.graphql_in(answer.content)
            if not errors:
                myself: dict[str, Any] = answers.field(data, "myself", dict)
                return myself
        except ShapeError as error:
            self._api.nonsense(answer, str(error))
        said = "; ".join(errors)
        # One name that it does not know spoils a whole query, and only the balance is indispensable.
        if "cannot query field" in said.casefold() and others:
            known = [name for name in others if f'"{name}"' not in said]
            return await self._myself(indispensable, *(known if len(known) < len(others) else ()))
        if any(word in said.casefold() for word in ("unauthenticated", "unauthorized", "forbidden")):
            raise self._api.refused(Answer(401, answer.headers, b""), said)
        raise ProviderError(f"RunPod does not tell the balance: {said}", fix="try again later", code="provider.shape")

    async def _listen(self, instance_id: str) -> Heard:
        """Return what the system log says, or said a moment ago. That it can't be had is no news about the pod."""
        now_s = time.monotonic()
        next_s, heard = self._heard.get(instance_id, (0.0, Heard()))
        if now_s < next_s:
            return heard
        try:
            answer = await self._api.beginning(
                "logs",
                f"{_path(instance_id)}/logs",
                params={"source": "system", "tail": "200"},
                headers={"Accept": "text/event-stream"},
                within_s=self._logs_within_s,
                max_bytes=_MAX_LOG_BYTES,
            )
            if answer.status == 200:
                heard = answers.heard_in(answer.content)
        except ProviderBusyError:
            pass
        self._heard[instance_id] = (now_s + self._logs_every_s, heard)
        return heard

    async def _refuse_higher_price(self, pod: Any, order: RentalOrder, instance_id: str) -> None:
        """End a pod that costs more by itself than was agreed to for all of it: a create can't name a highest price."""
        try:
            if answers.microusd(pod.get("cost")) <= order.max_price_microusd_per_h:
                return
        except ShapeError:
            return
        try:
            await self.end(instance_id)
        except ProviderError as error:
            outcome = f"ending it failed: {error.what}"
        else:
            outcome = "its end was asked for at once"
        raise UnknownFateError(
            f"RunPod rented {instance_id} for more than was agreed to; {outcome}. It may be billing",
            code="provider.price",
            instance_id=instance_id,
        )

    def _not_rented(self, answer: Answer) -> ProviderError:
        """Return the error for an answer to a create that is no pod."""
        said = answers.problem(answer.status, answer.content)
        if answer.status == 401:
            return self._api.refused(answer, said or "")
        if said is None or answer.status < 400:
            self._api.nonsense(answer, answer.said or "empty", of_order=True)
        if answer.status in (400, 402) and words.means_limit(said):
            return ProviderRefusedError(f"RunPod: {said}", fix="raise the limit there", code="provider.limit")
        if answer.status == 402 or (answer.status == 400 and words.means_no_balance(said)):
            return self._api.refused(Answer(402, answer.headers, b""), said)
        if answer.status == 400 and words.means_no_capacity(said):
            return OfferGoneError(f"RunPod has none left: {said}", fix="take the next offer")
        if answer.status == 400 and words.means_passing(said):
            return ProviderBusyError(f"RunPod did nothing: {said}")
        if answer.status == 403 and not words.means_key(said):
            return OfferGoneError(f"RunPod does not rent this one to this account: {said}", fix="take the next offer")
        return self._api.refused(answer, said)

    def _refuse(self, answer: Answer) -> NoReturn:
        """Raise the error for a refusal, or for an answer that is none: what stands in front of RunPod says 403 too."""
        said = answers.problem(answer.status, answer.content)
        if answer.status == 401 or (said is not None and answer.status >= 400):
            raise self._api.refused(answer, said or "")
        self._api.nonsense(answer, answer.said or "empty")


_WITH_LOGS = ("STARTING", "RUNNING", "ERROR")


def _path(instance_id: str) -> str:
    if not answers.is_pod_id(instance_id):
        raise ProviderRefusedError("this is no id of a pod of RunPod's")
    return f"/pods/{instance_id}"


def _choice(offer: Offer) -> Choice:
    try:
        return Choice.of(offer.id)
    except ShapeError as error:
        raise OfferGoneError("this is no offer of RunPod's", fix="look for offers again") from error


def _request(order: RentalOrder) -> dict[str, Any]:
    """Return what is sent to rent a pod. Names that v2 does not know are refused, so there is no more than this.

    Raises:
        ValueError: the environment uses a name that RunPod puts its own value under.
    """
    if any(name.startswith("RUNPOD_") for name in order.environment):
        raise ValueError("RunPod's own variables hide ours")
    choice = _choice(order.offer)
    gpu: dict[str, Any] = {"id": choice.gpu, "count": 1}
    if choice.min_cuda:
        gpu["minCudaVersion"] = choice.min_cuda
    request: dict[str, Any] = {
        "name": order.label,
        "image": order.image,
        "cloud": choice.cloud,
        "gpu": gpu,
        "disk": order.disk_gb,
        "ports": ["22/tcp"],
        "env": {
            **order.environment,
            # Where a request brings this one, RunPod leaves the account's own keys out of the pod.
            "PUBLIC_KEY": order.public_key,
            START_VARIABLE: base64.b64encode(order.start_script.encode()).decode(),
        },
        "args": ARGS,
        "startSsh": True,
    }
    if choice.places:
        request["dataCenterIds"] = list(choice.places)
    return request
