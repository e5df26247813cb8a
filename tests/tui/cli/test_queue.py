"""``queue`` as it is typed, against a real agent whose trainings are short."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loratui import settings
from loratui.cli.arguments import Arguments, build_parser
from loratui.cli.main import main
from loratui.sessions.host import SessionHost
from loratui.sessions.start_run import start_run
from loratui.store import Store
from loratui_protocol.messages import JobState
from support.agent_process import AgentProcess, running_agent, wait_until

SLOW = "steps = 100000\nstep_s = 0.002"
Said = pytest.CaptureFixture[str]


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AgentProcess]:
    for name in ("state", "config"):
        monkeypatch.setenv(f"LORATUI_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    with running_agent(tmp_path / "home") as started:
        yield started


def start(agent: AgentProcess, *names: str) -> dict[str, str]:
    """Start runs one after the other; return their ids once the first one trains."""
    host = SessionHost(settings.load())
    host.start()
    try:
        ids = {
            name: start_run(host, name=name, target="local", config_toml=SLOW, home=agent.home.path) for name in names
        }
        first = ids[names[0]]
        wait_until(lambda: host.view(first).state is JobState.RUNNING and host.view(first).step > 2, "its first steps")
    finally:
        host.close()
    return ids


def listed(said: Said) -> dict[str, dict[str, Any]]:
    """Return the runs of the one machine by their names."""
    assert main(["queue", "--json"]) == 0
    [line] = said.readouterr().out.splitlines()
    [queue] = json.loads(line)["queues"]
    assert queue["target"] == "local"
    return {run["name"]: run for run in queue["runs"]}


def refused(said: Said, code: str) -> str:
    errors = said.readouterr().err
    assert f"[{code}]" in errors
    return errors


def test_runs_are_listed_in_their_order_taken_out_and_put_back(agent: AgentProcess, capsys: Said) -> None:
    ids = start(agent, "first", "second", "third")
    runs = listed(capsys)
    assert list(runs) == ["first", "second", "third"]
    assert [run["state"] for run in runs.values()] == ["running", "queued", "queued"]
    assert [run["waiting"] for run in runs.values()] == [False, True, True]
    assert all(run["live"] for run in runs.values())
    assert runs["first"]["ends_in_s"] > 0

    assert main(["queue", "remove", "second"]) == 0
    assert f"loratui queue remove {ids['second']} --undo" in capsys.readouterr().out
    assert listed(capsys)["second"]["state"] == "stopped"
    assert main(["queue", "remove", "second", "--undo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"run": ids["second"], "name": "second", "queue": "put_back"}
    assert listed(capsys)["second"]["waiting"]

    assert main(["queue"]) == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.startswith("this machine, 2 waiting, $0.00 so far")
    assert [row.split()[2:4] for row in rows] == [["first", "running"], ["second", "queued"], ["third", "queued"]]


def test_what_trains_is_not_taken_out_and_only_what_was_taken_out_is_put_back(
    agent: AgentProcess, capsys: Said
) -> None:
    ids = start(agent, "first", "second")
    assert main(["queue", "remove", "first"]) == 1
    assert f"loratui stop {ids['first']}" in refused(capsys, "queue.not_waiting")
    assert main(["queue", "remove", "second", "--undo"]) == 1
    refused(capsys, "queue.not_removed")
    assert main(["stop", "first"]) == 0
    assert main(["queue", "remove", "first", "--undo"]) == 1
    assert f"loratui resume {ids['first']}" in refused(capsys, "queue.not_removed")


def test_names_are_text_alone(agent: AgentProcess, capsys: Said) -> None:
    start(agent, "first")
    with Store(settings.load().database) as store:
        store._database.execute("UPDATE runs SET name = ?", ("\x1b[2Jowned\n\u202egnp 日本",))
    assert main(["queue"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert "[2Jowned gnp 日本" in lines[1]


def test_where_nothing_waits_it_is_said_how_something_does(
    tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORATUI_STATE_DIR", str(tmp_path / "state"))
    assert main(["queue"]) == 0
    assert "loratui queue add" in capsys.readouterr().err
    assert main(["queue", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"queues": []}


def test_adding_is_training_that_nobody_follows() -> None:
    typed = ["a.toml", "b.toml", "--on", "cheapest", "--budget", "5", "--yes", "--accept", "upload.slow"]
    added, trained = Arguments(), Arguments()
    build_parser().parse_args(["queue", "add", *typed], namespace=added)
    build_parser().parse_args(["train", *typed, "--detach"], namespace=trained)
    assert vars(added) == vars(trained)
