"""Ending a rental for certain: asked for again and again, and believed only when the provider shows that it is gone."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from loratui.providers.base import Instance, Provider, ProviderError, ProviderRefusedError

PROOFS = 2
"""Well-formed answers in a row that there is no such instance, before that is believed."""
FIRST_WAIT_S = 1.0
LAST_WAIT_S = 60.0
_ASK_AGAIN_S = 10.0
"""A request to end that was accepted may have done nothing."""


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


async def end_for_certain(
    provider: Provider,
    instance_id: str,
    tell: Callable[[EndingView], None] = lambda _: None,
    *,
    first_wait_s: float = FIRST_WAIT_S,
) -> None:
    """End an instance; return once the provider's own answers have shown it gone, ``PROOFS`` in a row.

    It is tried for ever, with growing waits: whoever cancels it must say that something may still be billing.

    Raises:
        ProviderRefusedError: the key is wrong or may not do this: asking again would change nothing.
    """
    started_s = time.monotonic()
    asked_s = float("-inf")
    num_requests = num_proofs = 0
    last: Instance | None = None
    wait_s = first_wait_s
    while True:
        error: ProviderError | None = None
        try:
            if num_proofs == 0 and time.monotonic() - asked_s >= min(_ASK_AGAIN_S, 10 * first_wait_s):
                await provider.end(instance_id)
                asked_s = time.monotonic()
                num_requests += 1
            last = await provider.get(instance_id)
            num_proofs = num_proofs + 1 if last is None else 0
        except ProviderRefusedError:
            raise
        except ProviderError as failed:
            # An answer that can't be understood is no proof, and takes none away either.
            error = failed
        tell(
            EndingView(
                since_s=time.monotonic() - started_s,
                num_requests=num_requests,
                num_proofs=num_proofs,
                last=last,
                error=error,
            )
        )
        if num_proofs >= PROOFS:
            return
        await asyncio.sleep(first_wait_s if num_proofs else wait_s)
        wait_s = min(LAST_WAIT_S * first_wait_s, wait_s * 2)
