"""Vast.ai: every offer is one machine of somebody's, with prices of its own for GPU, disk and traffic.

Its documents contradict each other and its servers here and there; where this follows neither, a comment says why.
"""

import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from loratui.domain.offers import Offer, OfferQuery, fits
from loratui.providers import vast_requests
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
from loratui.providers.vast_answers import (
    balance_microusd,
    identity,
    label,
    mapping,
    read_charges,
    read_instance,
    read_keys,
    read_offer,
    same_key,
    scoped_key,
    sequence,
    text,
)

URL = "https://console.vast.ai"

_LEAST_INTERVAL_S = {
    "search": 6.0,
    "get": 2.0,
    "list": 1.0,
    "create": 4.5,
    "end": 3.0,
    "keys": 1.0,
    "attach": 1.0,
    "account": 1.0,
    "charges": 1.0,
}
"""Between two requests, from its OpenAPI files; searches are limited to ten a minute."""
_INTERVAL_MARGIN = 1.1
"""What one request needs less than the one before it on its way must not make them too frequent."""
_PAUSE_S = 5.0
"""After "too frequent", which names no time as a rule."""
_INSTANCES_PER_PAGE = 25
_CHARGES_PER_PAGE = 500
_MAX_PAGES = 400

_NO_KEY = ("auth_error",)
_NO_BALANCE = ("insufficient_credit", "missing_billing")
_NO_MORE_SPENDING = ("spend_rate_limit",)
_NOT_NOW = ("rate_limit_exceeded", "search_quota_exceeded")
# invalid_price: the offer is not what it was when it was searched for.
_NO_OFFER = ("no_such_ask", "invalid_price")

_log = logging.getLogger(__name__)


