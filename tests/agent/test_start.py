"""Starting an agent in the background: one, ready, watched over, whoever asks and however often."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from loratui_agent.process import identify, is_locked
from loratui_agent.start import answers
from loratui_protocol.framing import FrameFinder
from loratui_protocol.paths import AgentHome
from support.agent_process import wait_until

NONCE = "0123456789abcdef"


def launch(home: AgentHome, pythonpath: Path | None = None, *words: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "loratui_agent.cli", "start", "--home", str(home.path), "--nonce", NONCE, *words]
    environment = os.environ | ({"PYTHONPATH": str(pythonpath)} if pythonpath else {})
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment)


def answer_of(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    printed, _ = process.communicate(timeout=60)
    [frame] = FrameFinder(NONCE).feed(printed)
    return frame


def start(home: AgentHome, pythonpath: Path | None = None, *words: str) -> dict[str, Any]:
    return answer_of(launch(home, pythonpath, *words))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[AgentHome]:
    made = AgentHome(tmp_path / "home")
    yield made
    # Unwanted first, so that a reaper lets it be.
    made.status.unlink(missing_ok=True)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(made.path) in process.cmdline():
                process.kill()
    wait_until(lambda: not is_locked(made.lock) and not is_locked(made.reaper_lock), "the end of agent and reaper")


def test_whoever_asks_hears_of_it_once_it_answers_and_is_watched_over(home: AgentHome):
    told = start(home)
    assert told["started"] is True
    assert answers(home)
    assert is_locked(home.reaper_lock)
    assert told["token"] == home.token.read_text()
    assert told["socket"] == str(home.run / "agent.sock")
    assert os.getsid(told["pid"]) == told["pid"]
    assert os.getppid() != told["pid"]


def test_nothing_of_the_asker_stays_open_in_the_agent(home: AgentHome):
    # A descriptor of the SSH session that is inherited would keep that session from ever ending.
    told = start(home)
    opened = {str(path.readlink()) for path in Path(f"/proc/{told['pid']}/fd").iterdir() if path.is_symlink()}
    assert not any(name.startswith("pipe:") for name in opened)


def test_of_twelve_that_ask_at_once_all_hear_of_the_same_agent(home: AgentHome):
    told = [answer_of(process) for process in [launch(home) for _ in range(12)]]
    assert len({answer["pid"] for answer in told}) == 1
    assert [answer["started"] for answer in told].count(True) == 1
    assert len({answer["token"] for answer in told}) == 1


def test_an_agent_that_is_killed_is_replaced(home: AgentHome):
    first = start(home)
    home.status.unlink()
    os.kill(first["pid"], signal.SIGKILL)
    second = start(home)
    assert second["pid"] != first["pid"]
    assert second["token"] == first["token"]


def bundle_in(home: AgentHome, name: str) -> Path:
    """Make a bundle that is the installed code under a name of its own."""
    import loratui_agent
    import loratui_protocol

    folder = home.bundles / name
    folder.mkdir(parents=True)
    for package in (loratui_agent, loratui_protocol):
        root = Path(package.__path__[0])
        for path in root.rglob("*.py"):
            target = folder / root.name / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (folder / ".ok").touch()
    return folder


def test_an_idle_agent_of_an_earlier_version_makes_room(home: AgentHome):
    first = start(home, bundle_in(home, "aaa"))
    assert first["bundle"] == "aaa"
    second = start(home, bundle_in(home, "bbb"))
    assert (second["bundle"], second["started"]) == ("bbb", True)
    assert identify(first["pid"]) is None


def test_whoever_has_met_it_before_keeps_an_idle_agent_of_another_version(home: AgentHome):
    first = start(home, bundle_in(home, "aaa"))
    second = start(home, bundle_in(home, "bbb"), "--keep")
    assert (second["pid"], second["bundle"], second["started"]) == (first["pid"], "aaa", False)


def test_an_agent_that_has_work_is_kept_whatever_its_version(home: AgentHome):
    first = start(home, bundle_in(home, "aaa"))
    (home.jobs / "j").mkdir()
    (home.jobs / "j" / "state.json").write_text('{"state": "running"}')
    second = start(home, bundle_in(home, "bbb"))
    assert (second["pid"], second["bundle"], second["started"]) == (first["pid"], "aaa", False)


def test_old_versions_are_cleared_away_but_for_the_last(home: AgentHome):
    for age_s, name in ((300, "aaa"), (200, "bbb"), (100, "ccc")):
        marker = bundle_in(home, name) / ".ok"
        os.utime(marker, (time.time() - age_s,) * 2)
    start(home, bundle_in(home, "ddd"))
    assert sorted(path.name for path in home.bundles.iterdir()) == ["ccc", "ddd"]


def test_a_hung_agent_is_replaced(home: AgentHome):
    first = start(home)
    os.kill(first["pid"], signal.SIGSTOP)
    arguments = ["start", "--home", str(home.path), "--nonce", NONCE]
    hurried = "import loratui_agent.start as start; start.SILENT_TIMEOUT_S = 0.5; start._ANSWER_TIMEOUT_S = 0.2\n"
    program = hurried + f"from loratui_agent.cli import main; main({arguments!r})"
    second = answer_of(subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE))
    assert second["pid"] != first["pid"]
    assert answers(home)


def test_a_home_that_can_not_be_made_is_said_as_an_error(tmp_path: Path):
    (tmp_path / "file").touch()
    told = start(AgentHome(tmp_path / "file" / "home"))
    assert told["error"]["code"] == "agent.home"


def test_an_agent_that_can_not_start_says_why(tmp_path: Path):
    home = AgentHome(tmp_path / "home")
    home.run.mkdir(parents=True)
    home.token.mkdir()
    told = start(home)
    assert told["error"]["code"] == "agent.start"
    assert "Error" in told["error"]["what"]
