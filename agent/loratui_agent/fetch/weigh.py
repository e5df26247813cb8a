"""Says how large a base model is and how fast it comes here, before anyone decides to pay for its download."""

import http.client
import json
import time
from typing import Any

from loratui_agent.fetch.address import parse_address
from loratui_agent.fetch.download import RemoteFile, Way, check_status
from loratui_agent.fetch.http import Cancel, opened
from loratui_agent.fetch.model import is_here, listed, own_token
from loratui_protocol.errors import ModelError, UsageError
from loratui_protocol.inputs import ModelKind, ModelSource
from loratui_protocol.paths import AgentHome

MEASURED_BYTES = 32 << 20
MEASURED_S = 2.0
_BLOCK_BYTES = 1 << 18


def weigh(home: AgentHome, request: str) -> dict[str, Any]:
    """Answer a request, JSON with the fields of ``ModelSource`` and a ``token`` that is used once and kept nowhere.

    The answer: ``here`` (it was downloaded before), ``size`` in bytes, None where nobody says it, and ``bytes_per_s``,
    None where too little came to tell.

    Raises:
        ModelError: it can't be had, as in ``fetch_model``.
        UsageError: the request makes no sense.
    """
    source, token = _read(request)
    way = Way(token_of=lambda host: own_token(source, host, token), cancel=Cancel())
    if is_here(home, source, way):
        return {"here": True, "size": 0, "bytes_per_s": None}
    files = listed(source, way)
    largest = max(files.values(), key=lambda file: file.size or 0)
    size, bytes_per_s = _measure(largest, way)
    if len(files) > 1:
        size = sum(file.size or 0 for file in files.values())
    return {"here": False, "size": size, "bytes_per_s": bytes_per_s}


def _read(request: str) -> tuple[ModelSource, str]:
    try:
        fields = {name: text for name, text in json.loads(request).items() if isinstance(text, str)}
        token = fields.pop("token")
        return ModelSource(kind=ModelKind(fields.pop("kind")), **fields), token
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError("this is no question about a base model", code="model.question") from error


def _measure(file: RemoteFile, way: Way) -> tuple[int | None, float | None]:
    """Return how large a file is, and how fast its first bytes come.

    Raises:
        ModelError: it is not there, not for us, or its server does not answer.
    """
    try:
        with opened(file.url, {"Accept-Encoding": "identity"}, way.token_of, way.cancel) as response:
            check_status(response, file.url)
            size = response.length
            came, started_s = 0, time.monotonic()
            while came < MEASURED_BYTES and time.monotonic() - started_s < MEASURED_S:
                block = response.read1(_BLOCK_BYTES)
                if not block:
                    break
                came += len(block)
            took_s = time.monotonic() - started_s
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ModelError(
            f"{parse_address(file.url)} does not answer this host: {error or type(error).__name__}",
            fix="try again later, use another host, or give a base model that is on this machine",
            code="model.network",
        ) from error
    return size if size is not None else file.size, came / took_s if came and took_s > 0 else None
