"""uv, the installer that is brought to a box: a pinned release, fetched once, verified, kept on this machine."""

import asyncio
import hashlib
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urljoin

import httpx

from loratui_protocol.errors import HostError

VERSION = "0.13.9"
_MAX_BYTES = 64 << 20
_MAX_LISTING_BYTES = 64 << 20
_TIMEOUT_S = 30.0
_LISTING = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class UvWheel:
    """A published file."""

    name: str
    sha256: str


_ARM = "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64"
_WHEELS = {
    ("x86_64", False): UvWheel(
        name=f"uv-{VERSION}-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        sha256="d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    ),
    ("x86_64", True): UvWheel(
        name=f"uv-{VERSION}-py3-none-musllinux_1_1_x86_64.whl",
        sha256="2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25",
    ),
    ("aarch64", False): UvWheel(
        name=f"uv-{VERSION}-py3-none-{_ARM}.whl",
        sha256="5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
    ),
}
_WHEELS[("aarch64", True)] = _WHEELS[("aarch64", False)]


def wheel_for(machine: str, libc: str) -> UvWheel:
    """Return the file for a machine ("x86_64") with this C library ("glibc 2.36", "musl").

    Raises:
        HostError: ``host.system``; uv is not brought to such machines.
    """
    wheel = _WHEELS.get((machine, libc.startswith("musl")))
    if wheel is None:
        raise HostError(f"no installer is known for {machine} machines. Nothing was sent.", code="host.system")
    return wheel


async def uv_wheel(machine: str, libc: str, cache_dir: Path, index_url: str) -> Path:
    """Return the wheel that holds uv, from the cache, else fetched from the package index. About 18 MB.

    Raises:
        HostError: ``host.system``, or ``host.uv``: the index can't be reached or serves something else.
    """
    wheel = wheel_for(machine, libc)
    path = cache_dir / wheel.name
    if _is_there(path, wheel.sha256):
        return path
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=True) as client:
            address = await _address(client, f"{index_url.rstrip('/')}/uv/", wheel.name)
            await _fetch(client, address, wheel.sha256, path)
    except httpx.HTTPError as error:
        raise _unreachable(index_url, str(error) or type(error).__name__) from error
    return path


async def uv_binary(machine: str, libc: str, cache_dir: Path, index_url: str) -> Path:
    """Return uv itself, as a program for that machine (about 40 MB); errors as in ``uv_wheel``."""
    wheel = await uv_wheel(machine, libc, cache_dir, index_url)
    return await asyncio.to_thread(_extracted, wheel)


async def _address(client: httpx.AsyncClient, listing: str, name: str) -> str:
    answer = await client.get(listing, headers={"Accept": f"{_LISTING}, text/html;q=0.1"})
    answer.raise_for_status()
    try:
        files = answer.json()["files"] if len(answer.content) <= _MAX_LISTING_BYTES else []
        found = [file["url"] for file in files if file["filename"] == name]
    except (ValueError, KeyError, TypeError) as error:
        raise _unreachable(listing, "it does not answer as an index does") from error
    if not found:
        raise _unreachable(listing, f"it does not have {name}")
    return urljoin(str(answer.url), str(found[0]))


async def _fetch(client: httpx.AsyncClient, address: str, sha256: str, path: Path) -> None:
    """Download to ``path``, which is there only once the content was found to be what was pinned."""
    digest = hashlib.sha256()
    with _new_file(path) as target:
        async with client.stream("GET", address) as answer:
            answer.raise_for_status()
            async for piece in answer.aiter_bytes(1 << 20):
                digest.update(piece)
                target.write(piece)
                if target.tell() > _MAX_BYTES:
                    raise _unreachable(address, "it sends more than the file has")
        if digest.hexdigest() != sha256:
            raise _unreachable(address, "what it sent is not the file that was published")


@contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write, which gets its name when the block is left without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as target:
        try:
            yield target
            target.flush()
            os.fsync(target.fileno())
            Path(target.name).replace(path)
        finally:
            Path(target.name).unlink(missing_ok=True)


def _extracted(wheel: Path) -> Path:
    program = wheel.with_suffix(".uv")
    with zipfile.ZipFile(wheel) as archive:
        member = archive.getinfo(f"uv-{VERSION}.data/scripts/uv")
        # The wheel is what was published: its sum tells a program that a crash has left half-written.
        if not program.exists() or zlib.crc32(program.read_bytes()) != member.CRC:
            with _new_file(program) as target:
                shutil.copyfileobj(archive.open(member), target, 1 << 20)
                Path(target.name).chmod(0o700)
    return program


def _is_there(path: Path, sha256: str) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _unreachable(where: str, why: str) -> HostError:
    return HostError(
        f"the installer (uv {VERSION}) can't be fetched from {where}: {why}. Nothing was sent.",
        fix="see that this machine reaches the index of remote.index_url, or install uv on the host",
        code="host.uv",
    )
