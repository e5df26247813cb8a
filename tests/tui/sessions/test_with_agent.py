"""The client against the agent as it is: its own process, journal and trainer processes; only the training is short."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui import settings
from loratui.remote import local_agent
from loratui.sessions.host import SessionHost
from loratui.sessions.start_run import start_run
from loratui.settings import Settings
from loratui.store import Store
from loratui_protocol.errors import LoratuiError
from loratui_protocol.messages import JobState, Record, Step
from support import following_client
from support.agent_process import AgentProcess, running_agent, wait_until
from support.stand_in_trainer import LORA

FAST = "steps = 40\nstep_s = 0.001"
SLOW = "steps = 100000\nstep_s = 0.002"


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return settings.load({"state_dir": str(tmp_path / "state")}, {"LORATUI_CONFIG_DIR": str(tmp_path)})


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    with running_agent(tmp_path / "home") as started:
        yield started
        for another in local_agent._STARTED:
            another.terminate()
            another.wait()


@pytest.fixture
def host(here: Settings, agent: AgentProcess) -> Iterator[SessionHost]:
    """Ends before the agent does, lest it starts one more."""
    started = SessionHost(here)
    started.start()
    yield started
    started.close()


def start(host: SessionHost, agent: AgentProcess, script: str) -> str:
    return start_run(
        host, name="n", target="local", config_toml=script, home=agent.home.path, price_microusd_per_h=360_000
    )


def records(here: Settings, run_id: str) -> list[Record]:
    with Store(here.database) as store:
        return list(store.records(run_id))


def steps(here: Settings, run_id: str) -> list[int]:
    return [record.event.step for record in records(here, run_id) if isinstance(record.event, Step)]


def is_whole(history: list[Record]) -> bool:
    return [record.seq for record in history] == list(range(1, len(history) + 1))


def test_run_is_trained_followed_and_brought_home(host: SessionHost, agent: AgentProcess, here: Settings) -> None:
    run_id = start(host, agent, FAST)
    wait_until(lambda: host.view(run_id).is_settled, "the end")
    view = host.view(run_id)
    assert view.state is JobState.DONE
    assert view.series.steps == list(range(1, 41))
    assert view.downloaded["lora"].read_bytes() == LORA
    assert view.spent_microusd > 0
    assert is_whole(records(here, run_id))
    with Store(here.database) as store:
        assert store.run(run_id).state is JobState.DONE
        assert store.costs(run_id)


def test_commands_reach_the_trainer_and_their_results_come_back(host: SessionHost, agent: AgentProcess) -> None:
    run_id = start(host, agent, SLOW)
    wait_until(lambda: host.view(run_id).step > 5, "training")
    assert host.send(run_id, "pause").result(10).ok
    wait_until(lambda: host.view(run_id).state is JobState.PAUSED, "the pause")
    assert host.send(run_id, "resume").result(10).ok
    assert not host.send(run_id, "extend", 60).result(10).ok
    assert host.send(run_id, "stop").result(10).ok
    wait_until(lambda: host.view(run_id).is_settled, "the end")
    assert host.view(run_id).state is JobState.STOPPED
    assert host.view(run_id).downloaded["lora"].exists()


def test_agent_that_is_killed_is_started_again_and_the_history_stays_whole(
    host: SessionHost, agent: AgentProcess, here: Settings
) -> None:
    run_id = start(host, agent, SLOW)
    wait_until(lambda: host.view(run_id).step > 20, "training")
    trainer = agent.trainer(run_id)
    agent.kill()
    seen = host.view(run_id).step
    wait_until(lambda: host.view(run_id).step > seen + 50, "more training, told by a new agent")
    assert agent.trainer(run_id) == trainer
    assert host.send(run_id, "stop").result(10).ok
    wait_until(lambda: host.view(run_id).is_settled, "the end")
    history = steps(here, run_id)
    assert history == list(range(1, len(history) + 1))
    assert is_whole(records(here, run_id))


def test_client_killed_and_started_again_shows_the_whole_history(
    host: SessionHost, agent: AgentProcess, here: Settings
) -> None:
    run_id = start(host, agent, SLOW)
    host.close()
    for _ in range(2):
        before = len(records(here, run_id))
        argv = [sys.executable, following_client.__file__, str(here.state_dir), run_id]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as client:
            wait_until(lambda before=before: len(records(here, run_id)) > before + 20, "records")  # type: ignore[misc]
            client.kill()
        assert is_whole(records(here, run_id))
    again = SessionHost(here)
    again.start()
    again.follow(run_id)
    seen = again.view(run_id).last_seq
    assert seen == len(records(here, run_id)) or seen > 20
    assert again.send(run_id, "stop").result(10).ok
    wait_until(lambda: again.view(run_id).is_settled, "the end")
    again.close()
    history = steps(here, run_id)
    assert history == list(range(1, len(history) + 1))
    assert again._views[run_id].series.steps == history


def test_run_that_can_not_be_trained_says_why(host: SessionHost, agent: AgentProcess) -> None:
    run_id = start(host, agent, 'fail_code = "dataset.empty"')
    wait_until(lambda: host.view(run_id).is_settled, "the end")
    view = host.view(run_id)
    assert (view.state, view.reason) == (JobState.FAILED, "dataset.empty")
    assert "it can't be trained" in view.detail


def test_request_that_the_agent_refuses_leaves_no_run(host: SessionHost, agent: AgentProcess, here: Settings) -> None:
    with pytest.raises(LoratuiError, match=r"job\.invalid"):
        start_run(host, name="n", target="local", config_toml=FAST, home=agent.home.path, max_runtime_s=-1.0)
    with Store(here.database) as store:
        assert store.runs() == []
