"""An SSH host as it is written on the command line: ``ssh://user@host:port``."""

import ipaddress
import re
from dataclasses import dataclass

from loratui_protocol.errors import UsageError

SCHEME = "ssh://"
DEFAULT_PORT = 22
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?\.?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+\\-]{0,63}\$?")
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_EXAMPLE = "write ssh://user@host or ssh://user@host:port"


@dataclass(frozen=True, slots=True)
class SshTarget:
    """An SSH host. An empty ``user`` and port 0 mean that none was written."""

    user: str
    host: str
    """A name, an IPv4 address, or an IPv6 address without brackets."""
    port: int = 0

    @property
    def name(self) -> str:
        """Return how people call it: user@host, with the port where it is not 22."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port not in (0, DEFAULT_PORT) else ""
        return user + host + port

    def __str__(self) -> str:
        """Return the target as it is written on the command line; equal hosts are written equally."""
        return SCHEME + self.name


def parse_target(text: str) -> SshTarget:
    """Return the target that ``text`` names.

    Raises:
        UsageError: it is no SSH target (``target.unknown``) or a broken one (``target.syntax``).
    """
    if not text.lower().startswith(SCHEME):
        raise UsageError(f"{text!r} is no target", fix=f"{_EXAMPLE}, or local", code="target.unknown")
    user, _, address = text[len(SCHEME) :].removesuffix("/").rpartition("@")
    if ":" in user:
        # The text is not shown: it has a password in it.
        raise UsageError(
            "the target has a password in it: shells and other users of this machine can read it there",
            fix=f"{_EXAMPLE}; change that password; loratui signs in with a key",
            code="target.syntax",
        )
    if user and not _USER.fullmatch(user):
        raise _syntax(text, f"{user!r} is no user name")
    if address.startswith("["):
        host, bracket, after = address[1:].partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise _syntax(text, "the bracket of an IPv6 address is not closed, or something other than a port follows")
        port = after[1:] if after else None
        host = _ipv6(text, host)
    elif address.count(":") > 1:
        raise _syntax(text, f"an IPv6 address is written in brackets: ssh://[{address}]")
    else:
        host, colon, written_port = address.partition(":")
        port = written_port if colon else None
        if not _HOST.fullmatch(host):
            raise _syntax(text, f"{host!r} is no host name" if host else "it names no host")
        host = host.lower()
    return SshTarget(user, host, _port(text, port))


def _ipv6(text: str, host: str) -> str:
    address, percent, zone = host.partition("%")
    try:
        plain = str(ipaddress.IPv6Address(address))
    except ValueError as error:
        raise _syntax(text, f"{host!r} is no IPv6 address") from error
    if percent and not _ZONE.fullmatch(zone):
        raise _syntax(text, f"{zone!r} is no network interface")
    return plain + percent + zone


def _port(text: str, written: str | None) -> int:
    if written is None:
        return 0
    if not (written.isascii() and written.isdecimal() and len(written) <= 5 and 1 <= int(written) <= 65535):
        raise _syntax(text, f"{written!r} is no port from 1 to 65535")
    return int(written)


def _syntax(text: str, why: str) -> UsageError:
    return UsageError(f"{text!r} is no SSH target: {why}", fix=_EXAMPLE, code="target.syntax")
