"""The requests that end a rental, against servers that behave as the providers do on a bad day."""

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from loratui_agent.rental_key import own_key
from loratui_agent.rental_routes import STOP_FROM_TRY, end_rental, read_back
from support.fake_vast import FakeVast
from support.rented import Rented, another, rented_at


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_ALLOW_LOOPBACK", "1")


@pytest.fixture
def at_vast() -> Iterator[Rented]:
    with rented_at("vast") as machine:
        yield machine


@pytest.fixture
def at_runpod() -> Iterator[Rented]:
    with rented_at("runpod") as machine:
        yield machine


@pytest.mark.parametrize("provider", ["vast", "runpod"])
def test_machine_ends_its_own_rental_with_its_own_key_and_no_other(provider: str) -> None:
    with rented_at(provider) as machine:
        other = another(machine)
        assert "HTTP 40" in end_rental(other.rental(key=machine.key))
        assert not other.is_gone
        assert end_rental(machine.rental()) == ""
        assert machine.is_gone
        assert not other.is_gone
        assert "HTTP 404" in end_rental(machine.rental()), "gone, and it still runs: that is no success"


BAD_ANSWERS = [
    (500, b'{"detail": "something went wrong"}'),
    (429, b"API requests too frequent: endpoint threshold=3.0"),
    (403, b"<!DOCTYPE html><html>Attention Required! | Cloudflare</html>"),
    (200, b"<html>maintenance</html>"),
    (200, b'{"success": false, "error": "auth_error"}'),
    (200, b"[" * 100_000),
    (302, b""),
    (200, b""),
]


@pytest.mark.parametrize(("status", "content"), BAD_ANSWERS)
def test_what_is_not_clearly_agreed_to_is_a_complaint(at_vast: Rented, status: int, content: bytes) -> None:
    at_vast.fake.answer("end", status, content)
    assert f"HTTP {status}" in end_rental(at_vast.rental())
    assert not at_vast.is_gone
    assert end_rental(at_vast.rental(), num_tries=1) == ""
    assert at_vast.is_gone


@pytest.mark.parametrize(("status", "content"), BAD_ANSWERS)
def test_at_runpod_the_next_way_is_taken_at_once(at_runpod: Rented, status: int, content: bytes) -> None:
    at_runpod.fake.answer("end", status, content)
    assert end_rental(at_runpod.rental()) == ""
    assert at_runpod.is_gone


def test_where_rest_is_barred_graphql_ends_it(at_runpod: Rented) -> None:
    at_runpod.fake.answer("end", 403, b'{"detail": "forbidden"}', times=2)
    assert end_rental(at_runpod.rental()) == ""
    assert at_runpod.is_gone


def test_graphql_refuses_with_a_good_status(at_runpod: Rented) -> None:
    at_runpod.fake.answer("end", 500, b"", times=2)
    at_runpod.fake.answer("account", 200, b'{"errors": [{"message": "Unauthorized"}], "data": null}')
    assert "Unauthorized" in end_rental(at_runpod.rental())
    assert not at_runpod.is_gone


def test_a_way_that_is_agreed_to_for_nothing_is_not_the_only_one(at_runpod: Rented) -> None:
    at_runpod.fake.answer("end", 204, b"")
    assert end_rental(at_runpod.rental()) == ""
    assert not at_runpod.is_gone
    # The second try begins with DELETE, which this key may not; GraphQL comes next.
    at_runpod.fake.scoped_may_delete = False
    assert end_rental(at_runpod.rental(), num_tries=1) == ""
    assert at_runpod.is_gone


@pytest.mark.parametrize("provider", ["vast", "runpod"])
@pytest.mark.parametrize("status", [503, 204], ids=["refused", "agreed to for nothing"])
def test_what_can_not_be_ended_for_long_is_stopped_and_not_sooner(provider: str, status: int) -> None:
    with rented_at(provider) as machine:

        def is_stopped() -> bool:
            if isinstance(machine.fake, FakeVast):
                return machine.fake.instances[int(machine.instance_id)].shown()["actual_status"] == "exited"
            return machine.fake.pods[machine.instance_id].status == "EXITED"

        if status == 204:
            machine.fake.cling(machine.instance_id, 1000)
        for num_tries in range(STOP_FROM_TRY + 1):
            assert not is_stopped()
            if status == 503:
                # At RunPod both ways of REST, then that of GraphQL; what stops it comes after them.
                machine.fake.answer("end", status, b"", times=1 if provider == "vast" else 2)
                machine.fake.answer("account", status, b"")
            end_rental(machine.rental(), num_tries)
        assert is_stopped()
        assert not machine.is_gone


