"""Two people follow one run from two machines: both see everything, and who asked for what."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from loratui import settings
from loratui.sessions.host import SessionHost
from loratui.sessions.start_run import start_run
from loratui.store import Store
from loratui_protocol.messages import CommandResult
from support.agent_process import AgentProcess, running_agent, wait_until

LONG = "steps = 100000\nstep_s = 0.01\ncheckpoint_every = 1000"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    with running_agent(tmp_path / "home") as started:
        yield started


def laptop(folder: Path, author: str) -> SessionHost:
    here = settings.load({"state_dir": str(folder), "author": author}, {"LORATUI_CONFIG_DIR": str(folder)})
    host = SessionHost(here)
    host.start()
    return host


def authors(folder: Path, run_id: str) -> list[tuple[str, str]]:
    with Store(folder / "loratui.sqlite3") as store:
        events = [record.event for record in store.records(run_id)]
    results = [event for event in events if isinstance(event, CommandResult) and event.command in ("pause", "stop")]
    return [(event.command, event.author) for event in results]


def test_both_see_every_command_with_its_author_and_fetch_the_same_files(agent: AgentProcess, tmp_path: Path) -> None:
    first, second = laptop(tmp_path / "first", "anna"), laptop(tmp_path / "second", "ben")
    run_id = start_run(first, name="n", target="local", config_toml=LONG, home=agent.home.path)
    with Store(tmp_path / "first" / "loratui.sqlite3") as store:
        run = replace(store.run(run_id), is_ours=False, epoch="", head=0)
    second.begin(run).result(20)
    wait_until(lambda: second.view(run_id).step > 2, "the other to follow")
    assert first.send(run_id, "pause").result(20).ok
    assert second.send(run_id, "resume").result(20).ok
    assert second.send(run_id, "stop").result(20).ok
    for host in (first, second):
        wait_until(lambda host=host: host.view(run_id).is_settled, "the end, and the file")
    views = [first.view(run_id), second.view(run_id)]
    assert views[0].artifacts == views[1].artifacts
    assert views[0].downloaded["lora"] != views[1].downloaded["lora"]
    assert views[0].downloaded["lora"].read_bytes() == views[1].downloaded["lora"].read_bytes()
    for host in (first, second):
        host.close()
    told = [authors(tmp_path / name, run_id) for name in ("first", "second")]
    assert told[0] == told[1] == [("pause", "anna"), ("stop", "ben")]
