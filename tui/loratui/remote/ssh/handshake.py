"""One SSH handshake: whom we accept, with what we sign in, and what is said when that fails."""

import getpass
import re
import socket
from pathlib import Path
from typing import Any

import asyncssh

from loratui.remote.ssh.instance import Instance
from loratui.remote.ssh.target import DEFAULT_PORT, SshTarget
from loratui_protocol.codec import clean
from loratui_protocol.errors import HostError, LoratuiError, UsageError

CONNECT_TIMEOUT_S = 15.0
KEEPALIVE_S = 5.0
KEEPALIVE_COUNT = 3
MAX_BANNER_BYTES = 1 << 16
_CIPHERS = ["aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"]
HOST_KEY_KINDS = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)
_FINGERPRINT = re.compile(r"(?:\bSHA256:|^)([A-Za-z0-9+/]{43})=?(?:\s|$)")


def fingerprint(text: str) -> str:
    """Return the fingerprint in ``text``: ``SHA256:`` and 43 characters, alone or in a line of ``ssh-keygen -l``.

    Raises:
        UsageError: there is none.
    """
    found = _FINGERPRINT.search(text.strip())
    if not found:
        raise UsageError(
            f"{text!r} is no fingerprint of a host key",
            fix="it looks like SHA256:… and the host prints it: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
            code="ssh.fingerprint",
        )
    return f"SHA256:{found[1]}"


class Greeter(asyncssh.SSHClient):
    """Watches one connection: checks the host's key, bounds banners, and keeps what explains a failure."""

    def __init__(self, name: str, pinned: asyncssh.SSHKey | None, expected: str | None) -> None:
        self._name = name
        self._pinned = pinned
        self._expected = expected
        self._banner_bytes = 0
        self._connection: asyncssh.SSHClientConnection | None = None
        self.host_key: asyncssh.SSHKey | None = None
        self.offered: set[str] = set()
        """Ways to sign in, other than with a key, that the host offers. None of them is taken."""
        self.refusal: LoratuiError | None = None
        """Why we broke off."""
        self.is_lost = False

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Remember the connection."""
        self._connection = conn

    def connection_lost(self, _exc: Exception | None) -> None:
        """Remember that there is none any more."""
        self._connection, self.is_lost = None, True

    def validate_host_public_key(self, _host: str, _addr: str, _port: int, key: asyncssh.SSHKey) -> bool:
        """Accept the pinned key; the expected one; and where there is neither, the first that comes."""
        self.host_key = key
        shown = key.get_fingerprint()
        if self._expected and shown != self._expected:
            self.refusal = HostError(
                f"{self._name} shows the host key {shown}, not {self._expected} as expected; nothing was sent",
                fix="compare with what the provider or the machine's console shows; it may be another machine",
                code="ssh.host_key",
            )
        elif self._pinned and shown != self._pinned.get_fingerprint() and not self._expected:
            self.refusal = changed(self._name, self._pinned, key)
        return self.refusal is None

    def auth_banner_received(self, msg: str, _lang: str) -> None:
        """Skip what the host says before the sign-in; one that never stops is left."""
        self._banner_bytes += len(msg)
        if self._banner_bytes > MAX_BANNER_BYTES and self._connection and self.refusal is None:
            self.refusal = HostError(
                f"{self._name} floods us with a banner and does not let us sign in; nothing was sent",
                fix="shorten the Banner in its sshd_config, or use another host",
                code="ssh.noise",
            )
            self.abort()

    def password_auth_requested(self) -> None:
        """Note that the host would take a password, and give none."""
        self.offered.add("password")

    def kbdint_auth_requested(self) -> None:
        """Note that the host would ask questions, and answer none."""
        self.offered.add("keyboard-interactive")

    def abort(self) -> None:
        """Drop the connection at once, also in the middle of the handshake."""
        if self._connection:
            self._connection.abort()


def changed(name: str, pinned: asyncssh.SSHKey, shown: asyncssh.SSHKey) -> HostError:
    """Return the hard stop of a host that shows another key than the one that is remembered."""
    now = shown.get_fingerprint()
    return HostError(
        f"the host key of {name} has changed: it was {pinned.get_fingerprint()}, now it is {now}. Someone may be "
        "between you and the host, or the address belongs to another machine now; nothing was sent",
        fix="only if the machine was made anew, and its console or provider shows the new fingerprint: connect "
        f"once with --host-key {now}, which replaces the old one",
        code="ssh.host_key_changed",
    )


def options(
    target: SshTarget,
    keys: list[asyncssh.SSHKey] | None,
    pinned: asyncssh.SSHKey | None,
    kinds: tuple[tuple[str, ...], ...],
    *,
    use_ssh_config: bool,
) -> dict[str, Any]:
    """Return what ``asyncssh.connect`` is called with. ``keys`` None leaves keys and agent to the user's own config."""
    algorithms = [name for kind in kinds for name in kind]
    if pinned:
        # The host may have several keys: it is asked for the one that we know first.
        known = [name.decode("ascii") for name in pinned.sig_algorithms]
        algorithms.sort(key=lambda name: name not in known)
    chosen: dict[str, Any] = {
        "host": target.host,
        "known_hosts": ([], [], []),
        "server_host_key_algs": algorithms,
        "encryption_algs": _CIPHERS,
        "compression_algs": None,
        "preferred_auth": ["publickey", "keyboard-interactive", "password"],
        "password": None,
        "agent_forwarding": False,
        "x11_forwarding": False,
        "request_pty": False,
        "command": None,
        # Empty lists: an empty tuple leaves both to SetEnv and SendEnv of the user's own configuration.
        "env": [],
        "send_env": [],
        "keepalive_interval": KEEPALIVE_S,
        "keepalive_count_max": KEEPALIVE_COUNT,
        "connect_timeout": CONNECT_TIMEOUT_S,
        "config": None,
    }
    if target.port or not use_ssh_config:
        chosen["port"] = target.port or DEFAULT_PORT
    if target.user or not use_ssh_config:
        chosen["username"] = target.user or getpass.getuser()
    if use_ssh_config:
        user_config = Path.home() / ".ssh" / "config"
        chosen["config"] = [str(user_config)] if user_config.exists() else None
    if keys is not None:
        chosen |= {"client_keys": keys, "agent_path": None}
    return chosen


