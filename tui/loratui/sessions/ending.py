"""Ending a rental for certain: asked for again and again, and believed only when the provider shows that it is gone."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from loratui.providers.base import Instance, Provider, ProviderError, ProviderRefusedError
from loratui_protocol.errors import LoratuiError

PROOFS = 2
"""Well-formed answers in a row that there is no such instance, before that is believed."""
PROOF_LASTS_S = 60.0
"""An answer of longer ago may have been a slip, and the next one another."""
FIRST_WAIT_S = 1.0
LAST_WAIT_S = 60.0
_ASK_AGAIN_S = 10.0
"""A request to end that was accepted may have done nothing."""
T = TypeVar("T")
log = logging.getLogger(__name__)


class StillBillingError(LoratuiError):
    """Something may go on costing money. ``what`` says what, ``fix`` where a person can end it."""

    default_code = "rental.billing"
    exit_status = 5


class OtherAccountError(ProviderError):
    """The key opens another account than the one that a rental is of: what it does not show proves nothing."""

    default_code = "rental.account"
    exit_status = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingView:
    """How far an ending is. Until it is over the instance counts as billing."""

    since_s: float
    """For how long it has been tried."""
    num_requests: int
    """How often the end was asked for and accepted."""
    num_proofs: int
    last: Instance | None = None
    """What the provider last showed."""
    error: ProviderError | None = None
    """Why the last request brought nothing."""

    @property
    def sentence(self) -> str:
        """Return how it is, in a few words: gone is only what was proven to be."""
        if self.error is not None:
            return self.error.what
        if self.last is not None:
            return f"still {self.last.state}"
        return "gone" if self.num_proofs >= PROOFS else f"not shown any more ({self.num_proofs} of {PROOFS} times)"


class Proofs:
    """Counts well-formed answers in a row that there is no such instance.

    One that can't be understood is no proof, and takes none away; but one that has grown old proves nothing any more.
    """

    def __init__(self) -> None:
        self.count = 0
        self._last_s = float("-inf")

    def add(self, now_s: float, *, is_gone: bool) -> bool:
        """Take in a well-formed answer; return whether that it is gone is proven now."""
        self.forget_old(now_s)
        self.count = self.count + 1 if is_gone else 0
        self._last_s = now_s
        return self.count >= PROOFS

    def forget_old(self, now_s: float) -> None:
        """Begin anew if the last one is too old."""
        if now_s - self._last_s > PROOF_LASTS_S:
            self.count = 0


async def end_for_certain(
    provider: Provider,
    instance_id: str,
    tell: Callable[[EndingView], None] = lambda _: None,
    *,
    account_id: str = "",
    first_wait_s: float = FIRST_WAIT_S,
    doubt_s: float = 0.0,
) -> None:
    """End an instance; return once the provider's own answers have shown it gone, ``PROOFS`` in a row.

    It is tried for ever, with growing waits: whoever cancels it must say that something may still be billing. Begun
    anew it goes on where it was. ``tell`` may fail: that stops nothing. ``account_id``: whose it is, where that is
    known. For ``doubt_s`` it proves nothing that an instance which was never shown is not: listings lag behind.

    Raises:
        ProviderRefusedError: the key is wrong or may not do this: asking again would change nothing.
        OtherAccountError: the key is another account's.
    """
    started_s = time.monotonic()
    asked_s = float("-inf")
    num_requests, proofs, is_proven = 0, Proofs(), False
    last: Instance | None = None
    is_its_account = not account_id
    was_seen = False
    wait_s = first_wait_s
    while True:
        error: ProviderError | None = None
        try:
            proofs.forget_old(time.monotonic())
            if proofs.count == 0 and time.monotonic() - asked_s >= min(_ASK_AGAIN_S, 10 * first_wait_s):
                await provider.end(instance_id)
                asked_s = time.monotonic()
                num_requests += 1
            last = await provider.get(instance_id)
            if last is None and not is_its_account:
                await check_account(provider, account_id)
                is_its_account = True
            was_seen = was_seen or last is not None
            is_proof = last is None and (was_seen or time.monotonic() - started_s >= doubt_s)
            is_proven = proofs.add(time.monotonic(), is_gone=is_proof)
        except (ProviderRefusedError, OtherAccountError):
            raise
        except ProviderError as failed:
            error = failed
        view = EndingView(
            since_s=time.monotonic() - started_s,
            num_requests=num_requests,
            num_proofs=proofs.count,
            last=last,
            error=error,
        )
        try:
            tell(view)
        except (OSError, ValueError, LoratuiError) as failed:
            # A terminal that is gone, or a disk that is full, must not keep a machine alive.
            log.warning("nobody could be told how an ending goes: %s", failed)
        if is_proven:
            return
        await asyncio.sleep(first_wait_s if proofs.count else wait_s)
        wait_s = min(LAST_WAIT_S * first_wait_s, wait_s * 2)


async def check_account(provider: Provider, account_id: str) -> None:
    """Return if the key opens this account.

    Raises:
        OtherAccountError: it opens another one, or does not tell which.
        ProviderError: it could not be asked.
    """
    if (await provider.account()).id != account_id:
        raise OtherAccountError(
            f"the key of {provider.name} opens another account than the one that this was rented with: that it is not "
            "to be found there proves nothing",
            fix=f"enter that account's key again: loratui keys {provider.name}",
        )


async def finish(work: Callable[[], Awaitable[T]]) -> T:
    """Return what ``work`` returns, even if its task is cancelled once; from the second time on that gets through.

    ``work`` is begun anew then, so it must go on where it was. A cancellation that came in between is raised
    afterwards; all that this task was ever asked counts, what brought us here included.
    """
    task = asyncio.current_task()
    was_cancelled = False
    while True:
        try:
            done = await work()
        except asyncio.CancelledError:
            if task is None or task.cancelling() > 1:
                raise
            was_cancelled = True
        else:
            if was_cancelled:
                raise asyncio.CancelledError
            return done
