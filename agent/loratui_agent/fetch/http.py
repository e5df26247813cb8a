"""One GET after the other, redirects followed by our rules: checked addresses, and a token for its own host alone."""

import contextlib
import http.client
import socket
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping

from loratui_agent.authorities import trust
from loratui_agent.fetch.address import Address, parse_address, resolve
from loratui_protocol.errors import ModelError

TIMEOUT_S = 30.0
_MAX_REDIRECTS = 8
_REDIRECTS = (301, 302, 303, 307, 308)


class CancelledFetchError(Exception):
    """The download was told to end."""


class Cancel:
    """Ends a download that runs in a thread, also while it waits for bytes."""

    def __init__(self) -> None:
        """Begin without a connection."""
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def set(self) -> None:
        """End it."""
        self._event.set()
        with self._lock:
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    # Below TLS, whose own shutdown is not for another thread's use.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def check(self) -> None:
        """Raise CancelledFetchError once it was told to end."""
        if self._event.is_set():
            raise CancelledFetchError

    def wait(self, seconds: float) -> None:
        """Wait, and raise CancelledFetchError when it is told to end meanwhile."""
        self._event.wait(seconds)
        self.check()

    def watch(self, connected: socket.socket | None) -> None:
        """Take note of the connection that is read from."""
        with self._lock:
            self._socket = connected


@contextlib.contextmanager
def opened(
    url: str, headers: Mapping[str, str], token_of: Callable[[str], str], cancel: Cancel
) -> Iterator[http.client.HTTPResponse]:
    """Give the answer to a GET, redirects followed, whatever its status. ``token_of`` gives the token for a host.

    Raises:
        ModelError: a redirect leads where nothing is asked, or round and round.
        OSError, http.client.HTTPException: the network failed.
    """
    address = parse_address(url)
    for _ in range(_MAX_REDIRECTS):
        cancel.check()
        connection = _Connection(address, cancel)
        try:
            connection.connect()
            token = token_of(address.host)
            own = {"Authorization": f"Bearer {token}"} if token else {}
            connection.request("GET", address.path, headers={"User-Agent": "loratui", **headers, **own})
            response = connection.getresponse()
            location = response.headers.get("Location", "")
            if response.status not in _REDIRECTS or not location:
                yield response
                return
        finally:
            cancel.watch(None)
            connection.close()
        address = parse_address(urllib.parse.urljoin(str(address), location))
    raise ModelError(f"{url.partition('?')[0]} leads round and round", fix="check the address", code="model.address")


class _Connection(http.client.HTTPConnection):
    """A connection to an address that was looked at: what was checked is what is connected to."""

    def __init__(self, address: Address, cancel: Cancel) -> None:
        super().__init__(address.name, address.port, timeout=TIMEOUT_S)
        self._address = address
        self._cancel = cancel
        # The port is named to the server only where it is unusual.
        self.default_port = 443 if address.is_secure else 80

    def connect(self) -> None:
        """Connect to one of the allowed IP addresses."""
        last: OSError = OSError("no address")
        for ip in resolve(self._address):
            try:
                self._use(socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET))
                self.sock.connect((ip, self._address.port))
                break
            except OSError as error:
                self.close()
                last = error
        else:
            raise last
        if self._address.is_secure:
            name = self._address.name
            tls = trust().wrap_socket(self.sock, server_hostname=name, do_handshake_on_connect=False)
            self._use(tls)
            tls.do_handshake()

    def _use(self, connecting: socket.socket) -> None:
        """Have the socket end when the download is told to: also before anyone has answered on it."""
        self.sock = connecting
        connecting.settimeout(TIMEOUT_S)
        self._cancel.watch(connecting)
        self._cancel.check()
