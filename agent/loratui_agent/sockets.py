"""Unix sockets that only this user can reach."""

import contextlib
import os
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from loratui_protocol.errors import AgentRefusedError


@contextlib.contextmanager
def private_socket(path: Path) -> Iterator[socket.socket]:
    """Give a listening 0600 socket at ``path`` for the block; one that a dead process left there is replaced.

    Raises:
        AgentRefusedError: a living process answers there.
    """
    if path.exists() and _answers(path):
        raise AgentRefusedError(
            f"another program holds the socket {path}", fix="end it, or use another --home", code="agent.socket_held"
        )
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o177)
    try:
        server.bind(str(path))
    finally:
        os.umask(old)
    try:
        server.listen()
        server.setblocking(False)
        yield server
    finally:
        server.close()
        path.unlink(missing_ok=True)


def peer(connection: socket.socket) -> tuple[int | None, bool]:
    """Return the pid at the other end and whether it belongs to this user.

    Where the system can't say, there is no pid, and the 0700 folder around the socket has kept others out.
    """
    if sys.platform != "linux":
        return None, True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _gid = struct.unpack("3i", credentials)
    return pid, bool(uid == os.getuid())


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
