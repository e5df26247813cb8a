"""Whether this network lets connections out to high ports, where rented machines have their SSH servers."""

import asyncio
import contextlib
from collections.abc import Sequence

LIMIT_S = 5.0


async def reaches_any(endpoints: Sequence[tuple[str, int]], limit_s: float = LIMIT_S) -> bool:
    """Return whether one of them takes a connection within the limit; nothing is sent there."""
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_reaches(host, port, limit_s)) for host, port in endpoints]
    return any(task.result() for task in asked)


async def _reaches(host: str, port: int, limit_s: float) -> bool:
    try:
        async with asyncio.timeout(limit_s):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
