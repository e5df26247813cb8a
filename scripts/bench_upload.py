"""How fast a dataset reaches a box through SSH: many small files against one large, and against a plain ``cat``.

Gates, at a round trip of 80 ms: 100 files of 200 KB take at most 1.5 times as long as one of 20 MB, and an upload has
at least 80 % of the throughput of a raw ``cat`` over the same connection. Without a round trip the start of a Python
and a hundred fsyncs weigh more than the bytes.

python scripts/bench_upload.py [--times N]
"""

import argparse
import asyncio
import hashlib
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from loratui.remote.box import Box
from loratui.remote.upload import LocalBlob, upload
from loratui_protocol.framing import new_nonce
from support.boxes import box_of
from support.delay_proxy import delay_proxy
from support.local_box import receive_argv
from support.sshd import sshd

RTT_S = 0.08
MANY_GATE = 1.5
CAT_GATE = 0.8
TOTAL_BYTES = 20_000_000
LARGE_BYTES = 60_000_000
_BLOCK_BYTES = 1 << 18


def blobs_of(folder: Path, count: int, size: int) -> dict[str, LocalBlob]:
    """Write files of random bytes; return them by hash."""
    folder.mkdir(parents=True)
    blobs = {}
    for index in range(count):
        path = folder / str(index)
        content = os.urandom(size)
        path.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        blobs[sha256] = LocalBlob(path=path, size=size, mtime_ns=path.stat().st_mtime_ns)
    return blobs


async def time_upload(box: Box, home: Path, blobs: dict[str, LocalBlob]) -> float:
    """Return the seconds that an upload takes, from the command to the last word of the box."""
    start_s = time.perf_counter()
    await upload(box, receive_argv(home), blobs, lambda _: None)
    return time.perf_counter() - start_s


async def time_cat(box: Box, folder: Path, size: int) -> float:
    """Return the seconds that as many bytes take into ``cat``, which says when it has them."""
    nonce = new_nonce()
    content = os.urandom(_BLOCK_BYTES)
    script = f"cat >{folder}/cat && sync {folder}/cat && echo && echo @@loratui {nonce} {{}}"
    argv = ["/bin/sh", "-c", script]
    start_s = time.perf_counter()
    async with box.process(argv, nonce) as process:
        for _ in range(size // _BLOCK_BYTES):
            await process.write(content)
        await process.write_eof()
        await process.frame()
    return time.perf_counter() - start_s


async def measure(times: int, rtt_s: float, folder: Path) -> dict[str, float]:
    """Return the median seconds of each kind of transfer."""
    took: dict[str, list[float]] = {"100 x 200 KB": [], "1 x 20 MB": [], "1 x 60 MB": [], "cat, 60 MB": []}
    with sshd(folder / "server") as server, delay_proxy(server.port, delay_s=rtt_s / 2) as proxy:
        server.port = proxy.port
        async with box_of(server, folder / "instance") as (box, _):
            await time_cat(box, server.home, _BLOCK_BYTES)  # connects
            for turn in range(times):
                base = folder / str(turn)
                many = blobs_of(base / "many", 100, TOTAL_BYTES // 100)
                took["100 x 200 KB"].append(await time_upload(box, server.home / f"many{turn}", many))
                one = blobs_of(base / "one", 1, TOTAL_BYTES)
                took["1 x 20 MB"].append(await time_upload(box, server.home / f"one{turn}", one))
                large = blobs_of(base / "large", 1, LARGE_BYTES)
                took["1 x 60 MB"].append(await time_upload(box, server.home / f"large{turn}", large))
                took["cat, 60 MB"].append(await time_cat(box, server.home, LARGE_BYTES))
    return {name: statistics.median(each) for name, each in took.items()}


def main() -> int:
    """Measure, print a table, and return 1 if a gate is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    is_missed = False
    for rtt_s in (0.0, RTT_S):
        with tempfile.TemporaryDirectory() as folder:
            took = asyncio.run(measure(times, rtt_s, Path(folder)))
        print(f"round trip {rtt_s * 1000:.0f} ms, median of {times}")
        for name, seconds in took.items():
            size = LARGE_BYTES if "60" in name else TOTAL_BYTES
            print(f"  {name:<16} {seconds:6.2f} s  {size / seconds / 1e6:6.1f} MB/s")
        many = took["100 x 200 KB"] / took["1 x 20 MB"]
        against_cat = took["cat, 60 MB"] / took["1 x 60 MB"]
        print(f"  many files against one: {many:.2f} times the time (at most {MANY_GATE})")
        print(f"  upload against cat:     {against_cat:.0%} of the throughput (at least {CAT_GATE:.0%})")
        if rtt_s:
            is_missed |= many > MANY_GATE or against_cat < CAT_GATE
    return 1 if is_missed else 0


if __name__ == "__main__":
    sys.exit(main())
