"""Downloads one file: on from where an earlier attempt ended, never longer than announced, verified, put in place."""

import hashlib
import http.client
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loratui_agent.blobs import Part
from loratui_agent.fetch.address import parse_address
from loratui_agent.fetch.http import Cancel, opened
from loratui_protocol.errors import LoratuiError, ModelError
from loratui_protocol.inputs import MAX_FILE_BYTES
from loratui_protocol.model_refusals import refusal

MAX_FAILURES = 8
"""Attempts in a row that bring nothing."""
_BLOCK_BYTES = 1 << 18
_RETRY_FIRST_S = 0.5
_RETRY_LAST_S = 30.0
_RANGE = re.compile(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15}|\*)")
_OK, _PARTIAL, _NOT_SATISFIABLE = 200, 206, 416

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file to download. ``size`` None and empty hashes are not known beforehand."""

    url: str
    size: int | None = None
    sha256: str = ""
    git_sha1: str = ""
    """Of the file as git stores it: what a hub knows of its small files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What all downloads of a model share."""

    token_of: Callable[[str], str]
    cancel: Cancel
    max_failures: int = MAX_FAILURES


class _Retry(OSError):  # noqa: N818 - no failure yet
    """This attempt brought nothing to the end; the next may."""

    def __init__(self, why: str, after_s: float = 0.0) -> None:
        super().__init__(why)
        self.after_s = after_s


def download(file: RemoteFile, destination: Path, way: Way, progress: Progress = lambda _here, _size: None) -> None:
    """Put the file at ``destination``; ``progress`` is told the bytes of it that are here, and its size if known.

    Raises:
        ModelError: it is not there, not for us, or not what it should be.
        StorageError: the disk is full.
        CancelledFetchError: it was told to end; what is here stays for the next attempt.
    """
    with Part(destination.with_name(destination.name + ".part")) as part:
        has_earlier_bytes = part.size > 0
        _bring(file, part, way, progress)
        problem = _problem(file, part)
        if problem and has_earlier_bytes:
            # A crash of the machine may have left other bytes here than had come.
            part.restart()
            _bring(file, part, way, progress)
            problem = _problem(file, part)
        if problem:
            part.drop()
            raise ModelError(
                f"{parse_address(file.url)} arrived damaged: {problem}. It was thrown away",
                fix="resume the run to download it again",
                code="model.corrupt",
            )
        part.put(destination)
    _mark_path(destination).unlink(missing_ok=True)


def _bring(file: RemoteFile, part: Part, way: Way, progress: Progress) -> None:
    """Try until all of the file is here; errors as in ``download``."""
    failures = 0
    while True:
        before = part.size
        try:
            _attempt(file, part, way, progress)
            return
        except (OSError, http.client.HTTPException, ValueError) as error:
            way.cancel.check()
            failures = 1 if part.size > before else failures + 1
            if failures > way.max_failures:
                raise ModelError(
                    f"{parse_address(file.url)} can't be downloaded: {error or type(error).__name__}. "
                    f"{part.size} bytes are here and stay",
                    fix="resume the run to go on with the download",
                    code="model.network",
                ) from error
            after_s = error.after_s if isinstance(error, _Retry) else 0.0
            way.cancel.wait(max(after_s, min(_RETRY_LAST_S, _RETRY_FIRST_S * 2 ** (failures - 1))))


def fetch_text(url: str, way: Way, max_bytes: int) -> tuple[str, str]:
    """Return what an address answers, decoded, and its ``Link`` header; errors as in ``download``."""
    failures = 0
    while True:
        try:
            with opened(url, {"Accept": "application/json"}, way.token_of, way.cancel) as response:
                check_status(response, url, way)
                content = response.read(max_bytes + 1)
                if len(content) > max_bytes:
                    raise _refused(url, "its answer is too long")
                return content.decode("utf-8"), response.headers.get("Link", "")
        except (OSError, http.client.HTTPException, ValueError) as error:
            way.cancel.check()
            failures += 1
            if failures > way.max_failures:
                raise ModelError(
                    f"{parse_address(url)} does not answer: {error or type(error).__name__}",
                    fix="try again later: resume the run",
                    code="model.network",
                ) from error
            way.cancel.wait(min(_RETRY_LAST_S, _RETRY_FIRST_S * 2 ** (failures - 1)))


def _attempt(file: RemoteFile, part: Part, way: Way, progress: Progress) -> None:
    """Append what is missing; return when all is there, as far as anyone knows how much that is."""
    mark = _mark_path(part.path.with_suffix(""))
    is_known = bool(file.sha256 or file.git_sha1)
    if file.size is not None and part.size >= file.size:
        if part.size > file.size:
            part.restart()
        elif file.size:
            return
    headers = {"Accept-Encoding": "identity"}
    seen = _Version()
    if part.size:
        seen = _recall(mark)
        if seen.name:
            # Another content under the same address comes whole, from its beginning.
            headers["If-Range"] = seen.name
        elif not is_known:
            part.restart()
    if part.size:
        headers["Range"] = f"bytes={part.size}-"
    with opened(file.url, headers, way.token_of, way.cancel) as response:
        if response.status == _NOT_SATISFIABLE:
            part.restart()
            raise _Retry("the server has fewer bytes than are here")
        check_status(response, file.url, way)
        total = _begin(file, part, response, seen)
        _remember(mark, response, total)
        limit = total if total is not None else MAX_FILE_BYTES
        progress(part.size, total)
        while block := response.read1(_BLOCK_BYTES):
            way.cancel.check()
            if part.size + len(block) > limit:
                raise _refused(file.url, f"it is longer than the {limit} bytes that were announced")
            part.append(block)
            progress(part.size, total)
    way.cancel.check()
    if total is not None and part.size < total:
        raise _Retry(f"the connection ended after {part.size} of {total} bytes")


def _begin(file: RemoteFile, part: Part, response: http.client.HTTPResponse, seen: "_Version") -> int | None:
    """Make the part ready for what the answer holds; return how long the file then is, None where nobody says.

    ``seen`` is what the part is of, as far as is known: some servers go on with another version, whatever was asked.
    """
    length = response.length
    if response.status == _PARTIAL:
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        total = int(found[2]) if found and found[2] != "*" else seen.total
        is_same = seen.name in ("", response.headers.get("ETag", "")) and seen.total in (None, total)
        if found is None or int(found[1]) != part.size or not is_same:
            part.restart()
            raise _Retry("the server sent another part than was asked for")
    else:
        if part.size:
            part.restart()
        total = length
    if response.headers.get_content_type() == "text/html":
        raise _refused(file.url, "a web page is there, not a file")
    if file.size is not None and total is not None and total != file.size:
        raise _refused(file.url, f"it has {total} bytes, {file.size} were announced")
    total = file.size if total is None else total
    if total is not None and total > MAX_FILE_BYTES:
        raise _refused(file.url, f"it has {total} bytes")
    return total


def check_status(response: http.client.HTTPResponse, url: str, way: Way) -> None:
    """Return if the answer holds the file, or a part of it.

    Raises:
        ModelError: it is not there, or not for us.
        OSError: the server can't answer now.
    """
    status = response.status
    if status in (_OK, _PARTIAL):
        return
    address = parse_address(url)
    refused = refusal(status, str(address), str(address), has_token=bool(way.token_of(address.host)))
    if refused is not None:
        raise refused
    if status in (408, 425, 429) or status >= 500:
        after = response.headers.get("Retry-After", "")
        raise _Retry(f"the server answered {status}", min(60.0, float(after)) if after.isdecimal() else 0.0)
    raise _refused(url, f"the server answered {status}")


def _problem(file: RemoteFile, part: Part) -> str:
    """Return why this is not the file, empty if it is."""
    if file.sha256 and part.sha256 != file.sha256:
        return f"its SHA-256 begins with {part.sha256[:12]}, that of the right file with {file.sha256[:12]}"
    if file.git_sha1 and _git_sha1(part) != file.git_sha1:
        return "its content is another than the hub's list says"
    return ""


def _git_sha1(part: Part) -> str:
    digest = hashlib.sha1(b"blob %d\0" % part.size, usedforsecurity=False)
    with part.path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _mark_path(destination: Path) -> Path:
    return destination.with_name(destination.name + ".etag")


@dataclass(frozen=True, slots=True)
class _Version:
    """The server's strong name for a content, empty where it has none, and the content's length if it was said."""

    name: str = ""
    total: int | None = None


def _recall(mark: Path) -> _Version:
    """Return which content the part is of, as far as that was written down."""
    name, _, total = mark.read_text("utf-8").partition("\n") if mark.exists() else ("", "", "")
    return _Version(name, int(total) if total.isdecimal() else None)


def _remember(mark: Path, response: http.client.HTTPResponse, total: int | None) -> None:
    """Write down which content the part is of, where the server has a strong name for it."""
    name = response.headers.get("ETag", "")
    if name.startswith('"') and len(name) < 300 and name.isascii() and name.isprintable():
        mark.write_text(f"{name}\n{'' if total is None else total}", "utf-8")
    else:
        mark.unlink(missing_ok=True)


def _refused(url: str, why: str) -> LoratuiError:
    return ModelError(
        f"{parse_address(url)} can't be used as a model: {why}",
        fix="give the address of a model file, or a hub id (org/name)",
        code="model.address",
    )
