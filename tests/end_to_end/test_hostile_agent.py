"""The real program on a real pty, told by an agent that puts escapes and markup into every field of every event."""

import os
import re
import sys
import typing
from collections.abc import Iterator
from dataclasses import fields
from enum import EnumType
from pathlib import Path

import pytest

from loratui import settings
from loratui.sessions.host import SessionHost
from loratui.sessions.start_run import start_run
from loratui_protocol import messages
from loratui_protocol.messages import JobState, State
from support.agent_process import wait_until
from support.fake_agent import FakeAgent, fake_agent
from support.terminal import Terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys on Windows")

HOSTILE = (
    "\x1b]52;c;aGFja2Vk\x07\x1b[2J\x1b[5;5Howned\x1b[?1049l\x9b31m\x90q\x9c\x1bP0;1|x\x1b\\\x1b]0;title\x07\u202egnp\u2066"
    " [bold red]markup[/] [@click=app.quit]x[/] [/unbalanced] \r\x08 the end"
)
OURS = re.compile(
    r"\x1b\[\d+;\d+H|\x1b\[[\d;]*m|\x1b\[\?[\d;]+[hl]|\x1b\[\?(?:2026|2048)\$p|\x1b\[[><]\d*u|\x1b\]22;default(?:\x07|\x1b\\)"
    r"|\x1b\[\d* q|\x1b[78]|\x1b\[\?\d*u|\x1b\[c|\x1b\[>0?q"
)
"""What a screen of ours sends beside text; none of it is in HOSTILE but the change of screens, which is counted."""


def hostile_events() -> Iterator[messages.Event]:
    """Yield every kind of event with the text in every place that takes one."""
    for kind in typing.get_args(messages.Event):
        hints = typing.get_type_hints(kind)
        yield kind(**{field.name: _value(hints[field.name]) for field in fields(kind)})


def _value(hint: typing.Any) -> typing.Any:
    if hint is str:
        return HOSTILE
    if isinstance(hint, EnumType):
        return JobState.RUNNING if hint is JobState else next(iter(hint))
    if typing.get_origin(hint) is dict:
        return {HOSTILE: 0.5}
    if hint is bool:
        return True
    return 1 if hint is int else 1.0


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    with fake_agent(tmp_path / "home") as started:
        yield started


@pytest.fixture
def environment(tmp_path: Path, agent: FakeAgent) -> dict[str, str]:
    """Return the environment of a client that knows the hostile run."""
    environ = {
        **os.environ,
        "LORATUI_CONFIG_DIR": str(tmp_path),
        "LORATUI_STATE_DIR": str(tmp_path / "state"),
        "LORATUI_HOME": str(tmp_path / "home"),
    }
    host = SessionHost(settings.load({}, environ))
    host.start()
    run_id = start_run(host, name="n", target="local", config_toml="", home=agent.home)
    agent.emit(run_id, *hostile_events())
    agent.emit(run_id, State(state=JobState.FAILED, reason=HOSTILE, detail=HOSTILE))
    wait_until(lambda: host.view(run_id).is_settled, "the run")
    host.close()
    return environ


@pytest.mark.parametrize(
    "words",
    [["attach"], ["attach", "--plain"], ["attach", "--json"], ["logs"], ["status"], ["status", "--json"], ["ls"]],
    ids=" ".join,
)
def test_no_byte_of_it_commands_the_terminal(environment: dict[str, str], words: list[str]) -> None:
    argv = [sys.executable, "-m", "loratui.cli", *words]
    with Terminal(argv, size=(140, 50), environ={**environment, "TERM": "xterm-256color"}) as terminal:
        if words == ["attach"]:
            terminal.read_until(lambda received: b"markup" in received.partition(b"\x1b[?1049h")[2])
            terminal.press("\x03")
        terminal.wait()
        output = bytes(terminal.received).decode("utf-8", "replace")
    assert "the end" in output or words[0] in ("ls", "status")
    left = OURS.sub("", output)
    assert "\x1b" not in left, ascii(left[left.index("\x1b") :][:60])
    assert not set("\x07\x08\x90\x9b\x9c\u202e\u2066") & set(left)
    assert output.count("\x1b[?1049l") == (words == ["attach"])
    assert "\x1b[5;5H" not in output or words == ["attach"]
