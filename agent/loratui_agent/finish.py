"""What must come to its end, though whoever waits for it is cancelled meanwhile."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def finish(work: Awaitable[T]) -> T:
    """Await ``work`` to its end, however often this is cancelled; a cancellation is raised after it.

    Who stops waiting for a thread or a killed process leaves it at work beside the next attempt.
    """
    running = asyncio.ensure_future(work)  # noqa: TID251 - it is over when this function is
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return running.result()