def failed(error: Exception, target: SshTarget, greeter: Greeter | None, instance: Instance) -> LoratuiError:
    """Return what a failed attempt to connect means."""
    name, text = target.name, clean(str(error), 200).strip()
    if greeter and greeter.refusal:
        return greeter.refusal
    match error:
        case LoratuiError():
            return error
        # Without a host key it was no host that said so: anyone on the way can, before the keys are exchanged.
        case asyncssh.PermissionDenied() if greeter and greeter.host_key:
            return _denied(target, greeter, instance)
        case socket.gaierror():
            return HostError(f"no machine is known as {target.host}: {text}", fix="check the name and the network")
        case ConnectionRefusedError():
            port = target.port or DEFAULT_PORT
            return HostError(
                f"{target.host} answers, but nobody listens on port {port}",
                fix="check the port: rented machines rarely use 22; a machine that just started may need a minute",
            )
        case TimeoutError():
            return HostError(
                f"{name} did not answer within {CONNECT_TIMEOUT_S:.0f} s",
                fix="check the address and the network; runs there go on, and it is tried again",
            )
        case OSError():
            return HostError(f"{name} can't be reached: {text}", fix="check the network; runs there go on")
        case asyncssh.KeyExchangeFailed():
            return HostError(
                f"{name} and loratui have no safe SSH algorithm in common: {text}",
                fix="update the host's SSH server: it needs AES-GCM or ChaCha20, and an Ed25519, ECDSA or RSA key",
                code="ssh.algorithms",
            )
        case asyncssh.HostKeyNotVerifiable():
            return HostError(
                f"the host key of {name} can't be verified: {text}; nothing was sent",
                fix="check who answers at that address",
                code="ssh.host_key",
            )
    return HostError(
        f"what answers at {name} broke off: {text or type(error).__name__}",
        fix="is it an SSH server? It may limit new connections: wait a moment and try again",
    )


def _denied(target: SshTarget, greeter: Greeter | None, instance: Instance) -> HostError:
    """Return the error of a host that does not let us in, with all that is needed to change that."""
    public = instance.key().export_public_key().decode("ascii").strip()
    port = f"-p {target.port} " if target.port not in (0, DEFAULT_PORT) else ""
    user = f"{target.user}@" if target.user else ""
    offered = sorted(greeter.offered) if greeter else []
    why = "no key of ours fits"
    if offered:
        why = f"it asks for {' or '.join(offered)}, and loratui signs in with a key only"
    return HostError(
        f"{target.name} does not let us in: {why}; nothing else was sent. The key of this host is\n  {public}",
        fix="put that line into ~/.ssh/authorized_keys on the host, or where your provider keeps SSH keys, or name a "
        f"key that the host knows. With a password this does it:\n  ssh {port}{user}{target.host} "
        "'umask 077; mkdir -p ~/.ssh; cat >> ~/.ssh/authorized_keys' "
        f"< '{instance.folder / 'key.pub'}'",
        code="ssh.auth",
    )
