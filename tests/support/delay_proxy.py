"""A TCP proxy on loopback that is as slow, as lossy and as dead as a long way: a process of its own, told by lines.

    python tests/support/delay_proxy.py TARGET_PORT

Loss shows as stalls, as TCP makes of it: a lost segment holds up everything behind it for a retransmission.
"""

import asyncio
import contextlib
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import IO, cast

CHUNK_BYTES = 64 << 10
QUEUED_BYTES = 64 << 20
"""What is on its way at most: many times a window of SSH at the longest delay."""


@dataclass(kw_only=True)
class Way:
    """How the way is: one way's delay, the chance of a chunk to be held up and for how long, bytes a second."""

    delay_s: float = 0.0
    stall_chance: float = 0.0
    stall_s: float = 0.2
    bytes_per_s: float = 0.0
    """In each direction; 0: without limit."""
    frozen: bool = False
    """Nothing gets through, and nobody is told."""
    refuses: bool = False
    """New connections are closed at once."""


@dataclass(kw_only=True)
class Passed:
    """What has come through: how many connections were begun, and the bytes that reached either end."""

    connections: int = 0
    to_target: int = 0
    from_target: int = 0
    refused: int = 0
    """Connections that were not let through."""


class DelayProxy:
    """The way to ``target_port``, which leads from ``port``."""

    def __init__(self, target_port: int, **way: float) -> None:
        self._way = Way(**way)  # type: ignore[arg-type]
        argv = [sys.executable, __file__, str(target_port)]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._tell(asdict(self._way))
        self.port = int(self._told())

    def set(self, **way: float) -> None:
        """Change the way; what is already on it arrives as it would have."""
        self._way = Way(**{**asdict(self._way), **way})
        self._tell(asdict(self._way))
        self._told()

    def freeze(self) -> None:
        """Let the way die silently: connections stay open, and nothing arrives any more."""
        self.set(frozen=True)

    def thaw(self) -> None:
        """Let everything through that was sent meanwhile."""
        self.set(frozen=False)

    def cut(self) -> int:
        """Break every connection with a reset, as a rebooted router does; return how many there were."""
        self._tell({"cut": True})
        return int(self._told())

    def strand(self) -> None:
        """Let every present connection fall silent for good, as if a router had forgotten it; new ones pass."""
        self._tell({"strand": True})
        self._told()

    def passed(self) -> Passed:
        """Return what has come through so far."""
        self._tell({"passed": True})
        return Passed(**json.loads(self._told()))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            cast("IO[str]", pipe).close()

    def _tell(self, what: dict[str, object]) -> None:
        stdin = cast("IO[str]", self._process.stdin)
        stdin.write(json.dumps(what) + "\n")
        stdin.flush()

    def _told(self) -> str:
        return cast("IO[str]", self._process.stdout).readline()


@contextlib.contextmanager
def delay_proxy(target_port: int, **way: float) -> Iterator[DelayProxy]:
    """Run a proxy for the block; the words are the fields of ``Way``."""
    proxy = DelayProxy(target_port, **way)
    try:
        yield proxy
    finally:
        proxy.close()


class _Server:
    """The proxy's own process."""

    def __init__(self, target_port: int) -> None:
        self.way = Way()
        self._target_port = target_port
        self._writers: list[asyncio.StreamWriter] = []
        self._passed = Passed()
        self._first_heard = 0
        """Connections before this one are stranded."""
        self._may_pass = asyncio.Event()
        self._may_pass.set()
        self._chance = random.Random(1)

    async def run(self) -> None:
        lines = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK_BYTES)
        self._obey(json.loads(await lines.readline()))
        print(server.sockets[0].getsockname()[1], flush=True)
        while line := await lines.readline():
            told = json.loads(line)
            print(self._answer(told), flush=True)

    def _answer(self, told: dict[str, float]) -> str | int:
        if "cut" in told:
            return self._cut()
        if "strand" in told:
            self._first_heard = self._passed.connections
            return "ok"
        if "passed" in told:
            return json.dumps(asdict(self._passed))
        return self._obey(told)

    def _obey(self, way: dict[str, float]) -> str:
        self.way = Way(**way)  # type: ignore[arg-type]
        (self._may_pass.clear if self.way.frozen else self._may_pass.set)()
        return "ok"

    def _cut(self) -> int:
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.transport.abort()
        return len(writers) // 2

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.way.refuses:
            self._passed.refused += 1
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port, limit=CHUNK_BYTES)
        except OSError:
            writer.transport.abort()
            return
        self._writers += [writer, far_writer]
        number = self._passed.connections
        self._passed.connections += 1

        def towards_target(num_bytes: int) -> None:
            self._passed.to_target += num_bytes

        def from_target(num_bytes: int) -> None:
            self._passed.from_target += num_bytes

        async with asyncio.TaskGroup() as tasks:
            for source, sink, count in ((reader, far_writer, towards_target), (far_reader, writer, from_target)):
                queue = _Queue()
                tasks.create_task(self._take(source, queue))
                tasks.create_task(self._pass_on(queue, sink, number, count))

    async def _take(self, reader: asyncio.StreamReader, queue: "_Queue") -> None:
        loop = asyncio.get_running_loop()
        free_s = loop.time()
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                now_s = loop.time()
                if self.way.bytes_per_s:
                    free_s = max(free_s, now_s) + len(chunk) / self.way.bytes_per_s
                stall_s = self.way.stall_s if self._chance.random() < self.way.stall_chance else 0.0
                await queue.put(max(free_s, now_s) + self.way.delay_s + stall_s, chunk)
        await queue.put(loop.time() + self.way.delay_s, b"")

    async def _pass_on(
        self, queue: "_Queue", writer: asyncio.StreamWriter, number: int, count: Callable[[int], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while True:
                due_s, chunk = await queue.get()
                if due_s > loop.time():
                    await asyncio.sleep(due_s - loop.time())
                await self._may_pass.wait()
                if number < self._first_heard:
                    # Not even the end of it is told to the other side.
                    queue.give_up()
                    return
                if not chunk:
                    break
                writer.write(chunk)
                await writer.drain()
                count(len(chunk))
        queue.give_up()
        writer.close()


class _Queue:
    """Chunks on their way, with the time at which each is due."""

    def __init__(self) -> None:
        self._chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self._bytes = 0
        self._room = asyncio.Event()
        self._room.set()
        self._given_up = False

    async def put(self, due_s: float, chunk: bytes) -> None:
        await self._room.wait()
        if self._given_up:
            return
        self._bytes += len(chunk)
        self._chunks.put_nowait((due_s, chunk))
        if self._bytes > QUEUED_BYTES:
            self._room.clear()

    async def get(self) -> tuple[float, bytes]:
        due_s, chunk = await self._chunks.get()
        self._bytes -= len(chunk)
        if not self._given_up and self._bytes <= QUEUED_BYTES:
            self._room.set()
        return due_s, chunk

    def give_up(self) -> None:
        """Take no more: whoever waits for room goes on."""
        self._given_up = True
        self._room.set()


if __name__ == "__main__":
    asyncio.run(_Server(int(sys.argv[1])).run())
