"""What is said of high ports before money is spent, tried with real sockets on loopback."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui import settings
from loratui.remote.ports import Endpoint
from loratui.sessions.preconditions import PORTS, look_at_ports, look_before_renting

HIGH_PORTS = 10_000


@pytest.fixture
def is_open() -> Iterator[Endpoint]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()


@pytest.fixture
def blocked() -> Endpoint:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
    return host, port


async def test_a_high_port_that_answers_is_named(is_open: Endpoint, blocked: Endpoint) -> None:
    for control in (None, blocked):
        found = await look_at_ports((blocked, is_open), control)
        assert (found.code, found.severity) == (PORTS, "info")
        assert f"{is_open[0]}:{is_open[1]} answers" in found.what


async def test_the_users_own_address_that_does_not_answer_forbids_the_rental(blocked: Endpoint) -> None:
    found = await look_at_ports((blocked,))
    assert found.severity == "error"
    assert "paid for until then" in found.what
    assert f"--accept {PORTS}" in found.fix


async def test_somebody_elses_that_answers_on_usual_ports_alone_is_a_warning(
    is_open: Endpoint, blocked: Endpoint
) -> None:
    found = await look_at_ports((blocked,), is_open)
    assert found.severity == "warning"
    assert "seems to block high ports" in found.what


async def test_somebody_elses_that_is_down_says_nothing_of_this_network(blocked: Endpoint) -> None:
    found = await look_at_ports((blocked,), blocked)
    assert found.severity == "warning"
    assert "can't be told" in found.what
    assert "none: then nothing is tried" in found.fix


async def test_that_nothing_is_tried_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_CONFIG_DIR", str(tmp_path))
    # As every test has it: none reaches beyond this machine.
    preferences = settings.load()
    [found] = (await look_before_renting(preferences, "builtin:tiny", None)).findings
    assert found.severity == "info"
    assert "is not tried" in found.what
    assert (await look_before_renting(preferences, "builtin:tiny", None, is_first=False)).findings == ()


@pytest.mark.parametrize(("written", "num_tried"), [(None, 2), ("", 0), ("none", 0), ("a.example:40022", 1)])
def test_a_user_who_says_nothing_has_two_high_ports_tried_and_can_have_none(
    tmp_path: Path, written: str | None, num_tried: int
) -> None:
    text = "" if written is None else f"[network]\nport_probe = '{written}'\n"
    (tmp_path / "config.toml").write_text(text, "utf-8")
    probe = settings.load(environ={"LORATUI_CONFIG_DIR": str(tmp_path)}).port_probe
    assert len(probe) == num_tried
    assert all(port > HIGH_PORTS for _, port in probe)
