"""Asks, from here, whether a model can be had and how large it is, before a machine is rented to download it.

The machine asks again: it may be let in where this laptop is not, and the other way round.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

import httpx

from loratui.domain.base_kinds import KnownBase, kind_of
from loratui_protocol.architecture import architecture_of_folder
from loratui_protocol.base_model import files_of_hub_model, parts_of
from loratui_protocol.codec import clean
from loratui_protocol.errors import ModelError
from loratui_protocol.feature_models import CONFIG, check_feature_config, files_of_feature_model
from loratui_protocol.inputs import MAX_FILE_BYTES, ModelKind, ModelSource
from loratui_protocol.model_configs import SCHEDULER, TELLING, check_configs, check_is_base, unreadable
from loratui_protocol.model_refusals import refusal
from loratui_protocol.safetensors_header import LENGTH_BYTES, PICKLED_SUFFIXES, header_length, parse_header
from loratui_protocol.single_file import check_kind, prediction_of, scheduler_prediction

LIMIT_S = 15.0
NO_ANSWER = "model.network"
"""The code of an error that proves nothing: the hub was not understood, or not reached, from here."""
_MAX_LIST_BYTES = 16 << 20
_MAX_PAGES = 20
_MAX_KIND_BYTES = 4 << 20
"""A longer header is not fetched only to see what kind of model it is of."""
_START_BYTES = 64
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TOTAL = re.compile(r"bytes 0-\d+/(\d+)")


async def look_at_model(source: ModelSource, token: str = "", *, limit_s: float = LIMIT_S) -> KnownBase:
    """Return how much a machine will download of a base model, and of what kind it is, as far as its server says.

    ``token`` is shown to the model's own server alone.

    Raises:
        ModelError: it can't be had, or not be trained; with the code ``NO_ANSWER`` nobody knows.
    """
    async with _asked(source, token, limit_s) as client:
        if source.kind is ModelKind.HUB:
            return await _hub_model(client, source, has_token=bool(token))
        return await _file_model(client, source, has_token=bool(token))


async def look_at_features(source: ModelSource, token: str = "", *, limit_s: float = LIMIT_S) -> int:
    """Return how much a machine will download of a hub's model that pictures are measured with, in bytes.

    Raises:
        ModelError: it can't be had, or nothing can be measured with it; with the code ``NO_ANSWER`` nobody knows.
    """
    async with _asked(source, token, limit_s) as client:
        commit, sizes = await _commit(client, source, has_token=bool(token))
        if CONFIG in sizes:
            config = await _config(client, source, commit, CONFIG, has_token=bool(token))
            check_feature_config(source.address, config, source.purpose)
        return sum(sizes[name] for name in files_of_feature_model(source.address, sizes, source.purpose))


@asynccontextmanager
async def _asked(source: ModelSource, token: str, limit_s: float) -> AsyncIterator[httpx.AsyncClient]:
    """Give what a model's server is asked with, for so long; no answer becomes an error of ours."""
    asked = source.hub_url if source.kind is ModelKind.HUB else source.address
    _check_is_private(asked)
    if not token.isascii():
        raise ModelError(
            "the token that was given is none: it has letters that are not ASCII",
            fix="make a new token, or copy it whole and nothing else",
            code="model.token",
        )
    try:
        async with asyncio.timeout(limit_s), _client(token) as client:
            yield client
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        why = f"within {limit_s:.0f} s" if isinstance(error, TimeoutError) else f"({clean(str(error), 100)})"
        raise _silent(f"{urlsplit(asked).netloc} does not answer this laptop {why}") from error


def _check_is_private(address: str) -> None:
    """Refuse to ask, and to show a token, where anyone on the way could read along."""
    parts = urlsplit(address)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return
    raise ModelError(
        f"{clean(address.partition('?')[0], 200)} is no https address: anyone on the way could change the model",
        fix="write https:// (for a hub: the setting remote.hub_url)",
        code="model.address",
    )


@asynccontextmanager
async def _client(token: str) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client; redirects are followed, and to another server without the token."""
    headers = {"User-Agent": "loratui", "Accept-Encoding": "identity"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    async with httpx.AsyncClient(headers=headers, timeout=LIMIT_S, follow_redirects=True, max_redirects=8) as client:
        yield client


async def _hub_model(client: httpx.AsyncClient, source: ModelSource, *, has_token: bool) -> KnownBase:
    commit, sizes = await _commit(client, source, has_token=has_token)
    # Lists of gated models are open to all; only a file itself tells whether it is to be had.
    configs = {
        name: await _config(client, source, commit, name, has_token=has_token) for name in TELLING if name in sizes
    }
    check_is_base(source.address, sizes, configs)
    named = files_of_hub_model(source.address, sizes)
    check_configs(source.address, configs)
    architecture = architecture_of_folder(parts_of(named), source.address)
    return KnownBase(
        num_bytes=sum(sizes[name] for name in set(named.values())),
        kind=kind_of(architecture),
        prediction=scheduler_prediction(configs.get(SCHEDULER, {})),
    )


async def _commit(client: httpx.AsyncClient, source: ModelSource, *, has_token: bool) -> tuple[str, dict[str, int]]:
    """Return the commit that a model's revision is now, and the sizes of its files by name."""
    api = f"{source.hub_url.rstrip('/')}/api/models/{source.address}"
    revision = quote(source.revision or "main", safe="")
    answer, _ = await _json(client, f"{api}/revision/{revision}", _page(source), has_token)
    commit = answer.get("sha") if isinstance(answer, dict) else None
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise _nonsense(source)
    return commit, await _listed(client, source, f"{api}/tree/{commit}?recursive=1", has_token)


