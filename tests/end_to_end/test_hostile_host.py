"""The real program on a real pty, before hosts that put escapes into everything that a host can say."""

import contextlib
import json
import os
import shlex
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from loratui_protocol import messages
from loratui_protocol.config_file import to_toml
from loratui_protocol.messages import JobState, State
from support import hostile_host
from support.agent_process import wait_until
from support.fake_agent import FakeAgent, fake_agent
from support.hostile_host import RUN
from support.hostile_words import HOSTILE, SHORT, hostile_events, left_of_lines, left_of_screen
from support.remote_cli import VENV_BIN
from support.small_dataset import small_config, write_small_dataset
from support.sshd import USER, Sshd, needs_sshd, sshd
from support.terminal import Terminal

pytestmark = needs_sshd

NOISE = f"printf %s {shlex.quote(HOSTILE)}; printf %s {shlex.quote(HOSTILE)} >&2\n"


class Laptop:
    """A user's machine: everything is run on a terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._key = folder / "id"
        self.made = asyncssh.generate_private_key("ssh-ed25519")
        self.made.write_private_key(str(self._key))
        config = small_config(write_small_dataset(folder / "pictures"), rights_statement="mine")
        (folder / "job.toml").write_text(to_toml(config), "utf-8")
        self._environ = {
            "LORATUI_CONFIG_DIR": str(folder / "config"),
            "LORATUI_STATE_DIR": str(folder / "state"),
            "LORATUI_HOME": str(folder / "home"),
            "TERM": "xterm-256color",
        }

    def words(self, command: str, target: str) -> list[str]:
        """Return a command for the host, as it is written."""
        identity = ["--identity", str(self._key)]
        if command == "clean":
            return ["clean", target, *identity]
        command, *options = command.split()
        config = [str(self.folder / "job.toml")] if command == "train" else []
        return [command, *config, "--on", target, *identity, *options]

    def terminal(self, words: Sequence[str]) -> Terminal:
        argv = [sys.executable, "-m", "loratui.cli", *words]
        return Terminal(argv, size=(140, 50), environ=self._environ)

    def output(self, words: Sequence[str], answer: str = "y") -> bytes:
        """Run a command to its end and return what it wrote; its questions are answered alike."""
        with self.terminal(words) as terminal:
            # The terminal keeps it until somebody asks.
            terminal.press(f"{answer}\n")
            assert terminal.wait() != 0
            return bytes(terminal.received)


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path / "laptop")


@contextlib.contextmanager
def hostile_sshd(laptop: Laptop, folder: Path, **variant: object) -> Iterator[Sshd]:
    with sshd(folder, banner=HOSTILE * 3, **variant) as server:
        server.authorize(laptop.made)
        yield server


COMMANDS = ("train --yes", "attach", "ls", "clean")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_fails_with_escapes_is_told_without_them(laptop: Laptop, tmp_path: Path, command: str) -> None:
    script = tmp_path / "forced.sh"
    script.write_text(f"{NOISE}printf '\\233\\061m\\220\\377' >&2\nexit 3\n", "utf-8")
    with hostile_sshd(laptop, tmp_path / "s", forced=f"/bin/sh {script}") as server:
        output = laptop.output(laptop.words(command, server.target))
    assert b"[host.probe]" in output
    assert b"owned" in output
    assert left_of_lines(output) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_so_is_the_banner_of_a_host_that_lets_nobody_in(laptop: Laptop, tmp_path: Path, command: str) -> None:
    with sshd(tmp_path / "s", banner=HOSTILE * 3) as server:
        output = laptop.output(laptop.words(command, server.target))
    assert b"[ssh.auth]" in output
    assert left_of_lines(output) == []


def fake_programs(folder: Path, **printed: str) -> dict[str, str]:
    """Put programs that print escapes before all others; return the environment that finds them."""
    folder.mkdir()
    for name, text in printed.items():
        path = folder / name.replace("_", "-")
        path.write_text(
            f"#!/bin/sh\nprintf %s {shlex.quote(HOSTILE)} >&2\nprintf '%s\\n' {shlex.quote(text)}\n", "utf-8"
        )
        path.chmod(0o755)
    return {"PATH": os.pathsep.join((str(folder), str(VENV_BIN), "/usr/bin", "/bin"))}


def test_nor_do_the_names_of_a_machine_and_its_gpu(laptop: Laptop, tmp_path: Path) -> None:
    environment = fake_programs(tmp_path / "bin", uname=f"Linux{HOSTILE}", id=HOSTILE)
    with hostile_sshd(laptop, tmp_path / "one", rc=NOISE, environment=environment) as server:
        output = laptop.output(laptop.words("train", server.target))
    assert b"[host.system] the host is Linux" in output
    assert b"owned" in output
    assert left_of_lines(output) == []

    old_driver = f"440.1, 24564, 8.9, NVIDIA{HOSTILE}"
    environment = fake_programs(tmp_path / "bin2", id=HOSTILE, nvidia_smi=old_driver, uv=f"uv {HOSTILE}")
    with hostile_sshd(laptop, tmp_path / "two", rc=NOISE, environment=environment) as server:
        output = laptop.output(laptop.words("train", server.target))
    assert b"[host.driver] the NVIDIA driver is 440.1" in output
    assert b"owned" in output
    assert left_of_lines(output) == []


def test_nor_does_what_a_real_agent_finds_in_a_home_that_is_cleaned(laptop: Laptop, tmp_path: Path) -> None:
    environment = fake_programs(tmp_path / "bin", id=HOSTILE)
    with hostile_sshd(laptop, tmp_path / "s", rc=NOISE, environment=environment) as server:
        job = server.home / ".loratui" / "jobs" / RUN
        (job / "artifacts").mkdir(parents=True)
        (job / "artifacts" / "\x1b[2J").write_bytes(b"x")
        (job / "state.json").write_text(json.dumps({"state": HOSTILE, "name": HOSTILE, "acked": [HOSTILE]}), "utf-8")
        with laptop.terminal(laptop.words("clean", server.target)) as terminal:
            terminal.read_until(lambda received: b"[y/N]" in received)
            terminal.press("y\n")
            assert terminal.wait() == 0
            output = bytes(terminal.received)
        assert not (server.home / ".loratui").exists()
    assert b"owned" in output
    assert left_of_lines(output) == []


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    with fake_agent(tmp_path / "a") as started:
        started.greeting = replace(greeting(), agent_version=HOSTILE)
        yield started


@pytest.fixture
def liar(laptop: Laptop, agent: FakeAgent, tmp_path: Path) -> Iterator[Sshd]:
    """A machine all of whose programs lie, with a lying agent."""
    with hostile_sshd(laptop, tmp_path / "s", forced=hostile_host.forced(agent.home)) as server:
        yield server


def greeting() -> messages.HelloOk:
    status = messages.JobStatus(job=RUN, name=HOSTILE, state=JobState.RUNNING, step=1, total=2)
    return messages.HelloOk(agent_version=HOSTILE, now_ts=1000.0, features=[HOSTILE], jobs=[status])


def test_nor_does_a_list_of_runs_or_of_remains(laptop: Laptop, liar: Sshd) -> None:
    with laptop.terminal(laptop.words("ls", liar.target)) as terminal:
        assert terminal.wait() == 0
        output = bytes(terminal.received)
    assert RUN.encode() in output
    assert b"owned" in output
    assert left_of_lines(output) == []
    output = laptop.output(laptop.words("clean", liar.target))
    assert b"[clean.left]" in output
    assert output.count(b"owned") > 3
    assert left_of_lines(output) == []


@pytest.mark.parametrize("command", ["train", "train --plain", "train --json"])
def test_nor_does_a_run_there_from_its_first_question_to_its_end(
    laptop: Laptop, liar: Sshd, agent: FakeAgent, command: str
) -> None:
    with laptop.terminal(laptop.words(command, liar.target)) as terminal:
        terminal.read_until(lambda received: b"Start? [y/N]" in received)
        asked = bytes(terminal.received)
        terminal.press("y\n")
        terminal.read_until(lambda _: any(isinstance(each, messages.Stop) for each in list(agent.commands)))
        [run_id] = agent.jobs
        agent.emit(run_id, *hostile_events(), State(state=JobState.FAILED, reason=HOSTILE, detail=HOSTILE))
        if command == "train":
            terminal.read_until(lambda received: b"markup" in received.partition(b"\x1b[?1049h")[2])
            terminal.press("\x03")
        terminal.wait()
        output = bytes(terminal.received)
    assert asked.count(b"owned") >= 2
    assert left_of_lines(asked) == []
    left_of = left_of_screen if command == "train" else left_of_lines
    assert left_of(output[len(asked) :]) == []


@pytest.mark.parametrize("command", ["attach", "attach --plain", "attach --json"])
def test_nor_does_a_run_that_is_taken_up(laptop: Laptop, liar: Sshd, agent: FakeAgent, command: str) -> None:
    agent.add_job(RUN)
    agent.emit(RUN, *hostile_events(), State(state=JobState.FAILED, reason=HOSTILE, detail=HOSTILE))
    with laptop.terminal(laptop.words(command, liar.target)) as terminal:
        if command == "attach":
            terminal.read_until(lambda received: b"markup" in received.partition(b"\x1b[?1049h")[2])
            terminal.press("\x03")
        terminal.wait()
        output = bytes(terminal.received)
    assert b"owned" in output
    before, screen, shown = output.partition(b"\x1b[?1049h")
    assert left_of_lines(before) == []
    assert left_of_screen(screen + shown) == [] if screen else command != "attach"


@contextlib.contextmanager
def server_that_says(said: bytes) -> Iterator[int]:
    """Listen; whoever comes is told something and left."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.sendall(said)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize("command", ["train --yes", "clean"])
