"""Carries bytes between an SSH channel and a socket of this process, with back pressure both ways and no task."""

import asyncio
import socket
from typing import Any, cast

import asyncssh
from asyncssh.channel import SSHChannel

from loratui_protocol.errors import LoratuiError
from loratui_protocol.framing import FrameFinder

WINDOW_BYTES = 16 << 20
"""What the box may send ahead: at 80 ms a window of 2 MiB would cap a download at 25 MB/s."""


class Relay(asyncssh.SSHUNIXSession[bytes], asyncssh.SSHClientSession[bytes]):
    """The channel's end. With a ``nonce``, bytes flow only after the program there printed one frame of it."""

    def __init__(self, nonce: str = "") -> None:
        self.stderr = bytearray()
        self.status: int | None = None
        self.error: LoratuiError | None = None
        self._finder = FrameFinder(nonce) if nonce else None
        self._ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if self._finder is None:
            self._ready.set_result(True)
        self._channel: SSHChannel[bytes]
        self._local: _LocalEnd | None = None
        self._is_over = False

    async def ready(self) -> bool:
        """Return whether the way is open; False if the program ended before it said so."""
        return await asyncio.shield(self._ready)

    async def attach(self, end: socket.socket) -> None:
        """Begin to carry bytes between the channel and ``end``, which is closed when either is."""
        loop = asyncio.get_running_loop()
        _, local = await loop.create_connection(lambda: _LocalEnd(self._channel), sock=end)
        self._local = local
        if self._is_over:
            local.end()
        else:
            self._channel.resume_reading()

    def end(self) -> None:
        """Close both ends."""
        if self._local:
            self._local.abort()
        self._channel.abort()

    def connection_made(self, chan: Any) -> None:
        """Take the channel; what it brings waits until someone listens."""
        self._channel = chan
        if self._finder is None:
            chan.pause_reading()

    def session_started(self) -> None:
        """Hold what comes back until someone listens: starting would let it through again."""
        if self._finder is None:
            self._channel.pause_reading()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Pass bytes on; the standard error of a program is kept for its epitaph."""
        if datatype is not None:
            self.stderr += data
            del self.stderr[:-2000]
        elif self._finder is not None:
            self._look_for_frame(data)
        elif self._local:
            self._local.write(data)

    def _look_for_frame(self, data: bytes) -> None:
        assert self._finder is not None  # noqa: S101  the caller looked
        try:
            frames = self._finder.feed(data)
        except LoratuiError as error:
            self.error = error
            self._channel.abort()
            return
        if frames:
            # The agent speaks only when spoken to: nothing of it can lie behind the frame yet.
            self._finder = None
            self._channel.pause_reading()
            self._settle(ready=True)

    def exit_status_received(self, status: int) -> None:
        """Note how the program ended."""
        self.status = status

    def eof_received(self) -> bool:
        """End both directions: neither end says anything useful to one that has stopped listening."""
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        """End the local side as well."""
        self._is_over = True
        self._settle(ready=False)
        if self._local:
            self._local.end()

    def pause_writing(self) -> None:
        """Take no more from the local side."""
        if self._local:
            self._local.pause_reading()

    def resume_writing(self) -> None:
        """Take more again."""
        if self._local:
            self._local.resume_reading()

    def _settle(self, *, ready: bool) -> None:
        if not self._ready.done():
            self._ready.set_result(ready)


class _LocalEnd(asyncio.Protocol):
    """The end of the socket pair that is ours."""

    def __init__(self, channel: SSHChannel[bytes]) -> None:
        self._channel = channel
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self._channel.is_closing():
            self._channel.write(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._channel.close()

    def pause_writing(self) -> None:
        self._channel.pause_reading()

    def resume_writing(self) -> None:
        self._channel.resume_reading()

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def end(self) -> None:
        """Close once what is still to be written is written."""
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()
