"""One SSH connection to one host, shared by all who need it and made again when it broke.

Every error of asyncssh and of the network is translated once, here and in ``handshake``.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncssh

from loratui.remote.box import BoxProcess, command_line
from loratui.remote.ssh import handshake
from loratui.remote.ssh.handshake import CONNECT_TIMEOUT_S, HOST_KEY_KINDS, Greeter
from loratui.remote.ssh.instance import Instance
from loratui.remote.ssh.program import SshProgram
from loratui.remote.ssh.relay import WINDOW_BYTES, Relay
from loratui.remote.ssh.target import SshTarget
from loratui_protocol.codec import clean
from loratui_protocol.errors import AgentUnreachableError, HostError, LoratuiError, UsageError
from loratui_protocol.framing import new_nonce

log = logging.getLogger(__name__)
OPEN_TIMEOUT_S = 20.0
"""For a host whose shell starts slowly: its start-up files run before our program does."""
_UNREACHABLE_STATUS = AgentUnreachableError.exit_status
_CLOSE_TIMEOUT_S = 1.0
_SAME_DEATH_S = 2.0
"""Several runs use one connection: who finds it dead so soon after another did means the one that is left already."""


def _silent(_: str) -> None:
    pass


class SshBox:
    """Implements ``loratui.remote.box.Box``. Used within one event loop.

    ``identity`` names a private key; without it the instance's own is used. ``say`` is told what a person should see.
    ``passphrase`` is asked for that of a protected key, in a thread; without it such a key is an error.
    """

    def __init__(
        self,
        target: SshTarget,
        instance: Instance,
        *,
        identity: Path | None = None,
        use_ssh_config: bool = False,
        expected_fingerprint: str | None = None,
        say: Callable[[str], None] = _silent,
        passphrase: Callable[[Path], str] | None = None,
    ) -> None:
        self._target = target
        self._instance = instance
        self._identity = identity
        self._use_ssh_config = use_ssh_config
        self._expected = handshake.fingerprint(expected_fingerprint) if expected_fingerprint else None
        self._say = say
        self._passphrase = passphrase
        self._lock = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._greeter: Greeter | None = None
        self._attempt: asyncio.Timeout | None = None
        self._key: asyncssh.SSHKey | None = None
        self._forwards_not: asyncssh.SSHClientConnection | None = None
        """The connection over which the host has refused to forward; it may think otherwise of the next one."""
        self._aborted_ts = 0.0
        self._has_begun_since = False

    @property
    def name(self) -> str:
        """Return how people call it: user@host, with the port where it is not 22."""
        return self._target.name

    def abort(self) -> None:
        """Drop the connection at once, without a word to the host; whoever uses it gets an error. For a dead path."""
        # By the clock that goes on in sleep: what was made before one is dead again.
        now_ts = time.time()
        if self._has_begun_since and 0 <= now_ts - self._aborted_ts < _SAME_DEATH_S:
            return
        self._aborted_ts, self._has_begun_since = now_ts, False
        if self._attempt is not None:
            self._attempt.reschedule(0)
        if self._greeter is not None:
            self._greeter.abort()
        self._connection = None

    async def close(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await connection.wait_closed()

    @asynccontextmanager
    async def process(self, argv: Sequence[str], nonce: str = "") -> AsyncIterator[BoxProcess]:
        """Run a program for the block; it is told to end when the block is left. ``nonce`` is that of its frames.

        Raises:
            HostError: the box can't be reached, or refuses.
        """
        program = SshProgram(self.name, _program_name(argv), nonce)
        await self._open_session(lambda: program, argv)
        try:
            yield program
        finally:
            program.end()

    @asynccontextmanager
    async def channel(self, path: str, proxy_argv: Sequence[str]) -> AsyncIterator[socket.socket]:
        """Give a stream socket that leads to the unix socket ``path`` on the box, for the block.

        Raises:
            HostError: the box can't be reached, or allows neither.
            AgentUnreachableError: the box is there, and nobody listens at ``path``.
        """
        relay = await self._way_to(path, proxy_argv)
        theirs, ours = socket.socketpair()
        try:
            ours.setblocking(False)
            theirs.setblocking(False)
            await relay.attach(ours)
            yield theirs
        finally:
            relay.end()
            ours.close()
            theirs.close()

    async def _way_to(self, path: str, proxy_argv: Sequence[str]) -> Relay:
        refused = ""
        connection = await self._connected()
        if connection is not self._forwards_not:
            try:
                return await self._forwarded(connection, path)
            except asyncssh.ChannelOpenError as error:
                # OpenSSH answers alike to "not allowed" and to "nobody listens": the proxy tells which.
                refused = clean(error.reason, 100)
        relay = await self._proxied(proxy_argv, refused)
        self._forwards_not = connection
        return relay

    async def _forwarded(self, connection: asyncssh.SSHClientConnection, path: str) -> Relay:
        with self._translated():
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                _, relay = await connection.create_unix_connection(Relay, path, encoding=None, window=WINDOW_BYTES)
        return relay  # type: ignore[return-value]  # it is what the factory made

    async def _proxied(self, argv: Sequence[str], refused: str) -> Relay:
        nonce = new_nonce()
        relay = Relay(nonce)
        try:
            await self._open_session(lambda: relay, [*argv, "--nonce", nonce])
        except HostError as error:
            if error.code != "ssh.refused":
                raise
            raise HostError(
                f"{self.name} forwards to no socket ({refused}) and runs no program: the agent there can't be reached",
                fix="set AllowStreamLocalForwarding yes in its sshd_config, or connect to the machine's own SSH server "
                "(a public address with port 22 mapped) instead of a provider's proxy",
                code="ssh.forwarding",
            ) from error
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                is_ready = await relay.ready()
        except BaseException as error:
            relay.end()
            if isinstance(error, TimeoutError):
                raise HostError(f"{self.name} answers nothing", fix="try again", code="ssh.lost") from error
            raise
        if is_ready:
            return relay
        if relay.error:
            raise relay.error
        if relay.status is None:
            raise self._lost_error()
        said = clean(relay.stderr.decode("utf-8", "replace"), 400).strip()
        raise AgentUnreachableError(
            f"no agent answers on {self.name}" + (f": {said}" if said and relay.status != _UNREACHABLE_STATUS else ""),
            fix="it is started again when a run there is followed",
        )

    async def _open_session(
        self, factory: Callable[[], "asyncssh.SSHClientSession[bytes]"], argv: Sequence[str]
    ) -> None:
        connection = await self._connected()
        with self._translated():
            try:
                async with asyncio.timeout(OPEN_TIMEOUT_S):
                    await connection.create_session(
                        factory, command_line(argv), encoding=None, window=WINDOW_BYTES, request_pty=False
                    )
            except asyncssh.ChannelOpenError as error:
                if connection.is_closed():
                    raise self._lost_error() from error
                raise HostError(
                    f"{self.name} runs no program for us: {clean(error.reason, 200)}",
                    fix="allow sessions and commands in its sshd_config (MaxSessions, ForceCommand), or use another "
                    "address of the machine",
                    code="ssh.refused",
                ) from error

    async def _connected(self) -> asyncssh.SSHClientConnection:
        """Return the connection, made now if there is none."""
        async with self._lock:
            if self._connection is not None and self._greeter is not None and not self._greeter.is_lost:
                return self._connection
            self._connection = None
            self._connection = await self._connect()
            return self._connection

    async def _connect(self) -> asyncssh.SSHClientConnection:
        pinned = await asyncio.to_thread(self._instance.host_key)
        attempts = await self._keys()
        kinds: tuple[tuple[str, ...], ...] = HOST_KEY_KINDS
        mismatch: LoratuiError | None = None
        while True:
            try:
                return await self._attempt_with(attempts[0], pinned, kinds)
            except (OSError, TimeoutError, ValueError, asyncssh.Error, LoratuiError) as error:
                greeter = self._greeter
                shown = greeter.host_key if greeter else None
                if isinstance(error, asyncssh.PermissionDenied) and shown is not None:
                    await self._pin(shown, pinned)
                    pinned = shown
                    if len(attempts) > 1:
                        attempts = attempts[1:]
                        continue
                elif self._expected and shown and shown.get_fingerprint() != self._expected:
                    # The fingerprint may be of another of the host's keys.
                    mismatch = mismatch or (greeter.refusal if greeter else None)
                    kinds = tuple(kind for kind in kinds if not _is_of(shown, kind))
                    if kinds:
                        continue
                raise mismatch or handshake.failed(error, self._target, greeter, self._instance) from error

    async def _attempt_with(
        self, keys: list[asyncssh.SSHKey] | None, pinned: asyncssh.SSHKey | None, kinds: tuple[tuple[str, ...], ...]
    ) -> asyncssh.SSHClientConnection:
        self._has_begun_since = True
        greeter = self._greeter = Greeter(self.name, pinned, self._expected)
        chosen = handshake.options(self._target, keys, pinned, kinds, use_ssh_config=self._use_ssh_config)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S) as self._attempt:
                connection = await asyncssh.connect(client_factory=lambda: greeter, **chosen)
        finally:
            self._attempt = None
        if greeter.is_lost or greeter.refusal:
            raise greeter.refusal or self._lost_error()
        try:
            await self._pin(greeter.host_key, pinned)
        except LoratuiError:
            greeter.abort()
            raise
        return connection

    async def _pin(self, shown: asyncssh.SSHKey | None, pinned: asyncssh.SSHKey | None) -> None:
        """Remember the host's key, which the handshake proved that it owns, and show it.

        Raises:
            HostError: another process has met the host meanwhile, and another key.
        """
        if shown is None or shown == pinned:
            return
        held = await asyncio.to_thread(self._instance.pin_host_key, shown, replace=self._expected is not None)
        if held != shown:
            raise handshake.changed(self.name, held, shown)
        how = "as expected" if self._expected else "seen for the first time; only this one is accepted from now on"
        kind = shown.get_algorithm().removeprefix("ssh-").upper()
        self._say(f"host key of {self.name}: {kind} {shown.get_fingerprint()} ({how})")

    async def _keys(self) -> list[list[asyncssh.SSHKey] | None]:
        """Return the sets of keys to try, one after the other; None is what the user's own configuration names."""
        if self._key is None:
            self._key = await asyncio.to_thread(self._read_key)
        if self._use_ssh_config and self._identity is None:
            return [None, [self._key]]
        return [[self._key]]

    def _read_key(self) -> asyncssh.SSHKey:
        if self._identity is None:
            return self._instance.key()
        path = self._identity.expanduser()
        try:
            return asyncssh.read_private_key(path)
        except OSError as error:
            raise UsageError(
                f"{path} can't be read: {error.strerror}", fix="name a private key", code="ssh.key"
            ) from error
        except asyncssh.KeyImportError as error:
            if "passphrase" not in str(error).lower():
                raise UsageError(
                    f"{path} is no private key: {clean(str(error), 100)}",
                    fix="name the file without .pub",
                    code="ssh.key",
                ) from error
            if self._passphrase is None:
                raise UsageError(
                    f"{path} is protected by a passphrase",
                    fix="leave it out: loratui then makes a key for this host alone, and says how to add it there",
                    code="ssh.passphrase",
                ) from error
        try:
            return asyncssh.read_private_key(path, self._passphrase(path))
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
            raise UsageError(f"that is not the passphrase of {path}", fix="try again", code="ssh.passphrase") from error

    def _lost_error(self) -> HostError:
        return HostError(
            f"the connection to {self.name} broke; runs there go on", fix="wait: it is tried again", code="ssh.lost"
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (asyncssh.ChannelOpenError, LoratuiError):
            raise
        except TimeoutError as error:
            # Whoever does not even open a channel has a dead path: the next attempt needs a new connection.
            self.abort()
            raise HostError(
                f"{self.name} answers nothing any more; runs there go on",
                fix="wait: it is tried again",
                code="ssh.lost",
            ) from error
        except (OSError, asyncssh.Error) as error:
            raise self._lost_error() from error


def _is_of(key: asyncssh.SSHKey, kind: tuple[str, ...]) -> bool:
    return any(name.decode("ascii") in kind for name in key.sig_algorithms)


def _program_name(argv: Sequence[str]) -> str:
    """Return the word that a person would call the program by."""
    if "-m" in argv[:-1]:
        return " ".join(argv[argv.index("-m") + 1 :][:2])
    words = [word for word in argv if "=" not in word and word != "/usr/bin/env"]
    return words[0].rpartition("/")[2] if words else "a program"
