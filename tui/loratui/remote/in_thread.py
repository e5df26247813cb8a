"""Work in a thread that has ended when its caller goes on, cancelled or not: what it works on may be closed then.

A descriptor that is closed under a thread is given to the next socket, and the thread goes on with that.
"""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], /, *arguments: P.args, **keywords: P.kwargs) -> T:
    """Call ``function`` in a thread and return what it returns; a cancellation is passed on once it has ended."""
    work = asyncio.get_running_loop().run_in_executor(None, lambda: function(*arguments, **keywords))
    await ended(work)
    return work.result()


async def ended(work: "asyncio.Future[T]") -> None:
    """Return, or pass a cancellation on, once ``work`` has ended, however often that is cancelled."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        # Nobody will ask how it ended.
        work.cancelled() or work.exception()
        raise cancelled