@pytest.mark.parametrize(
    "said",
    [
        HOSTILE.encode() + b"\r\nSSH-2.0-x\r\n",
        b"SSH-2.0-" + SHORT.encode() + b"\r\n",
        b"SSH-1.5-" + HOSTILE.encode() + b"\r\n",
        b"\x9b31m\x90\xff\r\n" * 3,
    ],
    ids=["lines-before", "version", "old", "bytes"],
)
def test_nor_does_what_is_no_ssh_server(laptop: Laptop, command: str, said: bytes) -> None:
    with server_that_says(said) as port:
        output = laptop.output(laptop.words(command, f"ssh://{USER}@127.0.0.1:{port}"))
    assert b"[ssh." in output
    assert left_of_lines(output) == []


def test_a_lie_about_the_upload_is_told_without_its_escapes(laptop: Laptop, liar: Sshd, agent: FakeAgent) -> None:
    with laptop.terminal(laptop.words("train --plain --yes", liar.target)) as terminal:
        terminal.read_until(lambda received: b"the run is stopped" in received)
        terminal.press("\x03")
        terminal.wait()
        output = bytes(terminal.received)
    wait_until(lambda: any(isinstance(each, messages.Stop) for each in agent.commands), "the stop")
    _, told, upload = output.partition(b"run ")
    assert told
    assert b"owned" in upload
    assert left_of_lines(output) == []
