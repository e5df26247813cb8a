"""Another machine, as the rest of the client uses it: programs run there, and a way to the agent's socket.

``loratui.remote.ssh`` implements it. Whatever goes wrong on the way is a ``HostError``.
"""

import re
import socket
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_UNSAFE = re.compile(r"['\\!\x00-\x1f\x7f]")


class BoxProcess(Protocol):
    """A program that runs on the box, without a terminal. Its answers are frames (``loratui_protocol.framing``)."""

    async def write(self, content: bytes) -> None:
        """Send bytes to its standard input; waits while the connection takes no more."""
        ...

    async def write_eof(self) -> None:
        """End its standard input."""
        ...

    async def frame(self) -> dict[str, Any]:
        """Return its next frame; whatever else it prints is skipped.

        Raises:
            HostError: it ended without one (the message has the end of its standard error), or the link broke.
            ProtocolError: it prints without end.
        """
        ...

    async def wait(self) -> int:
        """Return its exit status once it has ended."""
        ...


class Box(Protocol):
    """One machine. Its connection is made when first needed, shared, and made again after it broke."""

    @property
    def name(self) -> str:
        """Return how people call it: user@host, with the port where it is not 22."""
        ...

    def abort(self) -> None:
        """Drop the connection at once, without a word to the host; whoever uses it gets an error. For a dead path."""
        ...

    def process(self, argv: Sequence[str], nonce: str = "") -> AbstractAsyncContextManager[BoxProcess]:
        """Run a program for the block; it is told to end when the block is left. ``nonce`` is that of its frames.

        Raises:
            HostError: the box can't be reached, or refuses.
        """
        ...

    def channel(self, path: str, proxy_argv: Sequence[str]) -> AbstractAsyncContextManager[socket.socket]:
        """Give a stream socket that leads to the unix socket ``path`` on the box, for the block.

        Where the host does not forward to sockets, ``proxy_argv`` is run there and its standard streams are used.

        Raises:
            HostError: the box can't be reached, or allows neither.
            AgentUnreachableError: the box is there, and nobody listens at ``path``.
        """
        ...


def command_line(argv: Sequence[str]) -> str:
    """Return ``argv`` as one command that every login shell (sh, bash, zsh, fish, csh) takes for the same words.

    Raises:
        ValueError: a word has a character that some shell reads differently even between single quotes.
    """
    words = []
    for word in argv:
        if _UNSAFE.search(word) or not word:
            raise ValueError(f"{word!r} can't be said the same way to every shell")
        words.append(word if _PLAIN.fullmatch(word) else f"'{word}'")
    return "exec " + " ".join(words)
