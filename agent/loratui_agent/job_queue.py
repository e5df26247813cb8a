"""Jobs wait in line: one runs, the next starts when it has ended."""

import asyncio
import collections
import logging
from collections.abc import Awaitable, Callable

from loratui_agent.job import Job

log = logging.getLogger(__name__)


class JobQueue:
    """First come, first served."""

    def __init__(self, run_job: Callable[[Job], Awaitable[None]]) -> None:
        """Make an empty queue; ``run_job`` takes a job to a final state."""
        self._run_job = run_job
        self._waiting: collections.deque[Job] = collections.deque()
        self._arrived = asyncio.Event()
        self.active: Job | None = None

    @property
    def is_idle(self) -> bool:
        """Return whether nothing runs or waits."""
        return self.active is None and not self._waiting

    def put(self, job: Job) -> None:
        """Add a job at the end."""
        self._waiting.append(job)
        self._arrived.set()

    def remove(self, job: Job) -> None:
        """Take a waiting job out."""
        self._waiting.remove(job)

    async def run(self) -> None:
        """Run job after job, forever."""
        while True:
            while self._waiting:
                self.active = self._waiting.popleft()
                await self._run_job(self.active)
                self.active = None
            self._arrived.clear()
            await self._arrived.wait()
