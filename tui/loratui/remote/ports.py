"""Whether this network lets connections out to high ports, where rented machines have their SSH servers."""

import asyncio
import contextlib
from collections.abc import Iterable

LIMIT_S = 5.0
Endpoint = tuple[str, int]


async def first_reached(endpoints: Iterable[Endpoint], limit_s: float = LIMIT_S) -> Endpoint | None:
    """Return the first of them that takes a connection, each within the limit; nothing is sent there.

    They are tried one after the other: a host that listens on every port takes several at once for a scan.
    """
    for host, port in endpoints:
        if await _reaches(host, port, limit_s):
            return host, port
    return None


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
