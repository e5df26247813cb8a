"""The real program on a real pty, told by an agent that puts escapes and markup into every field of every event."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui import settings
from loratui.sessions.host import SessionHost
from loratui.sessions.start_run import start_run
from loratui_protocol import messages
from loratui_protocol.messages import JobState, State
from support.agent_process import wait_until
from support.fake_agent import FakeAgent, fake_agent
from support.hostile_words import HOSTILE, hostile_events, left_of_lines, left_of_screen
from support.terminal import Terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys on Windows")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    with fake_agent(tmp_path / "home") as started:
        yield started


def client_environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "LORATUI_CONFIG_DIR": str(folder),
        "LORATUI_STATE_DIR": str(folder / "state"),
        "LORATUI_HOME": str(folder / "home"),
    }


@pytest.fixture
def environment(tmp_path: Path, agent: FakeAgent) -> dict[str, str]:
    """Return the environment of a client that knows the hostile run."""
    environ = client_environment(tmp_path)
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
        output = bytes(terminal.received)
    assert b"the end" in output or words[0] in ("ls", "status")
    assert (left_of_screen if words == ["attach"] else left_of_lines)(output) == []


@pytest.mark.parametrize("words", [["attach"], ["attach", "--plain"], ["attach", "--json"]], ids=" ".join)
@pytest.mark.parametrize("way", ["heartbeat", "refusal", "turned-away"])
def test_nor_does_a_word_of_it_outside_the_journal(
    tmp_path: Path, agent: FakeAgent, way: str, words: list[str]
) -> None:
    environ = client_environment(tmp_path)
    run_id = start(environ, agent)
    agent.greeting = greeting_of(run_id)
    argv = [sys.executable, "-m", "loratui.cli", *words]
    with Terminal(argv, size=(140, 50), environ={**environ, "TERM": "xterm-256color"}) as terminal:
        terminal.read_until(lambda _: len(agent.follows) == 2)
        if way == "heartbeat":
            agent.beat(messages.Heartbeat(now_ts=1000.0, telemetry=telemetry(), active=job_status(run_id)))
            agent.emit(run_id, State(state=JobState.FAILED, reason=HOSTILE, detail=HOSTILE))
        elif way == "refusal":
            agent.greeting = messages.Refused(id=HOSTILE, code=f"agent.{HOSTILE}", what=HOSTILE, fix=HOSTILE)
            agent.cut()
        else:
            agent.turns_away = HOSTILE
            agent.cut()
        if way == "heartbeat":
            terminal.read_until(lambda received: b"owned" in received)
        else:
            terminal.read_until(lambda _: agent.num_turned_away >= 3)
        if words == ["attach"] or way != "heartbeat":
            terminal.press("\x03")
        terminal.wait()
        output = bytes(terminal.received)
    assert (left_of_screen if words == ["attach"] else left_of_lines)(output) == []


@pytest.mark.parametrize(
    "words", [["status"], ["status", "--json"], ["ls"], ["pause"], ["attach", "x\x1b[2J"]], ids=ascii
)
def test_nor_does_its_greeting_or_refusal_in_commands_that_only_ask(
    tmp_path: Path, agent: FakeAgent, words: list[str]
) -> None:
    environ = client_environment(tmp_path)
    run_id = start(environ, agent)
    agent.greeting = greeting_of(run_id)
    agent.refuses = HOSTILE
    argv = [sys.executable, "-m", "loratui.cli", *words]
    with Terminal(argv, size=(140, 50), environ={**environ, "TERM": "xterm-256color"}) as terminal:
        terminal.wait()
        output = bytes(terminal.received)
    assert b"owned" in output or words != ["pause"]
    assert left_of_lines(output) == []


def start(environ: dict[str, str], agent: FakeAgent) -> str:
    """Start a run that the agent then has."""
    host = SessionHost(settings.load({}, environ))
    host.start()
    run_id = start_run(host, name="n", target="local", config_toml="", home=agent.home)
    host.close()
    return run_id


def greeting_of(run_id: str) -> messages.HelloOk:
    return messages.HelloOk(agent_version=HOSTILE, now_ts=1000.0, features=[HOSTILE], jobs=[job_status(run_id)])


def job_status(run_id: str) -> messages.JobStatus:
    return messages.JobStatus(job=run_id, name=HOSTILE, state=JobState.RUNNING, step=1, total=2)


def telemetry() -> messages.Telemetry:
    return messages.Telemetry(source=HOSTILE, gpu_name=HOSTILE, gpu_util_pct=1.0, cpu_pct=1.0, vram_total_gib=1.0)