class Vast:
    """``Provider`` of Vast.ai. ``key`` may be empty for searching alone.

    ``retry_first_s`` scales every wait, for tests: the intervals of a real server are seconds. ``spacing`` scales those
    between two requests alone: 0 for a server of one's own, which has no limits.
    """

    def __init__(
        self, key: str = "", *, url: str = URL, retry_first_s: float = RETRY_FIRST_S, spacing: float = 1.0
    ) -> None:
        scale = retry_first_s / RETRY_FIRST_S
        margin = _INTERVAL_MARGIN * spacing * scale
        self._api = Api(
            self.name,
            url,
            key=key,
            spacing_s={name: margin * least_s for name, least_s in _LEAST_INTERVAL_S.items()},
            pause_s=_PAUSE_S * scale,
            retry_first_s=retry_first_s,
        )

    @property
    def name(self) -> str:
        """Return "vast"."""
        return "vast"

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def account(self) -> Account:
        """Return what the key opens. Scopes for writing are not known before they are used; those for reading are."""
        answer = await self._api.ask("account", "GET", "/api/v0/users/current/")
        fields = self._value(answer)
        try:
            number = str(identity(fields, "id"))
            balance = balance_microusd(fields)
        except ValueError as error:
            self._api.nonsense(answer, str(error))
        missing = []
        for scope, endpoint, path, parameters in (
            ("instance_read", "list", "/api/v1/instances/", {"limit": "1"}),
            ("billing_read", "charges", "/api/v0/charges/", vast_requests.charges(time.time(), limit=1)),
        ):
            try:
                self._value(await self._api.ask(endpoint, "GET", path, params=parameters))
            except ProviderRefusedError:
                missing.append(scope)
            except ProviderError as error:
                _log.info("whether the key has a scope is not known scope=%s reason=%s", scope, error.what)
        return Account(id=number, balance_microusd=balance, missing_scopes=missing)

    async def offers(self, query: OfferQuery) -> list[Offer]:
        """Return what can be rented now and fits; a key is not needed."""
        query = replace(query, gpu_name=query.gpu_name.replace("_", " ").strip())
        found = await self._search(vast_requests.search(query), query.disk_gb)
        fitting = [offer for offer in found if fits(offer, query)]
        return sorted(fitting, key=lambda offer: (offer.price_microusd_per_h, offer.id))[: query.limit]

    async def price_now(self, offer: Offer) -> Offer:
        """Return the offer as it is now, with the same disk.

        Raises:
            OfferGoneError: it can't be had any more.
        """
        for found in await self._search(vast_requests.one_offer(_number(offer.id), offer.disk_gb), offer.disk_gb):
            if found.id == offer.id:
                return found
        raise OfferGoneError(f"the {offer.gpu_name} of offer {offer.id} is not to be had any more", fix="take the next")

    async def create(self, order: RentalOrder) -> Rented:
        """Rent a machine; our key is on the account before, and on the machine after.

        On the account alone it may not reach a machine that runs; on the machine alone it is wiped after hours.

        Raises:
            OfferGoneError: nothing was rented.
            ProviderRefusedError, ProviderBusyError: nothing was rented.
            UnknownFateError: the answer was lost, makes no sense, or names an instance that could not be ended.
        """
        body = vast_requests.creation(order)
        path = f"/api/v0/asks/{_number(order.offer.id)}/"
        is_on_account = await self._register(order.public_key)
        answer = await self._api.order("create", "PUT", path, json=body)
        said = _said(answer)
        fields = said if isinstance(said, dict) else {}
        try:
            made = str(identity(fields, "new_contract"))
        except ValueError as error:
            if refusal := self._refusal(answer, fields):
                raise refusal from error
            self._api.nonsense(answer, str(error), of_order=True)
        if answer.status // 100 != 2 or fields.get("success") is not True:
            # It reports failure and has created a machine all the same, which bills at least its disk.
            await self._undo(made)
            raise self._refusal(answer, fields) or ProviderRefusedError(
                f"vast refused, and made instance {made}: ended"
            )
        await self._attach(made, order.public_key, must=not is_on_account)
        return Rented(instance_id=made, scoped_key=scoped_key(fields))

    async def get(self, instance_id: str) -> Instance | None:
        """Return the instance, None when the answer says, in so many words, that there is none."""
        answer = await self._api.ask("get", "GET", f"/api/v0/instances/{_number(instance_id)}/")
        if _names(_said(answer), ("no_such_instance",)):
            return None
        fields = self._value(answer)
        try:
            if mapping(fields)["instances"] is None:
                return None
            instance = read_instance(fields["instances"])
        except (ValueError, KeyError) as error:
            self._api.nonsense(answer, str(error))
        if instance.id != instance_id:
            self._api.nonsense(answer, f"it is about instance {instance.id}, asked for was {instance_id}")
        return instance

    async def list(self, label_prefix: str = LABEL_PREFIX) -> list[Instance]:
        """Return every instance of the account whose label begins so.

        Its filters know labels that are equal, none that begin alike, and a filter that is misread would hide a
        rental: all pages are read, and looked through here.
        """
        rows = await self._rows("list", "/api/v1/instances/", {"limit": str(_INSTANCES_PER_PAGE)}, "instances")
        try:
            found = [read_instance(row) for row in rows if identity(row, "id") and label(row).startswith(label_prefix)]
        except ValueError as error:
            raise _nonsense("instances", error) from error
        return list({instance.id: instance for instance in found}.values())

    async def end(self, instance_id: str) -> None:
        """Ask for the instance's end; gone already is fine."""
        answer = await self._api.ask("end", "DELETE", f"/api/v0/instances/{_number(instance_id)}/")
        if not _names(_said(answer), ("no_such_instance", "not_found")):
            self._value(answer, must_succeed=True)

    async def charges(self, instance_id: str) -> Charges | None:
        """Return what was billed for it: Vast.ai rounds it to a tenth of a cent. Needs the scope ``billing_read``."""
        source = f"instance-{_number(instance_id)}"
        parameters = vast_requests.charges(time.time(), limit=_CHARGES_PER_PAGE)
        rows = await self._rows("charges", "/api/v0/charges/", parameters, "results")
        try:
            return read_charges([row for row in rows if text(row, "source") == source])
        except ValueError as error:
            raise _nonsense("records", error) from error

    async def tidy(self, label: str, public_key: str) -> None:  # noqa: ARG002 -- keys have no label there
        """Take our public key from the account; the user's own keys stay."""
        for number in await self._keys_like(public_key):
            answer = await self._api.ask("keys", "DELETE", f"/api/v0/ssh/{number}/")
            # Somebody was faster: "key not found or does not belong to user".
            if not _names(_said(answer), ("no_ssh_key",)):
                self._value(answer, must_succeed=True)

    async def _search(self, wanted: Mapping[str, Any], disk_gb: int) -> Sequence[Offer]:
        answer = await self._api.ask("search", "POST", "/api/v0/bundles/", json=wanted)
        try:
            listed = sequence(self._value(answer), "offers")
        except ValueError as error:
            self._api.nonsense(answer, str(error))
        found, odd = [], ""
        for each in listed:
            try:
                offer = read_offer(each, disk_gb)
            except ValueError as error:
                odd = str(error)
                _log.info("an offer makes no sense and is left out reason=%s", odd)
                continue
            if offer is not None:
                found.append(offer)
        if odd and not found:
            self._api.nonsense(answer, odd)
        return found

    async def _rows(
        self, endpoint: str, path: str, parameters: Mapping[str, str], name: str
    ) -> Sequence[Mapping[str, Any]]:
        """Return what all pages of a listing say: where it ends is said, never guessed."""
        rows: list[Mapping[str, Any]] = []
        tokens: list[str] = []
        while True:
            after = {"after_token": tokens[-1]} if tokens else {}
            answer = await self._api.ask(endpoint, "GET", path, params={**parameters, **after})
            fields = self._value(answer)
            try:
                rows += map(mapping, sequence(fields, name))
            except ValueError as error:
                self._api.nonsense(answer, str(error))
            if "next_token" not in fields:
                self._api.nonsense(answer, "a listing does not say whether it goes on")
            token = fields["next_token"]
            if token is None:
                return rows
            if not isinstance(token, str) or not token or token in tokens or len(tokens) >= _MAX_PAGES:
                self._api.nonsense(answer, "a listing has no end")
            tokens.append(token)

    async def _keys_like(self, public_key: str) -> Sequence[int]:
        answer = await self._api.ask("keys", "GET", "/api/v0/ssh/")
        try:
            return [number for number, line in read_keys(self._value(answer, of=list)) if same_key(line, public_key)]
        except ValueError as error:
            self._api.nonsense(answer, str(error))

    async def _register(self, public_key: str) -> bool:
        """Put our key on the account, where it is not yet; return whether the account can have keys: a team's can't."""
        if await self._keys_like(public_key):
            return True
        answer = await self._api.ask("keys", "POST", "/api/v0/ssh/", json={"ssh_key": public_key})
        if _names(_said(answer), ("team_ssh_keys_not_supported",)):
            return False
        self._value(answer, must_succeed=True)
        return True

    async def _attach(self, instance_id: str, public_key: str, *, must: bool) -> None:
        path = f"/api/v0/instances/{instance_id}/ssh/"
        try:
            # Once: the caller waits for the instance's id, which is not on disk before it has it.
            answer = await self._api.order("attach", "POST", path, json={"ssh_key": public_key})
            self._value(answer, must_succeed=True)
        except ProviderError as error:
            if not must:
                _log.warning("a key is on the account alone instance=%s reason=%s", instance_id, error.what)
                return
            await self._undo(instance_id)
            raise ProviderRefusedError(
                f"a team's key lets nobody into instance {instance_id}, which was ended: {error.what}",
                fix="use a key of a personal account",
            ) from error

    async def _undo(self, instance_id: str) -> None:
        """End what should not be there, and see that it is gone: two answers say so."""
        unknown = UnknownFateError(
            f"vast made instance {instance_id}, unasked, and it could not be seen to end. It may be billing",
            instance_id=instance_id,
        )
        try:
            await self.end(instance_id)
            for _ in range(2):
                if await self.get(instance_id) is not None:
                    raise unknown
        except UnknownFateError:
            raise
        except ProviderError as error:
            raise unknown from error

    def _value(self, answer: Answer, *, of: type[Any] = dict, must_succeed: bool = False) -> Any:
        """Return what a good answer says.

        Raises:
            ProviderError: it is a refusal, or makes no sense.
        """
        said = _said(answer)
        if refusal := self._refusal(answer, said if isinstance(said, dict) else {}):
            raise refusal
        if answer.status != 200 or not isinstance(said, of):
            self._api.nonsense(answer, answer.said[:80] or "it is empty")
        if isinstance(said, dict) and said.get("success", not must_succeed) is not True:
            self._api.nonsense(answer, "it does not say that it was done")
        return said

    def _refusal(self, answer: Answer, fields: dict[str, Any]) -> ProviderError | None:
        """Return what an answer that says no means; None when it does not say no in any way that is known."""
        if answer.status == 200 and fields.get("success") is not False and not fields.get("error"):
            return None
        words = _words(fields)
        if answer.status == 401 or _names(fields, _NO_KEY) or "invalid user key" in words.lower():
            return self._api.refused(replace(answer, status=401), words)
        if not words:
            return None
        if answer.status == 402 or _names(fields, _NO_BALANCE):
            return self._api.refused(replace(answer, status=402), words)
        if _names(fields, _NO_MORE_SPENDING):
            return ProviderRefusedError(
                f"vast lets new accounts spend only so much at a time: {words}",
                fix="end what runs there, or wait; the limit goes up with use",
                code="provider.limit",
            )
        if _names(fields, _NOT_NOW):
            return ProviderBusyError(f"vast is busy: {words}", retry_after_s=_PAUSE_S)
        if answer.status == 410 or _names(fields, _NO_OFFER):
            return OfferGoneError(f"the offer is gone: {words}", fix="take the next")
        if _names(fields, ("invalid_args",)):
            return self._api.refused(replace(answer, status=400), words)
        return self._api.refused(answer, words)


def _nonsense(what: str, error: ValueError) -> ProviderError:
    return ProviderError(f"vast's {what} make no sense ({error}); nothing follows from them", code="provider.shape")


def _number(number: str) -> int:
    """Return an id as a number: nothing else gets into a path."""
    if not (number.isascii() and number.isdecimal() and len(number) < 20):
        raise ProviderRefusedError(f"{number[:40]!r} is no id of vast's")
    return int(number)


def _said(answer: Answer) -> Any:
    """Return what an answer says, None when it is no JSON."""
    try:
        return answer.json()
    except ValueError:
        return None


def _words(fields: dict[str, Any]) -> str:
    """Return its reason for people, empty if it gives none: any part of it may be missing."""
    try:
        return ": ".join(filter(None, (text(fields, name, 300) for name in ("error", "msg", "message", "detail"))))
    except ValueError:
        return ""


def _names(said: Any, errors: tuple[str, ...]) -> bool:
    """Return whether an answer names one of these errors: as its code, or as a word of its message."""
    if not isinstance(said, dict):
        return False
    return not set(errors).isdisjoint(re.split(r"[^a-z_]+", _words(said)))
