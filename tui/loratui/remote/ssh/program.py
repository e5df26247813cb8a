"""A program that runs on the box, seen from here: bytes to it, frames from it, and how it ended."""

import asyncio
from collections import deque
from typing import Any

import asyncssh

from loratui_protocol.codec import clean
from loratui_protocol.errors import HostError, LoratuiError
from loratui_protocol.framing import FrameFinder

_MAX_QUEUED_FRAMES = 64
_MAX_QUEUED_BYTES = 8 << 20
_MAX_UNREAD_FRAMES = 65_536
_MAX_UNREAD_BYTES = 32 << 20
_STDERR_BYTES = 8 << 10
_SEND_BUFFER_BYTES = 1 << 20


class SshProgram(asyncssh.SSHClientSession[bytes]):
    """Implements ``loratui.remote.box.BoxProcess``. It never has a terminal."""

    def __init__(self, box_name: str, program: str, nonce: str) -> None:
        self._box_name = box_name
        self._program = program
        self._finder = FrameFinder(nonce) if nonce else None
        self._frames: deque[tuple[dict[str, Any], int]] = deque()
        """Each with the bytes that it came in."""
        self._queued_bytes = 0
        self._fed_bytes = 0
        """Since the last frame was complete."""
        self._is_held = False
        self._stderr = bytearray()
        self._status: int | None = None
        self._error: LoratuiError | None = None
        self._lost: Exception | None = None
        self._is_over = False
        self._news = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._channel: asyncssh.SSHClientChannel[bytes]

    async def write(self, content: bytes) -> None:
        """Send bytes to its standard input; waits while the connection takes no more.

        Raises:
            HostError: it has ended, or the link broke.
        """
        await self._may_write.wait()
        if self._is_over or self._channel.is_closing():
            raise self._epitaph("it ended while it was sent something")
        self._channel.write(content)

    async def write_eof(self) -> None:
        """End its standard input."""
        if not self._is_over and not self._channel.is_closing():
            self._channel.write_eof()

    async def frame(self) -> dict[str, Any]:
        """Return its next frame; whatever else it prints is skipped.

        Raises:
            HostError: it ended without one (the message has the end of its standard error), or the link broke.
            ProtocolError: it prints without end.
        """
        while not self._frames:
            if self._error:
                raise self._error
            if self._is_over:
                raise self._epitaph("it ended without an answer")
            self._news.clear()
            await self._news.wait()
        frame, num_bytes = self._frames.popleft()
        self._queued_bytes -= num_bytes
        if self._is_held and self._holds_less_than(_MAX_QUEUED_FRAMES // 2, _MAX_QUEUED_BYTES // 2):
            self._is_held = False
            self._channel.resume_reading()
        return frame

    async def wait(self) -> int:
        """Return its exit status once it has ended.

        Raises:
            HostError: the link broke: nobody knows how it ended.
        """
        while not self._is_over:
            self._news.clear()
            self._channel.resume_reading()
            await self._news.wait()
        if self._status is None:
            raise self._epitaph("nobody knows how it ended")
        return self._status

    @property
    def stderr(self) -> str:
        """Return the end of what it printed on standard error, cleaned."""
        return clean(self._stderr.decode("utf-8", "replace"), _STDERR_BYTES).strip()

    def end(self) -> None:
        """Tell it to end, and listen no more.

        Its standard input ends, and it can't write any more. OpenSSH passes the signal on for users other than root
        only: a program of ours must not wait for anything but its standard input without a limit.
        """
        if self._is_over:
            return
        if not self._channel.is_closing():
            self._channel.send_signal("TERM")
        self._channel.abort()

    def connection_made(self, chan: "asyncssh.SSHClientChannel[bytes]") -> None:
        """Take the channel."""
        self._channel = chan
        chan.set_write_buffer_limits(_SEND_BUFFER_BYTES)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Find frames; keep the end of standard error; drop everything else."""
        if datatype is not None:
            self._stderr += data
            del self._stderr[:-_STDERR_BYTES]
            return
        if self._finder is None or self._error:
            return
        self._fed_bytes += len(data)
        try:
            for frame in self._finder.feed(data):
                self._frames.append((frame, self._fed_bytes))
                self._queued_bytes += self._fed_bytes
                self._fed_bytes = 0
        except LoratuiError as error:
            self._error = error
            self._channel.abort()
        if not self._holds_less_than(_MAX_QUEUED_FRAMES, _MAX_QUEUED_BYTES):
            self._is_held = True
            self._channel.pause_reading()
        if not self._holds_less_than(_MAX_UNREAD_FRAMES, _MAX_UNREAD_BYTES):
            # Only while its end is waited for, which needs reading on.
            self._error = HostError(
                f"{self._program} on {self._box_name} prints without end", fix="try again", code="ssh.noise"
            )
            self._channel.abort()
        self._news.set()

    def _holds_less_than(self, num_frames: int, num_bytes: int) -> bool:
        return len(self._frames) <= num_frames and self._queued_bytes <= num_bytes

    def eof_received(self) -> bool:
        """Keep its standard input open: one that says no more may still have much to read."""
        return True

    def exit_status_received(self, status: int) -> None:
        """Note its exit status."""
        self._status = status

    def exit_signal_received(self, signal: str, _core_dumped: bool, _msg: str, _lang: str) -> None:
        """Note that a signal ended it, as shells do: 128 and more."""
        self._status = 137 if signal == "KILL" else 143 if signal == "TERM" else 128

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake everyone who waits."""
        self._lost, self._is_over = exc, True
        self._may_write.set()
        self._news.set()

    def pause_writing(self) -> None:
        """Let writers wait."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """Let them go on."""
        self._may_write.set()

    def _epitaph(self, what: str) -> LoratuiError:
        if self._error:
            return self._error
        if self._status is None:
            return HostError(
                f"the connection to {self._box_name} broke while {self._program} ran there; runs there go on",
                fix="wait: it is tried again",
                code="ssh.lost",
            )
        said = f": {self.stderr[-600:]}" if self.stderr else ", and it said nothing"
        return HostError(
            f"{self._program} on {self._box_name}: {what} (status {self._status}){said}",
            fix="look at what it says",
            code="ssh.command",
        )
