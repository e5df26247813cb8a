"""Which addresses a download may go to: https, and never this machine or its private network.

A model site's answer may point anywhere; what answers inside a network, a cloud's metadata service above all, is not
ours to ask.
"""

import ipaddress
import os
import socket
import urllib.parse
from dataclasses import dataclass

from loratui_protocol.errors import ModelError

LOOPBACK_VARIABLE = "LORATUI_ALLOW_LOOPBACK"
"""Set to 1 it allows plain http to this machine, for tests and for mirrors that run here."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_MAX_CHARS = 8192


@dataclass(frozen=True, slots=True)
class Address:
    """An address that may be asked; ``host`` is as tokens are entered for it: with the port where it is unusual."""

    is_secure: bool
    name: str
    port: int
    path: str
    """With the query."""

    @property
    def host(self) -> str:
        """Return the name, with the port where it is not the usual one."""
        return self.name if self.port == (443 if self.is_secure else 80) else f"{self.name}:{self.port}"

    def __str__(self) -> str:
        """Return the address without its query, which may hold a secret."""
        return f"{'https' if self.is_secure else 'http'}://{self.host}{self.path.partition('?')[0]}"


def allows_loopback() -> bool:
    """Return whether this agent may ask its own machine."""
    return os.environ.get(LOOPBACK_VARIABLE) == "1"


def parse_address(text: str) -> Address:
    """Return the address in ``text``.

    Raises:
        ModelError: it is none, or one of a kind that is not asked.
    """
    try:
        parts = urllib.parse.urlsplit(text)
        name, port = (parts.hostname or "").encode("idna").decode("ascii"), parts.port
    except (ValueError, UnicodeError) as error:
        raise _refused(text, "it is no address") from error
    if len(text) > _MAX_CHARS or any(not "!" <= char <= "~" for char in text):
        raise _refused(text, "it holds characters that belong in no address")
    if parts.username is not None or parts.password is not None:
        raise ModelError(
            "the address of the model has a password in it",
            fix="leave it out; a token is asked for",
            code="model.address",
        )
    if parts.scheme not in ("https", "http") or not name:
        raise _refused(text, "only https is asked")
    if parts.scheme == "http" and not (allows_loopback() and _is_loopback(name)):
        raise _refused(text, "only https is asked")
    is_secure = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(is_secure=is_secure, name=name, port=port or (443 if is_secure else 80), path=path)


def resolve(address: Address) -> list[str]:
    """Return the IP addresses that a connection may be made to.

    Raises:
        OSError: the name is not known.
        ModelError: it leads into a private network.
    """
    found = socket.getaddrinfo(address.name, address.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    allowed = [each for each in addresses if is_allowed(each, loopback=allows_loopback())]
    if not allowed:
        raise _refused(str(address), f"{address.name} is in a private network ({addresses[0]})")
    return allowed


def is_allowed(text: str, *, loopback: bool = False) -> bool:
    """Return whether this IP address is one of the open internet."""
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_allowed(str(inner), loopback=loopback)
    if ip.is_loopback:
        return loopback
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _refused(text: str, why: str) -> ModelError:
    shown = text.partition("?")[0][:200]
    return ModelError(
        f"the model can't be downloaded from {shown!r}: {why}",
        fix="give an https address on the internet, a hub id (org/name), or a folder of this machine",
        code="model.address",
    )
