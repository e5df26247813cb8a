"""Asks a model hub for its files, and downloads them: on from where an earlier attempt ended, checked, in one piece."""

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import httpx

from loratui_protocol.errors import ModelError, StorageError
from loratui_protocol.harmless import clean
from loratui_protocol.inputs import MAX_FILE_BYTES, is_sha256

TIMEOUT_S = 30.0
_MAX_LIST_BYTES = 16 << 20
_MAX_PAGES = 20
_BLOCK_BYTES = 1 << 20
_COMMIT = re.compile(r"[0-9a-f]{40}")
_RANGE = re.compile(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15})")
_AGAIN = (408, 416, 425, 429)
"""Statuses that say nothing of whether there is such a file; 416: there are fewer bytes of it than are here."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Hub:
    """A model hub, by its address."""

    url: str

    def file_url(self, hub_id: str, commit: str, name: str) -> str:
        """Return the address of a file at a commit."""
        return f"{self.url.rstrip('/')}/{hub_id}/resolve/{commit}/{quote(name)}"

    def files(self, hub_id: str, revision: str) -> tuple[str, dict[str, tuple[int, str]]]:
        """Return the commit of a revision, and its files by name: size, and checksum where the hub has it.

        Raises:
            ModelError: there is no such model, or the hub is not understood.
        """
        api = f"{self.url.rstrip('/')}/api/models/{hub_id}"
        with _client() as client:
            answer, _ = _json(client, f"{api}/revision/{revision}", hub_id)
            commit = answer.get("sha") if isinstance(answer, dict) else None
            if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
                raise _nonsense(self.url)
            found: dict[str, tuple[int, str]] = {}
            page = f"{api}/tree/{commit}?recursive=1"
            for _ in range(_MAX_PAGES):
                rows, following = _json(client, page, hub_id)
                found |= _files(rows, self.url)
                if not following:
                    return commit, found
                page = urljoin(page, following)
                if urlsplit(page).netloc != urlsplit(self.url).netloc:
                    break
        raise _nonsense(self.url)


def fetch_file(url: str, path: Path, size: int, sha256: str, progress: Callable[[int], None]) -> str:
    """Put a file at ``path`` and return its SHA-256; an empty ``sha256`` is not known. Errors as in ``models.fetch``.

    What has come stays beside it as ``.part`` and is gone on from, here or when this is called again.
    """
    part = path.with_name(f"{path.name}.part")
    with _disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        was_begun = part.exists()
        found = _bring(url, part, size, progress)
        if was_begun and sha256 and found != sha256:
            # What an earlier attempt left may be damaged, or of another version.
            part.unlink()
            found = _bring(url, part, size, progress)
        if sha256 and found != sha256:
            part.unlink()
            raise ModelError(
                f"{path.name} arrived as another file than it should be: its SHA-256 begins with {found[:12]}, not "
                f"{sha256[:12]}. It was thrown away",
                fix="try again; if that happens again, the hub has other files now: name a folder with --model",
                code="model.corrupt",
            )
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    return found


def write_whole(path: Path, content: bytes) -> None:
    """Put a small file in place in one piece."""
    with _disk(path):
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        temporary.write_bytes(content)
        temporary.replace(path)


def _bring(url: str, part: Path, size: int, progress: Callable[[int], None]) -> str:
    """Append what is missing, as long as every attempt brings something; return the SHA-256 of it all."""
    digest, here = _begun(part, size)
    while here < size:
        before, why = here, "it ended too early"
        try:
            with _client() as client, _answer(client, url, here) as answer, part.open("ab") as file:
                if answer.status_code != 206:
                    file.truncate(0)
                    digest, here = hashlib.sha256(), 0
                # As they come: whole blocks would be lost with a connection that breaks off before they are full.
                for block in answer.iter_bytes():
                    if here + len(block) > size:
                        raise ModelError(
                            f"{clean(url, 200)} is longer than the {size} bytes that were announced",
                            fix="name a folder with --model",
                            code="model.corrupt",
                        )
                    file.write(block)
                    digest.update(block)
                    here += len(block)
                    progress(here)
        except httpx.HTTPError as error:
            why = clean(str(error) or type(error).__name__, 100)
        if here < size and here <= before:
            raise ModelError(
                f"{urlsplit(url).netloc} does not send the model: {why}. {here} of {size} bytes are here and stay",
                fix="try again: the download goes on from there",
                code="model.network",
            )
    return digest.hexdigest()


def _begun(part: Path, size: int) -> "tuple[hashlib._Hash, int]":
    digest = hashlib.sha256()
    if not part.is_file() or part.stat().st_size > size:
        part.unlink(missing_ok=True)
        part.touch()
    with part.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest, part.stat().st_size


def _client() -> httpx.Client:
    headers = {"User-Agent": "loratui", "Accept-Encoding": "identity"}
    return httpx.Client(headers=headers, timeout=TIMEOUT_S, follow_redirects=True, max_redirects=8)


@contextmanager
def _answer(client: httpx.Client, url: str, start: int = 0) -> Iterator[httpx.Response]:
    """Give what an address answers, from a byte on where it can."""
    _check_is_private(url)
    with client.stream("GET", url, headers={"Range": f"bytes={start}-"} if start else {}) as answer:
        _check_is_private(str(answer.url))
        if answer.status_code in _AGAIN or answer.status_code >= 500:
            raise httpx.RemoteProtocolError(f"it answered {answer.status_code}")
        if answer.status_code not in (200, 206):
            raise ModelError(
                f"{clean(url, 200)} is not there, or not for everyone ({answer.status_code})",
                fix="check the model's name and revision; or download it yourself and name the folder with --model",
                code="model.missing",
            )
        goes_on = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if answer.status_code == 206 and (goes_on is None or int(goes_on[1]) != start):
            raise httpx.RemoteProtocolError("the server sent another part than was asked for")
        yield answer


def _check_is_private(address: str) -> None:
    """Refuse to ask where anyone on the way could put another model in the place of this one."""
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ModelError(
            f"{clean(address, 200)} is no https address: anyone on the way could change the model",
            fix="write https:// in the setting remote.hub_url",
            code="model.address",
        )


def _json(client: httpx.Client, url: str, hub_id: str) -> tuple[Any, str]:
    """Return what an address of the hub says, and where the next page is."""
    try:
        with _answer(client, url) as answer:
            content = b""
            for block in answer.iter_bytes():
                content += block
                if len(content) > _MAX_LIST_BYTES:
                    raise _nonsense(url)
            return httpx.Response(200, content=content).json(), answer.links.get("next", {}).get("url", "")
    except httpx.HTTPError as error:
        raise ModelError(
            f"{urlsplit(url).netloc} does not answer ({clean(str(error), 100)}): {hub_id} can't be downloaded",
            fix="try again; or download it yourself and name the folder with --model",
            code="model.network",
        ) from error
    except (ValueError, RecursionError) as error:
        raise _nonsense(url) from error


def _files(rows: Any, hub_url: str) -> dict[str, tuple[int, str]]:
    found = {}
    for row in rows if isinstance(rows, list) else [None]:
        match row:
            case {"type": "file", "path": str(name), "size": int(size), **rest} if 0 <= size <= MAX_FILE_BYTES:
                found[name] = (size, _sha256(rest.get("lfs")))
            case {"type": "directory"}:
                pass
            case _:
                raise _nonsense(hub_url)
    return found


def _sha256(lfs: Any) -> str:
    """Return what a hub knows of a large file; of small ones it has git's own checksum alone."""
    match lfs:
        case {"oid": str(oid)} if is_sha256(oid):
            return oid
    return ""


def _nonsense(url: str) -> ModelError:
    return ModelError(
        f"{urlsplit(url).netloc} does not answer like a model hub",
        fix="check the setting remote.hub_url; or download the model yourself and name the folder with --model",
        code="model.network",
    )


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        code = "disk.full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "disk.unwritable"
        raise StorageError(
            f"{path} can't be written: {error.strerror or error}",
            fix="free some space, or set LORATUI_STATE_DIR to a folder on a larger disk",
            code=code,
        ) from error
