"""The trainer's line to the agent: events go out without waiting, commands come in, and the agent may die and return.

A thread owns the socket. Training goes on while nobody listens; what was said meanwhile, and what the old agent may not
have written down, is sent again when an agent answers.
"""

import collections
import contextlib
import itertools
import queue
import select
import socket
import threading
import time
from pathlib import Path

from loratui_protocol import messages
from loratui_protocol.codec import FrameBuffer, to_stream
from loratui_protocol.errors import ProtocolError

MAX_REMEMBERED = 20_000
"""Events kept for a new agent: hours of training. Beyond that the oldest are dropped."""
_RETRY_S = 0.25


class Reporter:
    """Sends events in order, each exactly once into the journal; ``commands`` fills as they arrive."""

    def __init__(self, socket_path: Path, job: str, pid: int, attempt: int) -> None:
        self._path = socket_path
        self._hello = messages.TrainerHello(job=job, pid=pid, attempt=attempt)
        self._counter = itertools.count(attempt << 32 | 1)
        self._remembered: collections.deque[messages.TrainerEvent] = collections.deque(maxlen=MAX_REMEMBERED)
        self._lock = threading.Lock()
        self._sent = 0
        self._closing = threading.Event()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_writer.setblocking(False)
        self.commands: queue.SimpleQueue[messages.Message] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
        self._thread.start()

    def emit(self, event: messages.Event) -> None:
        """Send an event; returns at once."""
        # Wall clock: only shown to people, order comes from the origin number.
        message = messages.TrainerEvent(origin=next(self._counter), ts=time.time(), event=event)
        with self._lock:
            self._remembered.append(message)
        with contextlib.suppress(BlockingIOError):
            self._wake_writer.send(b"\0")

    def close(self, timeout_s: float) -> None:
        """Wait until an agent has everything, at most ``timeout_s``; the journal misses nothing then."""
        self._closing.set()
        with contextlib.suppress(BlockingIOError):
            self._wake_writer.send(b"\0")
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                    connection.connect(str(self._path))
                    self._serve(connection)
                    return
            except (OSError, ProtocolError):
                # No agent, or it died: it comes back, or the run is found complete on disk.
                time.sleep(_RETRY_S)

    def _serve(self, connection: socket.socket) -> None:
        """Talk to one agent; return when closing and everything is sent, raise OSError when it is gone."""
        connection.sendall(to_stream(self._hello))
        incoming = FrameBuffer()
        welcome = self._receive(connection, incoming)
        while not any(isinstance(message, messages.TrainerWelcome) for message in welcome):
            welcome += self._receive(connection, incoming)
        for message in welcome:
            if isinstance(message, messages.TrainerWelcome):
                self._sent = message.last_origin
            else:
                self.commands.put(message)
        while True:
            # Asked before sending: what was emitted before close() is remembered by then, and goes out.
            closing = self._closing.is_set()
            self._send_new(connection)
            if closing:
                # Half-close, then wait for the agent to have read everything and close its half.
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass
                return
            readable, _, _ = select.select([connection, self._wake_reader], [], [])
            if self._wake_reader in readable:
                self._wake_reader.recv(1 << 12)
            if connection in readable:
                for message in self._receive(connection, incoming):
                    self.commands.put(message)

    def _send_new(self, connection: socket.socket) -> None:
        with self._lock:
            # From the newest backwards: nearly always one event, of up to thousands remembered.
            unsent = itertools.takewhile(lambda message: message.origin > self._sent, reversed(self._remembered))
            new = list(unsent)
        for message in reversed(new):
            connection.sendall(to_stream(message))
            self._sent = message.origin

    def _receive(self, connection: socket.socket, incoming: FrameBuffer) -> list[messages.Message]:
        received = connection.recv(1 << 16)
        if not received:
            raise ConnectionResetError("the agent closed the connection")
        return incoming.feed(received)


class Unheard(Reporter):
    """Says nothing: of several processes of a training the first one speaks for all."""

    def __init__(self) -> None:
        self.commands = queue.SimpleQueue()

    def emit(self, event: messages.Event) -> None:
        """Say nothing."""

    def close(self, timeout_s: float) -> None:
        """Return at once."""
