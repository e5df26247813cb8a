"""What files a model of a hub has, and which of them a job needs."""

import json
import re
import urllib.parse
from typing import Any

from loratui_agent.fetch.address import parse_address
from loratui_agent.fetch.download import RemoteFile, Way, fetch_text
from loratui_protocol.base_model import files_of_hub_model
from loratui_protocol.errors import ModelError, ProtocolError
from loratui_protocol.feature_models import files_of_feature_model
from loratui_protocol.inputs import MAX_FILE_BYTES, ModelPurpose, ModelSource, check_name, is_sha256

_MAX_LIST_BYTES = 16 << 20
_MAX_PAGES = 20
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,120}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NEXT = re.compile(r'<([^<>]+)>\s*;\s*rel="next"')
_SHA1 = re.compile(r"[0-9a-f]{40}")


def commit_of(source: ModelSource, way: Way) -> str:
    """Return the commit that the model's revision is now: later questions are about this one.

    Raises:
        ModelError: there is no such model, or it is not for us.
    """
    if not _ID.fullmatch(source.address) or ".." in source.address:
        raise ModelError(f"{source.address!r} is no hub id", fix="write it as org/name", code="model.address")
    revision = source.revision or "main"
    if not _REVISION.fullmatch(revision) or ".." in revision:
        raise ModelError(f"{revision!r} is no revision", fix="give a branch, tag or commit", code="model.address")
    quoted = urllib.parse.quote(revision, safe="")
    answer = _json(f"{_base(source)}/api/models/{source.address}/revision/{quoted}", way)[0]
    commit = answer.get("sha") if isinstance(answer, dict) else None
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise _nonsense(source)
    return commit


def files_of(source: ModelSource, commit: str, way: Way) -> dict[str, RemoteFile]:
    """Return the files to download, by the names that they are looked for under.

    Raises:
        ModelError: the model is of a kind that can't be trained, or measured with.
    """
    listed: dict[str, RemoteFile] = {}
    base = _base(source)
    page = f"{base}/api/models/{source.address}/tree/{commit}?recursive=1"
    for _ in range(_MAX_PAGES):
        rows, link = _json(page, way)
        if not isinstance(rows, list):
            raise _nonsense(source)
        for row in rows:
            if isinstance(row, dict) and row.get("type") == "file":
                name, file = _file(row, f"{base}/{source.address}/resolve/{commit}/", source)
                listed[name] = file
        following = _NEXT.search(link)
        if following is None:
            break
        page = urllib.parse.urljoin(page, following[1])
        if parse_address(page).host != parse_address(base).host:
            raise _nonsense(source)
    if source.purpose is not ModelPurpose.BASE:
        return {name: listed[name] for name in files_of_feature_model(source.address, listed, source.purpose)}
    chosen = files_of_hub_model(source.address, listed)
    return {name: listed[taken] for name, taken in chosen.items()}


def _file(row: dict[str, Any], prefix: str, source: ModelSource) -> tuple[str, RemoteFile]:
    name, size, lfs = row.get("path"), row.get("size"), row.get("lfs")
    try:
        check_name(name)  # type: ignore[arg-type]  # whatever it is, that is checked there
    except ProtocolError as error:
        raise _nonsense(source) from error
    if not isinstance(name, str) or type(size) is not int or not 0 <= size <= MAX_FILE_BYTES:
        raise _nonsense(source)
    sha256 = lfs.get("oid", "") if isinstance(lfs, dict) else ""
    sha1 = "" if sha256 else row.get("oid", "")
    if not (is_sha256(sha256) or (isinstance(sha1, str) and _SHA1.fullmatch(sha1))):
        raise _nonsense(source)
    return name, RemoteFile(url=prefix + urllib.parse.quote(name), size=size, sha256=sha256, git_sha1=sha1)


def _base(source: ModelSource) -> str:
    return source.hub_url.rstrip("/")


def _json(url: str, way: Way) -> tuple[Any, str]:
    text, link = fetch_text(url, way, _MAX_LIST_BYTES)
    try:
        return json.loads(text), link
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{parse_address(url)} does not answer like a model hub",
            fix="check the setting remote.hub_url",
            code="model.hub",
        ) from error


def _nonsense(source: ModelSource) -> ModelError:
    return ModelError(
        f"the hub's answer about {source.address} makes no sense",
        fix="check the setting remote.hub_url",
        code="model.hub",
    )
