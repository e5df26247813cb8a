"""Says how large a model is and how fast it comes here, before anyone decides to pay for its download."""

import http.client
import json
import threading
import time
from typing import Any

from loratui_agent.fetch.address import parse_address
from loratui_agent.fetch.download import RemoteFile, Way, check_status
from loratui_agent.fetch.http import Cancel, CancelledFetchError, opened
from loratui_agent.fetch.model import asked_host, is_here, listed, token_for
from loratui_protocol.errors import ModelError, UsageError
from loratui_protocol.inputs import ModelKind, ModelPurpose, ModelSource
from loratui_protocol.paths import AgentHome

MEASURED_BYTES = 32 << 20
MEASURED_S = 2.0
LIMIT_S = 45.0
"""Where the network drops everything silently, someone waits for this answer all the same."""
_MAX_FAILURES = 2
_BLOCK_BYTES = 1 << 18


def weigh(home: AgentHome, request: str, limit_s: float = LIMIT_S) -> dict[str, Any]:
    """Answer a request, JSON with the fields of ``ModelSource`` and a ``token`` that is used once and kept nowhere.

    The answer: ``here`` (it was downloaded before), ``size`` in bytes, None where nobody says it, and ``bytes_per_s``,
    None where too little came to tell.

    Raises:
        ModelError: it can't be had, as in ``fetch_model``, or not even this within ``limit_s``.
        UsageError: the request makes no sense.
    """
    source, token = _read(request)
    way = Way(token_of=token_for(source, token), cancel=Cancel(), max_failures=_MAX_FAILURES)
    limit = threading.Timer(limit_s, way.cancel.set)
    limit.start()
    try:
        return _weigh(home, source, way)
    except CancelledFetchError as error:
        raise _silent(asked_host(source), f"within {limit_s:.0f} s") from error
    finally:
        limit.cancel()


def _read(request: str) -> tuple[ModelSource, str]:
    try:
        fields = {name: text for name, text in json.loads(request).items() if isinstance(text, str)}
        token = fields.pop("token")
        kind, purpose = ModelKind(fields.pop("kind")), ModelPurpose(fields.pop("purpose", ModelPurpose.BASE))
        return ModelSource(kind=kind, purpose=purpose, **fields), token
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError("this is no question about a model", code="model.question") from error


def _weigh(home: AgentHome, source: ModelSource, way: Way) -> dict[str, Any]:
    if is_here(home, source, way):
        return {"here": True, "size": 0, "bytes_per_s": None}
    files = listed(source, way)
    largest = max(files.values(), key=lambda file: file.size or 0)
    size, bytes_per_s = _measure(largest, way)
    if len(files) > 1:
        size = sum(file.size or 0 for file in files.values())
    return {"here": False, "size": size, "bytes_per_s": bytes_per_s}


def _measure(file: RemoteFile, way: Way) -> tuple[int | None, float | None]:
    """Return how large a file is, and how fast its first bytes come.

    Raises:
        ModelError: it is not there, not for us, or its server does not answer.
    """
    try:
        with opened(file.url, {"Accept-Encoding": "identity"}, way.token_of, way.cancel) as response:
            check_status(response, file.url, way)
            size = response.length
            came, started_s = 0, time.monotonic()
            while came < MEASURED_BYTES and time.monotonic() - started_s < MEASURED_S:
                block = response.read1(_BLOCK_BYTES)
                if not block:
                    break
                came += len(block)
            took_s = time.monotonic() - started_s
    except (OSError, http.client.HTTPException, ValueError) as error:
        way.cancel.check()
        raise _silent(str(parse_address(file.url)), f"({error or type(error).__name__})") from error
    way.cancel.check()
    return size if size is not None else file.size, came / took_s if came and took_s > 0 else None


def _silent(asked: str, how: str) -> ModelError:
    return ModelError(
        f"{asked} does not answer this host {how}",
        fix="try again later, use another host, or give a model that is on this machine",
        code="model.network",
    )
