"""Whether a network lets connections out, tried with real sockets on loopback."""

import socket
import time

from loratui.remote.ports import first_reached


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def test_one_of_several_that_answers_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        is_open = ("127.0.0.1", listener.getsockname()[1])
        assert await first_reached([("127.0.0.1", closed_port()), is_open]) == is_open
    assert await first_reached([("127.0.0.1", closed_port()), ("no.such.host.invalid", 40022)]) is None


async def test_a_network_that_swallows_everything_is_found_out_within_the_limit() -> None:
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        # The kernel does not answer who comes when the line is full.
        socket.create_connection(listener.getsockname()),
    ):
        started_s = time.monotonic()
        assert await first_reached([listener.getsockname()], limit_s=0.3) is None
        assert time.monotonic() - started_s < 5
