"""A package index on loopback: what a box installs from, without any traffic beyond this machine."""

import base64
import contextlib
import hashlib
import json
import re
import shutil
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

WHEELS = Path(sys.prefix) / "wheels"
"""Where scripts/setup_venv.sh puts what the locks name, uv and torch's CPU build."""
_JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True)
class WheelIndex:
    """A running index. ``asked`` has every path that was asked for; files named in ``spoiled`` come damaged.

    No file is sent before ``is_open`` is set, which it is from the start.
    """

    url: str
    asked: list[str] = field(default_factory=list)
    spoiled: set[str] = field(default_factory=set)
    is_open: threading.Event = field(default_factory=threading.Event)


def locked_wheels() -> Path:
    """Return the folder of the fetched wheels; a test without them is skipped."""
    if not any(WHEELS.glob("diffusers-*.whl")):
        pytest.skip("the wheels of the locks were not fetched: scripts/setup_venv.sh does it")
    return WHEELS


@contextlib.contextmanager
def wheel_index(*folders: Path) -> Iterator[WheelIndex]:
    """Serve the wheels of these folders for the block."""
    files = {path.name: path for folder in folders for path in folder.glob("*.whl")}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(self.path)
            index.asked.append(path)
            project = re.fullmatch(r"/simple/(?:[a-z0-9]+/)?([^/]+)/", path)
            name = path.rpartition("/")[2]
            if project:
                rows = [
                    {
                        "filename": each,
                        "url": f"/files/{each}",
                        "hashes": {"sha256": sha256_of(file)},
                        "core-metadata": True,
                    }
                    for each, file in files.items()
                    if normal(each.partition("-")[0]) == normal(project[1])
                ]
                body = json.dumps({"meta": {"api-version": "1.0"}, "name": project[1], "files": rows}).encode()
                self.answer(200 if rows else 404, _JSON, body)
            elif name.removesuffix(".metadata") in files and name.endswith(".metadata"):
                self.answer(200, "text/plain", metadata_of(files[name.removesuffix(".metadata")]))
            elif name in files:
                self.answer_with_file(files[name])
            else:
                self.answer(404, "text/plain", b"no such file")

        do_HEAD = do_GET  # noqa: N815  (the base class asks for this name)

        def answer(self, status: int, kind: str, body: bytes) -> None:
            self.begin(status, kind, len(body))
            if self.command == "GET":
                self.wfile.write(body)

        def answer_with_file(self, file: Path) -> None:
            index.is_open.wait(60)
            self.begin(200, "application/octet-stream", file.stat().st_size)
            if file.name in index.spoiled:
                self.wfile.write(file.read_bytes()[::-1])
            elif self.command == "GET":
                with file.open("rb") as source, contextlib.suppress(ConnectionError):
                    shutil.copyfileobj(source, self.wfile, 1 << 20)

        def begin(self, status: int, kind: str, size: int) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(size))
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        index = WheelIndex(f"http://127.0.0.1:{server.server_port}/simple")
        index.is_open.set()
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield index
        finally:
            index.is_open.set()
            server.shutdown()
            thread.join()


def make_wheel(folder: Path, name: str, version: str, modules: dict[str, str]) -> Path:
    """Write a small wheel with these modules, by path, and return it."""
    info = f"{name}-{version}.dist-info"
    files = {
        **modules,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{each},sha256={record_hash(text)},{len(text.encode())}" for each, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for each, text in files.items():
            wheel.writestr(each, text)
    return path


def lock_line(wheel: Path) -> str:
    """Return the line of a lock that names this wheel."""
    name, version = wheel.name.split("-")[:2]
    return f"{name}=={version} --hash=sha256:{sha256_of(wheel)}\n"


def metadata_of(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA")))


@cache
def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record_hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