async def _config(
    client: httpx.AsyncClient, source: ModelSource, commit: str, name: str, *, has_token: bool
) -> dict[str, Any]:
    page = _page(source)
    content, _ = await _json(client, f"{page}/resolve/{commit}/{quote(name)}", page, has_token)
    if not isinstance(content, dict):
        raise unreadable(f"{name} of {source.address}")
    return content


def _page(source: ModelSource) -> str:
    return f"{source.hub_url.rstrip('/')}/{source.address}"


async def _listed(client: httpx.AsyncClient, source: ModelSource, url: str, has_token: bool) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for _ in range(_MAX_PAGES):
        rows, following = await _json(client, url, _page(source), has_token)
        if not isinstance(rows, list):
            raise _nonsense(source)
        for row in rows:
            if isinstance(row, dict) and row.get("type") == "file":
                name, size = row.get("path"), row.get("size")
                if not isinstance(name, str) or type(size) is not int or not 0 <= size <= MAX_FILE_BYTES:
                    raise _nonsense(source)
                sizes[name] = size
        if not following:
            return sizes
        url = urljoin(url, following)
        if urlsplit(url).netloc != urlsplit(source.hub_url).netloc:
            raise _nonsense(source)
    raise _nonsense(source)


async def _file_model(client: httpx.AsyncClient, source: ModelSource, *, has_token: bool) -> KnownBase:
    """Return the size of a file, whose header says which kind of model it is, and whether it can be trained."""
    parts = urlsplit(source.address)
    shown = clean(parts._replace(query="", fragment="").geturl(), 200)
    if any(unquote(parts.path).lower().endswith(suffix) for suffix in PICKLED_SUFFIXES):
        raise ModelError(
            f"{shown} is a pickle, which could run anything",
            fix="choose the model's safetensors file",
            code="model.unsafe",
        )
    async with client.stream("GET", source.address, headers={"Range": "bytes=0-"}) as response:
        _check_status(response, shown, has_token=has_token)
        size = _size(response)
        stream = response.aiter_bytes()
        start = await _up_to(stream, b"", _START_BYTES)
        length = header_length(shown, start, MAX_FILE_BYTES if size is None else size)
        if length > _MAX_KIND_BYTES:
            return KnownBase(num_bytes=size, kind=None)
        whole = await _up_to(stream, start, LENGTH_BYTES + length)
        text = whole[LENGTH_BYTES : LENGTH_BYTES + length]
        header = parse_header(shown, text, None if size is None else size - LENGTH_BYTES - length)
        kind = kind_of(check_kind(header, shown))
        return KnownBase(num_bytes=size, kind=kind, prediction=prediction_of(header, shown))


async def _up_to(stream: AsyncIterator[bytes], start: bytes, size: int) -> bytes:
    """Return ``start`` and what follows it, ``size`` bytes or more where there are so many."""
    content = start
    while len(content) < size:
        try:
            content += await anext(stream)
        except StopAsyncIteration:
            break
    return content


def _size(response: httpx.Response) -> int | None:
    whole = _TOTAL.fullmatch(response.headers.get("Content-Range", ""))
    text = whole[1] if whole else response.headers.get("Content-Length", "") if response.status_code == 200 else ""
    return int(text) if text.isascii() and text.isdecimal() and int(text) <= MAX_FILE_BYTES else None


async def _json(client: httpx.AsyncClient, url: str, page: str, has_token: bool) -> tuple[Any, str]:
    """Return what an address of the hub says, and where the next page is."""
    async with client.stream("GET", url) as response:
        _check_status(response, page, has_token=has_token)
        content = b""
        async for block in response.aiter_bytes():
            content += block
            if len(content) > _MAX_LIST_BYTES:
                raise _silent(f"{urlsplit(url).netloc} says more than a list of files can be")
    try:
        return json.loads(content), response.links.get("next", {}).get("url", "")
    except (ValueError, RecursionError) as error:
        raise _silent(f"{urlsplit(url).netloc} does not answer like a model hub: check remote.hub_url") from error


def _check_status(response: httpx.Response, page: str, *, has_token: bool) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    refused = refusal(status, page, page, has_token=has_token)
    if refused is not None:
        raise refused
    raise _silent(f"{urlsplit(page).netloc} answers {status}")


def _silent(what: str) -> ModelError:
    return ModelError(
        f"{what}, so whether the model can be had, and how large it is, is not known",
        fix="try again; the rented machine asks again in any case, before anything of yours is sent",
        code=NO_ANSWER,
    )


def _nonsense(source: ModelSource) -> ModelError:
    return _silent(f"the hub's answer about {source.address} makes no sense")
