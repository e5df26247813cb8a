"""One provider's web interface: paced, timed, and every way of failing said as what it means for the bill.

What a request does decides how its failure counts. One that only asks (``asks``) is tried again where that can help.
One that costs money is sent once: an answer that is lost, or makes no sense, leaves its fate unknown.
"""

import asyncio
import errno
import functools
import json
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

import httpx

from loratui.providers.base import ProviderBusyError, ProviderError, ProviderRefusedError, UnknownFateError
from loratui.providers.retries import Retry, note_retry
from loratui_protocol.codec import clean

USER_AGENT = "loratui (+https://pypi.org/project/loratui)"
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
ATTEMPTS = 4
RETRY_FIRST_S = 1.0
LONGEST_WAIT_S = 60.0
MAX_ANSWER_BYTES = 16 << 20
LONGEST_PAUSE_S = 60.0
_MAX_SAID_CHARS = 300
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)
_BUSY = (408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response whose status the caller knows how to read."""

    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def said(self) -> str:
        """Return the beginning of what it says, cleaned, for people."""
        return clean(self.content[: 4 * _MAX_SAID_CHARS].decode("utf-8", "replace"), _MAX_SAID_CHARS).strip()

    def json(self) -> Any:
        """Return its content; numbers with a point are ``Decimal``, so that no price is ever a float.

        Raises:
            ValueError: it is no JSON.
        """
        try:
            return json.loads(self.content, parse_float=Decimal, parse_constant=_no_number)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error


@functools.cache
def _tls() -> ssl.SSLContext:
    """Return whom to trust, read once: it takes longer than a request on loopback."""
    return httpx.create_ssl_context()


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _why(error: BaseException) -> str:
    """Return why no answer came in words; libraries tell it by numbers of the system, some causes deep."""
    if isinstance(error, httpx.TimeoutException):
        return "it does not answer in time"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return "its name can't be looked up, as without a network"
        if isinstance(cause, ConnectionRefusedError):
            return "it refuses the connection"
        if isinstance(cause, OSError) and cause.errno in _NO_WAY:
            return "no way leads there, as without a network"
        cause = cause.__cause__ or cause.__context__
    return clean(str(error), 200) or type(error).__name__


class Api:
    """``spacing_s`` is the least time between two requests to one endpoint, by the endpoint's name.

    ``pause_s`` is the least time to wait after an answer of "too frequent" that names none.
    """

    def __init__(
        self,
        provider: str,
        base_url: str,
        *,
        key: str = "",
        spacing_s: Mapping[str, float] | None = None,
        pause_s: float = 0.0,
        retry_first_s: float = RETRY_FIRST_S,
    ) -> None:
        self.provider = provider
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._client = httpx.AsyncClient(
            base_url=base_url.rstrip("/"), headers=headers, timeout=TIMEOUT, follow_redirects=False, verify=_tls()
        )
        self._spacing_s = dict(spacing_s or {})
        self._next_s: dict[str, float] = {}
        self._pause_s = pause_s
        self._retry_first_s = retry_first_s
        self._pause_until_s = 0.0

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def ask(self, endpoint: str, method: str, path: str, **request: Any) -> Answer:
        """Send a request that may be sent again; return its answer, of whatever status but busy.

        Raises:
            ProviderBusyError: it could not be had, though it was tried ``ATTEMPTS`` times, or not before
                ``LONGEST_WAIT_S``: a daily quota may want hours.
        """
        delay_s = self._retry_first_s
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = await self._send(endpoint, method, path, request)
                if answer.status not in _BUSY:
                    return answer
                busy = self._busy(answer)
            except (httpx.HTTPError, OSError) as error:
                busy = ProviderBusyError(
                    f"{self.provider} can't be reached: {_why(error)}",
                    fix="check this machine's network, then try again",
                    code="provider.unreachable",
                )
            if attempt == ATTEMPTS or busy.retry_after_s > LONGEST_WAIT_S:
                raise busy
            wait_s = max(delay_s, busy.retry_after_s)
            note_retry(Retry(why=busy.what, attempt=attempt + 1, of=ATTEMPTS, wait_s=wait_s))
            await asyncio.sleep(wait_s)
            delay_s *= 2
        raise AssertionError  # the last attempt returns or raises

    async def order(self, endpoint: str, method: str, path: str, **request: Any) -> Answer:
        """Send, once, a request that may cost money; return its answer, of whatever status but busy.

        Raises:
            ProviderBusyError: it certainly did nothing: no connection was made, or it was too frequent (429).
            UnknownFateError: it may have done it.
        """
        try:
            answer = await self._send(endpoint, method, path, request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise ProviderBusyError(
                f"{self.provider} can't be reached: {_why(error)}",
                fix="nothing was rented; check this machine's network, then try again",
                code="provider.unreachable",
            ) from error
        except (httpx.HTTPError, OSError) as error:
            raise self._unknown(_why(error)) from error
        if answer.status == 429:
            raise self._busy(answer)
        if answer.status in _BUSY:
            raise self._unknown(f"it answered {answer.status}: {answer.said}")
        return answer

    async def beginning(self, endpoint: str, path: str, *, within_s: float, max_bytes: int, **request: Any) -> Answer:
        """Return the beginning of an answer that need not end: what of it comes within a time and a size. Sent once.

        Raises:
            ProviderBusyError: nothing came, or this is no time for a request that can be spared.
        """
        if self._pause_until_s > time.monotonic():
            raise ProviderBusyError(f"{self.provider} wants no more requests for now")
        await self._take_turn(endpoint)
        content, status, headers = bytearray(), 0, httpx.Headers()
        try:
            async with asyncio.timeout(within_s), self._client.stream("GET", path, **request) as response:
                status, headers = response.status_code, response.headers
                self._pause_until_s = time.monotonic() + pause_s(headers.get("RateLimit", ""))
                async for block in response.aiter_bytes():
                    content += block
                    if len(content) >= max_bytes:
                        break
        except (httpx.HTTPError, OSError) as error:
            if not status:
                raise ProviderBusyError(f"{self.provider} does not answer: {type(error).__name__}") from error
        return Answer(status, headers, bytes(content[:max_bytes]))

    def nonsense(self, answer: Answer, why: str, *, of_order: bool = False) -> NoReturn:
        """Refuse an answer that is not what the provider's documents say: it is never read as an empty one.

        Raises:
            UnknownFateError: it is that of an order.
            ProviderError: else.
        """
        if of_order:
            raise self._unknown(f"its answer makes no sense ({why})")
        raise ProviderError(
            f"{self.provider} answers what its documents don't know ({answer.status}: {why}); nothing follows from it",
            fix="try again later; look for a newer loratui if it stays so",
            code="provider.shape",
        )

    def refused(self, answer: Answer, said: str = "") -> ProviderRefusedError:
        """Return the error for a key that is wrong or may not do this, or for a request that is not accepted."""
        words = said or answer.said or "no reason was given"
        if answer.status == 401:
            return ProviderRefusedError(
                f"{self.provider} does not know the key: {words}",
                fix=f"enter it anew: loratui keys {self.provider}",
                code="provider.key",
            )
        if answer.status == 402:
            return ProviderRefusedError(
                f"{self.provider}: the balance does not suffice: {words}",
                fix="top it up there",
                code="provider.balance",
            )
        if answer.status == 403:
            return ProviderRefusedError(
                f"{self.provider}: the key may not do this: {words}",
                fix=f"make one with the scopes that loratui keys {self.provider} names",
                code="provider.scope",
            )
        return ProviderRefusedError(f"{self.provider} refuses the request ({answer.status}): {words}")

    async def _send(self, endpoint: str, method: str, path: str, request: Mapping[str, Any]) -> Answer:
        await self._take_turn(endpoint)
        async with self._client.stream(method, path, **request) as response:
            content = bytearray()
            async for block in response.aiter_bytes():
                content += block
                if len(content) > MAX_ANSWER_BYTES:
                    raise httpx.DecodingError("its answer has no end")
        self._pause_until_s = time.monotonic() + pause_s(response.headers.get("RateLimit", ""))
        return Answer(response.status_code, response.headers, bytes(content))

    async def _take_turn(self, endpoint: str) -> None:
        now_s = time.monotonic()
        turn_s = max(now_s, self._next_s.get(endpoint, 0.0), self._pause_until_s)
        self._next_s[endpoint] = turn_s + self._spacing_s.get(endpoint, 0.0)
        await asyncio.sleep(turn_s - now_s)

    def _busy(self, answer: Answer) -> ProviderBusyError:
        after = answer.headers.get("Retry-After", "")
        return ProviderBusyError(
            f"{self.provider} is busy ({answer.status}): {answer.said or 'it does not say why'}",
            retry_after_s=float(after) if after.isdecimal() else self._pause_s * (answer.status == 429),
        )

    def _unknown(self, why: str) -> UnknownFateError:
        return UnknownFateError(
            f"{self.provider} may have carried out the request, but nobody knows: {why}. Something may be billing"
        )


def pause_s(rate_limit: str) -> float:
    """Return how long to wait for the next request: until every window that is spent, as far as that is bearable.

    ``"minute";r=0;t=12, "hour";r=2800;t=1812``: what remains in a window, and when it begins anew.
    """
    longest_s = 0.0
    for window in rate_limit.split(","):
        remaining = re.search(r";\s*r=(\d{1,9})\b", window)
        begins_anew = re.search(r";\s*t=(\d{1,9})\b", window)
        if remaining and begins_anew and int(remaining[1]) == 0:
            longest_s = max(longest_s, float(begins_anew[1]))
    return min(longest_s, LONGEST_PAUSE_S)
