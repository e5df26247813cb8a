"""Notices that this machine slept, so that nobody trusts a connection from before or waits for a time that is over."""

import asyncio
import contextlib
import time

from loratui.domain.awake import Awake

_LOOK_EVERY_S = 0.5


class Clocks:
    """Looks at the clocks twice a second, while somebody waits here."""

    def __init__(self) -> None:
        self._awake = Awake(time.time(), time.monotonic())
        self._slept = False

    async def slept(self) -> None:
        """Return once this machine has slept, or this process stood still, and goes on."""
        never = asyncio.Event()
        while not self._look(_LOOK_EVERY_S):
            await self._tick(_LOOK_EVERY_S, never)

    async def pause(self, wait_s: float, wanted: asyncio.Event) -> None:
        """Return after ``wait_s``, or as soon as ``wanted`` is set, or when this machine has slept."""
        end_s = time.monotonic() + wait_s
        while (left_s := min(end_s - time.monotonic(), _LOOK_EVERY_S)) > 0 and not self._look(_LOOK_EVERY_S):
            if await self._tick(left_s, wanted):
                return

    def take_slept(self) -> bool:
        """Return whether this machine slept since this was last asked."""
        slept, self._slept = self._slept, False
        return slept

    async def _tick(self, wait_s: float, wanted: asyncio.Event) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                return await wanted.wait()
        return False

    def _look(self, expected_s: float) -> bool:
        slept = self._awake.has_slept(time.time(), time.monotonic(), expected_s)
        self._slept |= slept
        return slept
