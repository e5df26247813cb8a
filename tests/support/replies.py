"""What servers on loopback answer with, JSON and RFC 9457 problems above all, and the handler that sends it."""

import contextlib
import json
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol


@dataclass
class Reply:
    status: int
    content: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    stays_open: bool = False


def said(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode())


def problem(status: int, title: str, detail: str, errors: list[str] | None = None, **headers: str) -> Reply:
    content = {"title": title, "status": status, "detail": detail, **({"errors": errors} if errors else {})}
    return Reply(status, json.dumps(content).encode(), "application/problem+json", headers)


class Answering(Protocol):
    """What a handler asks."""

    closing: threading.Event

    def reply(self, method: str, target: str, headers: Any, content: bytes) -> Reply | None:
        """Return the answer to a request, None for a connection that breaks instead."""
        ...

    def rate_headers(self) -> dict[str, str]:
        """Return what goes with every answer to somebody who is known."""
        ...


def handler_of(server: Answering) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            reply = server.reply(self.command, self.path, self.headers, content)
            if reply is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            with contextlib.suppress(OSError):
                self.send(reply)

        do_POST = do_DELETE = do_PUT = do_PATCH = do_GET  # noqa: N815 - the names that the library calls

        def send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            headers = {**reply.headers, "Content-Type": reply.content_type}
            if reply.status not in (401, 403) and "RateLimit" not in headers:
                headers |= server.rate_headers()
            if reply.stays_open:
                headers["Connection"] = "close"
            elif reply.status != 204:
                headers["Content-Length"] = str(len(reply.content))
            for name, value in headers.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.content)
            if reply.stays_open:
                self.wfile.flush()
                server.closing.wait(30)

        def log_message(self, *args: object) -> None:
            pass

    return Handler
