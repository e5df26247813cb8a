"""Commands for a run that nobody answers: they end, and say what is known."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui import settings
from loratui.cli.main import main
from loratui.store import Store, StoredRun
from loratui_protocol.ids import new_id
from loratui_protocol.messages import JobState, State, Step
from support.fake_agent import FakeAgent, FakeJob, fake_agent


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAgent]:
    monkeypatch.setenv("LORATUI_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("LORATUI_STATE_DIR", str(tmp_path / "state"))
    with fake_agent(tmp_path / "home") as started:
        yield started


def running(agent: FakeAgent) -> str:
    run = StoredRun(
        id=new_id(), name="n", target="local", created_ts=1.0, config_toml="", home=agent.home, is_ours=False
    )
    with Store(settings.load().database) as store:
        store.add_run(run)
    agent.jobs[run.id] = FakeJob()
    step = Step(step=3, total=9, epoch=1, loss=0.1, lr=0.1, it_s=1.0, eta_s=1.0)
    agent.emit(run.id, State(state=JobState.RUNNING), step)
    return run.id


def test_command_that_is_carried_out_says_so(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stop", running(agent)]) == 0
    assert "n: stop done" in capsys.readouterr().out


@pytest.mark.parametrize("limit", ["SILENT_S", "LONGEST_S"])
def test_command_that_nobody_answers_ends_with_what_is_known(
    agent: FakeAgent, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    run_id = running(agent)
    agent.silent_commands = {"stop"}
    if limit == "SILENT_S":
        # It goes silent: after some seconds the link is stale.
        monkeypatch.setattr("loratui.cli.control.SILENT_S", 1.0)
    else:
        monkeypatch.setattr("loratui.cli.control.LONGEST_S", 1.0)
    assert main(["stop", run_id]) == 4
    said = capsys.readouterr().err
    assert "agent.silent" in said
    assert "running at step 3 of 9" in said
    assert "may be carried out all the same" in said
