"""A terminal or a pipe that nobody reads holds up the lines that go there, and nothing else."""

import fcntl
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import termios
import threading
import time
from array import array
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from loratui.domain.run import NUM_LOG_LINES
from loratui.settings import load
from loratui_protocol.config_file import to_toml
from support.agent_process import running_agent, wait_until
from support.local_cli import LocalCli, local_cli
from support.small_dataset import small_config, write_small_dataset
from support.terminal import Terminal

STEPS_PER_S = 200
STALLED_S = 10
LOG_CHARS = 8_000
RECORDS_A_STEP = 2
NUM_STEPS = STEPS_PER_S * STALLED_S
MOST_GROWTH_BYTES = 8 << 20
"""Half of what is said while nobody reads."""

pytestmark = pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="the size of a pipe is set as Linux does it")


class Reader:
    """A laptop that has the run in a store of its own, and follows it on something that is not read."""

    def __init__(self, cli: LocalCli, folder: Path) -> None:
        self.environ = {**cli.environment, "LORATUI_STATE_DIR": str(folder)}
        shutil.copytree(cli.folder / "state", folder)
        self._database = load(environ=self.environ).database

    def head(self) -> int:
        """Return how far the store's file is."""
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=10)) as store:
            return int(store.execute("SELECT head FROM runs").fetchone()[0])


def attach(*options: str) -> list[str]:
    return [sys.executable, "-m", "loratui.cli", "attach", *options]


def waiting_in(pipe: int) -> int:
    size = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, size)
    return size[0]


def resident_bytes(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def test_a_reader_that_stalls_holds_up_neither_the_store_nor_commands_and_gets_all_of_it_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"steps = 1000000\nstep_s = {1 / STEPS_PER_S}\ncheckpoint_every = 1000000\nlog_chars = {LOG_CHARS}"
    monkeypatch.setenv("STAND_IN", script)
    (tmp_path / "job.toml").write_text(to_toml(small_config(write_small_dataset(tmp_path / "pictures"))), "utf-8")
    with local_cli(tmp_path) as cli, running_agent(cli.home.path):
        assert cli.run("train", "job.toml", "--on", "local", "--yes", "--detach").process.returncode == 0
        plain, as_json = Reader(cli, tmp_path / "plain"), Reader(cli, tmp_path / "json")
        unread, written = os.pipe()
        fcntl.fcntl(unread, fcntl.F_SETPIPE_SZ, 4096)
        with (
            os.fdopen(unread, "rb") as pipe,
            subprocess.Popen(attach("--json"), env=as_json.environ, stdout=written, text=True) as json_client,
            Terminal(attach("--plain"), size=(200, 50), environ=plain.environ) as terminal,
        ):
            os.close(written)
            clients = {json_client.pid: as_json, terminal.pid: plain}
            # From then on what a run's view keeps has its full size, and both have been stalled for long.
            filled = RECORDS_A_STEP * (NUM_LOG_LINES + STEPS_PER_S)
            wait_until(lambda: all(client.head() > filled for client in clients.values()), "the first lines", 60)
            begun = {pid: (client.head(), resident_bytes(pid)) for pid, client in clients.items()}
            in_pipe = waiting_in(unread)
            assert in_pipe > 0
            more = RECORDS_A_STEP * NUM_STEPS
            wait_until(
                lambda: all(client.head() > begun[pid][0] + more for pid, client in clients.items()), "the others", 60
            )
            started_s = time.monotonic()
            assert cli.run("pause").process.returncode == 0
            assert time.monotonic() - started_s < STALLED_S
            assert json.loads(cli.run("status", "--json").lines[0])["state"] == "paused"
            assert waiting_in(unread) == in_pipe
            assert all(resident_bytes(pid) - before < MOST_GROWTH_BYTES for pid, (_, before) in begun.items())
            assert cli.run("stop").process.returncode == 0
            lines: list[bytes] = []
            reader = threading.Thread(target=lambda: lines.extend(pipe))
            reader.start()
            assert terminal.wait(60) == 0
            assert json_client.wait(60) == 0
            reader.join()

    events = [json.loads(line) for line in lines]
    numbers = [event["seq"] for event in events if event["event"] not in ("artifact", "done", "report")]
    assert numbers == sorted(numbers)
    assert sorted(event["seq"] for event in events if event["event"] != "report") == list(range(1, len(events)))
    steps = [event["step"] for event in events if event["event"] == "step"]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) > NUM_LOG_LINES + NUM_STEPS
    told = bytes(terminal.received).decode("utf-8").splitlines()
    assert sum("x" * LOG_CHARS in line for line in told) == len(steps)
    told_steps = [int(found[1]) for line in told if (found := re.search(r"step (\d+) of", line))]
    assert told_steps == sorted(set(told_steps))
    assert "report: " in told[-2]
    assert "to go on: " in told[-1]
