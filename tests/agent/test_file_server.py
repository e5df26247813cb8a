"""Large files on a socket of their own: the listed ones, whole ranges, and nothing to strangers."""

import asyncio
import json
import os
import socket
import stat
import time

import pytest

from loratui_protocol.ids import new_id
from loratui_protocol.paths import FILES_SOCKET, socket_path
from support.agent_process import AgentProcess, client_of, running_agent, wait_until


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    with running_agent(tmp_path_factory.mktemp("agent") / "home") as agent:
        yield agent


@pytest.fixture(scope="module")
def job(agent) -> str:
    async def done() -> str:
        async with client_of(agent) as client:
            job = await client.start("steps = 2")
            await client.until_state(job, "done")
            return job

    job = asyncio.run(done())
    (agent.home.job(job) / "artifacts" / "lora").write_bytes(bytes(range(256)) * 16)
    return job


def ask(agent: AgentProcess, *lines: bytes) -> bytes:
    """Say these lines and return everything that is answered."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(socket_path(agent.home.path, FILES_SOCKET)))
        connection.sendall(b"".join(lines))
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while received := connection.recv(1 << 16):
            answer += received
        return answer


def hello(agent: AgentProcess, job: str, artifact: str = "lora", token: str = "") -> bytes:
    token = token or agent.home.token.read_text("ascii")
    return json.dumps({"token": token, "job": job, "artifact": artifact}).encode() + b"\n"


def test_ranges_come_in_the_order_of_the_questions(agent, job):
    content = (agent.home.job(job) / "artifacts" / "lora").read_bytes()
    answer = ask(agent, hello(agent, job), b"4000 96\n", b"0 10\n", b"10 1\n")
    assert answer == b'{"total": 4096}\n' + content[4000:] + content[:11]


def test_whoever_fetches_is_a_client_that_is_there(agent, job):
    shown = agent.home.run / "client"
    wait_until(shown.exists, "the last client to be shown")
    wait_until(lambda: time.time() - shown.stat().st_mtime > 3, "it to be gone", deadline_s=60)
    ask(agent, hello(agent, job), b"0 10\n")
    wait_until(lambda: time.time() - shown.stat().st_mtime < 3, "another to be shown")


@pytest.mark.parametrize("line", [b"0 4097\n", b"-1 5\n", b"0 0\n", b"0\n", b"a b\n", b"x" * 9000, b"0 10 10\n"])
def test_range_that_is_none_ends_the_connection_and_nothing_else(agent, job, line):
    assert ask(agent, hello(agent, job), b"0 1\n", line, b"0 1\n") == b'{"total": 4096}\n\x00'
    assert ask(agent, hello(agent, job), b"1 1\n").endswith(b"\x01")


@pytest.mark.parametrize(
    "line", [b"\n", b"[]\n", b"\xff\xfe\n", b"GET / HTTP/1.1\r\n", b"[" * 4000 + b"\n", b"y" * 9000]
)
def test_garbage_is_not_answered_with_a_file(agent, line):
    assert b"total" not in ask(agent, line)


def test_stranger_gets_nothing(agent, job):
    assert b"agent.token" in ask(agent, hello(agent, job, token="0" * 64), b"0 1\n")
    assert b"agent.token" in ask(agent, json.dumps({"job": job, "artifact": "lora"}).encode() + b"\n")
    assert b"job.unknown" in ask(agent, hello(agent, new_id()))
    assert b"job.unknown" in ask(agent, hello(agent, "../.."))
    path = socket_path(agent.home.path, FILES_SOCKET)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("evil", ["../state.json", "../../../run/token", "/etc/passwd", "..", "", "state.json"])
def test_file_that_is_not_listed_is_not_given_out(agent, job, evil):
    assert b"artifact.unknown" in ask(agent, hello(agent, job, evil))


def test_logs_are_given_out_under_names_that_no_file_of_a_run_can_have(agent, job):
    assert b'"total"' in ask(agent, hello(agent, job, "support:agent.log"))
    assert b'"total"' in ask(agent, hello(agent, job, "support:state.json"))
    assert b"artifact.missing" in ask(agent, hello(agent, job, "support:on_done.log"))
    assert b"artifact.unknown" in ask(agent, hello(agent, job, "support:token"))


def test_link_in_the_place_of_a_file_is_not_followed(agent, job):
    path = agent.home.job(job) / "artifacts" / "lora"
    kept = path.read_bytes()
    path.unlink()
    path.symlink_to(agent.home.token)
    try:
        assert b"artifact.missing" in ask(agent, hello(agent, job), b"0 10\n")
    finally:
        path.unlink()
        path.write_bytes(kept)


def test_file_that_becomes_shorter_ends_the_connection(agent, job):
    path = agent.home.job(job) / "artifacts" / "lora"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(socket_path(agent.home.path, FILES_SOCKET)))
        connection.sendall(hello(agent, job))
        assert connection.recv(100) == b'{"total": 4096}\n'
        os.truncate(path, 100)
        connection.sendall(b"0 4096\n")
        answer = b""
        while received := connection.recv(1 << 16):
            answer += received
        assert len(answer) == 100
    path.write_bytes(bytes(range(256)) * 16)