def test_connection_that_breaks_is_a_complaint(at_vast: Rented) -> None:
    at_vast.fake.lose_answers("end", carried_out=False)
    assert "DELETE: " in end_rental(at_vast.rental())
    assert "DELETE: " in end_rental(at_vast.rental(url="http://127.0.0.1:9"))


def test_key_is_in_no_complaint_even_if_the_provider_says_it(at_vast: Rented) -> None:
    at_vast.fake.answer("end", 500, f"no\x1b[2J such key: {at_vast.key}\n".encode())
    said = end_rental(at_vast.rental())
    assert "such key: ***" in said
    assert at_vast.key not in said
    assert said.isprintable()
    assert at_vast.key not in repr(at_vast.rental())


@contextmanager
def dripping_server() -> Iterator[str]:
    """Serve a header that has no end, a byte now and then."""
    ending = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not ending.wait(0.05):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        ending.set()
        thread.join()


def test_server_that_drips_is_given_up(at_vast: Rented) -> None:
    with dripping_server() as url:
        began_s = time.monotonic()
        assert end_rental(at_vast.rental(url=url), timeout_s=0.3)
        assert time.monotonic() - began_s < 5


@pytest.mark.parametrize("provider", ["vast", "runpod"])
def test_reading_back_shows_this_machine_or_says_why_not(provider: str) -> None:
    with rented_at(provider) as machine:
        assert read_back(machine.rental()) == ""
        assert "HTTP 40" in read_back(machine.rental(key="wrong"))
        machine.fake.answer("get", 200, b'{"instances": null}')
        assert "does not show this machine" in read_back(machine.rental())
        assert "no key" in read_back(machine.rental(key=""))
        assert not machine.is_gone


def test_key_is_found_where_each_provider_puts_it(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    assert own_key("vast", [nothing], {}) == ("", "")
    process = tmp_path / "environ"
    process.write_bytes(b"PATH=/bin\0CONTAINER_ID=123\0CONTAINER_API_KEY=k'1\0LAST=a\nb\0")
    assert own_key("vast", [nothing, process], {}) == ("123", "k'1")
    assert own_key("runpod", [process], {}) == ("", "")
    shell = tmp_path / "rp_environment"
    shell.write_text('export RUNPOD_POD_ID="7h9k"\nexport RUNPOD_API_KEY=\'rpa_1\'\nexport BROKEN="\n')
    assert own_key("runpod", [process, shell], {}) == ("7h9k", "rpa_1")
    assert own_key("runpod", [nothing], {"RUNPOD_POD_ID": "own", "RUNPOD_API_KEY": "key"}) == ("own", "key")
    assert own_key("runpod", [shell], {"RUNPOD_POD_ID": "own"}) == ("7h9k", "rpa_1")


@contextmanager
def secure_server(folder: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """Serve one who agrees to everything, for localhost; give its address, its certificate and the keys it saw."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / "certificate.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_DELETE(self) -> None:
            keys.append(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"success": true}')

        def log_message(self, *args: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, private)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"https://localhost:{server.server_address[1]}", pem, keys
        server.shutdown()
        thread.join()


def test_key_is_shown_only_to_whom_the_machine_trusts(
    at_vast: Rented, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with secure_server(tmp_path) as (url, certificate, keys):
        assert "CERTIFICATE_VERIFY_FAILED" in end_rental(at_vast.rental(url=url))
        assert keys == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert end_rental(at_vast.rental(url=url)) == ""
        assert keys == [f"Bearer {at_vast.key}"]


def test_server_that_begins_no_tls_is_given_up(at_vast: Rented) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://localhost:{silent.getsockname()[1]}"
        assert "timed out" in end_rental(at_vast.rental(url=url), timeout_s=0.2)
