"""The requests that end a rental, in the order in which they are tried, with the key that opens this machine alone.

An answer proves nothing: whoever asks still runs. So none of them is ever the last one. Standard library only.
"""

import contextlib
import http
import http.client
import json
import logging
import socket
import threading
import urllib.parse
from dataclasses import dataclass
from typing import Any

from loratui_agent import __version__
from loratui_agent.authorities import trust
from loratui_agent.rental import Rental

log = logging.getLogger("loratui_agent.reaper")
TIMEOUT_S = 20.0
STOP_FROM_TRY = 4
"""So many tries are made to end it before it is stopped, too: what has stopped can ask no more, and its disk bills."""
NO_KEY = "this machine has no key of its own to end the rental with"
_MAX_ANSWER_BYTES = 256 << 10
_USER_AGENT = f"loratui-agent/{__version__}"


@dataclass(frozen=True, slots=True)
class _Route:
    name: str
    method: str
    url: str
    body: dict[str, Any] | None = None


def end_rental(rental: Rental, num_tries: int = 0, *, timeout_s: float = TIMEOUT_S) -> str:
    """Ask for its end, one way after the other until one is agreed to; return nothing, or what was said against each.

    ``num_tries`` were made before: each begins with another way, since the last one may have been agreed to for
    nothing. Each gets ``timeout_s`` to answer; all in all it may take minutes.
    """
    if not rental.key or not rental.instance_id:
        log.error("rental=%s %s", rental.name, NO_KEY)
        return NO_KEY
    ends, stop = _routes(rental)
    first = num_tries % len(ends)
    complaints: list[str] = []
    for route in [*ends[first:], *ends[:first]]:
        complaint = _try(rental, route, timeout_s)
        if not complaint:
            complaints.clear()
            break
        complaints.append(complaint)
    # Refused so often, or agreed to for nothing: what costs most can be stopped at least.
    if num_tries >= STOP_FROM_TRY and (complaint := _try(rental, stop, timeout_s)):
        complaints.append(complaint)
    return "; ".join(complaints)


def read_back(rental: Rental) -> str:
    """Ask for nothing but what this rental is; return nothing, or why the answer does not show it."""
    if not rental.key or not rental.instance_id:
        return NO_KEY
    status, content, complaint = _ask(rental, _Route("read", "GET", _own_url(rental)))
    if complaint:
        return complaint
    answer = _parsed(content)
    found = answer.get("instances") if rental.provider == "vast" and isinstance(answer, dict) else answer
    if isinstance(found, dict) and str(found.get("id")) == rental.instance_id:
        return ""
    return f"the provider's answer (HTTP {status}) does not show this machine"


def _own_url(rental: Rental) -> str:
    base = rental.url.rstrip("/")
    if rental.provider == "vast":
        return f"{base}/api/v0/instances/{rental.instance_id}/"
    return f"{base}/pods/{rental.instance_id}"


def _routes(rental: Rental) -> tuple[list[_Route], _Route]:
    """Return the ways that end it, and the one that stops it."""
    own = _own_url(rental)
    if rental.provider == "vast":
        return [_Route("DELETE", "DELETE", own)], _Route("stop", "PUT", own, {"state": "stopped"})
    # The id was checked: it holds nothing that would end the text.
    mutation = f'mutation {{ podTerminate(input: {{podId: "{rental.instance_id}"}}) }}'
    ends = [
        _Route("terminate", "POST", f"{own}/action", {"action": "terminate"}),
        _Route("DELETE", "DELETE", own),
        _Route("podTerminate", "POST", rental.graphql_url, {"query": mutation}),
    ]
    return ends, _Route("stop", "POST", f"{own}/action", {"action": "stop"})


def _try(rental: Rental, route: _Route, timeout_s: float) -> str:
    status, content, complaint = _ask(rental, route, timeout_s)
    if not complaint and not _is_consent(status, content):
        complaint = f"HTTP {status}, but: {rental.without_key(content.decode('utf-8', 'replace')[:200])}"
    log.warning("rental=%s %s: %s", rental.name, route.name, complaint or f"agreed to (HTTP {status})")
    return f"{route.name}: {complaint}" if complaint else ""


def _is_consent(status: int, content: bytes) -> bool:
    """Return whether the content of a good status says the same as that status. GraphQL refuses with a good one."""
    if status == http.HTTPStatus.NO_CONTENT:
        return True
    answer = _parsed(content)
    return isinstance(answer, dict) and not answer.get("errors") and answer.get("success", True) is True


def _ask(rental: Rental, route: _Route, timeout_s: float = TIMEOUT_S) -> tuple[int, bytes, str]:
    """Return status, content, and what is wrong with them."""
    try:
        status, content = _answer(rental, route, timeout_s)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return 0, b"", rental.without_key(f"{type(error).__name__}: {error}")
    if 200 <= status < 300:
        return status, content, ""
    said = rental.without_key(content.decode("utf-8", "replace")[:200])
    return status, content, f"HTTP {status}: {said}" if said else f"HTTP {status}"


def _answer(rental: Rental, route: _Route, timeout_s: float) -> tuple[int, bytes]:
    parts = urllib.parse.urlsplit(route.url)
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=timeout_s, context=trust()
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    headers = {"Authorization": f"Bearer {rental.key}", "User-Agent": _USER_AGENT, "Accept": "application/json"}
    body = None if route.body is None else json.dumps(route.body).encode("ascii")
    if body is not None:
        headers["Content-Type"] = "application/json"
    with contextlib.closing(connection):
        connection.connect()
        # One that sends a byte now and then keeps within every timeout of its own.
        was_hung_up = threading.Event()
        hang_up = threading.Timer(timeout_s, _hang_up, [connection.sock, was_hung_up])
        hang_up.daemon = True
        hang_up.start()
        try:
            connection.request(route.method, parts.path or "/", body=body, headers={**headers, "Connection": "close"})
            response = connection.getresponse()
            content = response.read(_MAX_ANSWER_BYTES)
        finally:
            hang_up.cancel()
    if was_hung_up.is_set():
        raise TimeoutError("the answer did not come to its end")
    return response.status, content


def _hang_up(connected: socket.socket, was_hung_up: threading.Event) -> None:
    was_hung_up.set()
    with contextlib.suppress(OSError):
        # Below TLS, whose own shutdown is not for another thread's use.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def _parsed(content: bytes) -> object:
    try:
        answer: object = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return answer
