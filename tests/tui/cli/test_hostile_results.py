"""What a hostile agent says of a run reaches no file but the run's own, and breaks no list."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from loratui import settings
from loratui.store import Store, StoredRun
from loratui_protocol.ids import new_id
from loratui_protocol.messages import Event, HelloOk, JobState, JobStatus, State, Step
from support.fake_agent import FakeAgent, FakeJob, fake_agent
from support.files import artifact_of, safetensors
from support.local_cli import LocalCli, local_cli

STEP = Step(step=1, total=1, epoch=1, loss=0.5, lr=1e-4, it_s=1.0, eta_s=0.0)
DONE = State(state=JobState.DONE)
LORA = safetensors()


@dataclass
class There:
    """A command line, and the agent that it knows one run of."""

    cli: LocalCli
    agent: FakeAgent

    @property
    def preferences(self) -> settings.Settings:
        return settings.load({}, self.cli.environment)

    def know(self, name: str = "n", created_ts: float = 1.0, home: Path | None = None) -> str:
        """Remember a run that was found there."""
        run = StoredRun(
            id=new_id(),
            name=name,
            target="local",
            created_ts=created_ts,
            config_toml="",
            home=home or self.agent.home,
            is_ours=False,
        )
        with Store(self.preferences.database) as store:
            store.add_run(run)
        return run.id

    def say(self, run_id: str, *events: Event) -> None:
        self.agent.jobs[run_id] = FakeJob()
        self.agent.emit(run_id, *events)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[There]:
    with local_cli(tmp_path) as cli, fake_agent(cli.home.path) as agent:
        yield There(cli, agent)


@pytest.mark.parametrize("name", ["{tmp}/victim/pwn", "../../../victim/pwn", "..", "x" * 300, "-o"])
def test_report_stays_in_the_runs_folder_whatever_the_run_is_called(there: There, tmp_path: Path, name: str) -> None:
    (tmp_path / "victim").mkdir()
    run_id = there.know(name.format(tmp=tmp_path))
    there.say(run_id, STEP, artifact_of(LORA), DONE)
    there.agent.jobs[run_id].files["lora"] = LORA
    attach = there.cli.run("attach", run_id, "--json")
    assert attach.process.returncode == 0, attach.errors
    reports = list(tmp_path.rglob("*report.html*"))
    assert [path.parent for path in reports] == [there.preferences.run_folder(run_id)]
    assert attach.events()[-1]["path"] == str(reports[0])


@pytest.mark.parametrize("lines", ["--plain", "--json"])
def test_run_that_is_done_without_its_lora_here_says_so_and_is_no_success(there: There, lines: str) -> None:
    run_id = there.know("cat")
    there.say(run_id, STEP, artifact_of(LORA), DONE)
    attach = there.cli.run("attach", lines)
    assert attach.process.returncode == 1
    told = "\n".join(attach.errors)
    assert "[lora.missing]" in told
    assert "refused: artifact.unknown" in told
    assert str(there.agent.home / "jobs" / run_id / "artifacts") in told
    assert "loratui attach cat" in told
    if lines == "--json":
        assert attach.events()[-1]["event"] == "report"


def test_run_that_is_done_and_never_had_a_lora_is_no_success(there: There) -> None:
    there.say(there.know(), STEP, DONE)
    attach = there.cli.run("attach", "--plain")
    assert attach.process.returncode == 1
    assert any("[lora.missing]" in line for line in attach.errors)


def test_lora_that_nobody_wanted_here_is_not_missed(there: There) -> None:
    run_id = there.know()
    there.say(run_id, STEP, artifact_of(LORA), DONE)
    there.cli.environment["LORATUI_DOWNLOADS__POLICY"] = "none"
    assert there.cli.run("attach", "--plain").process.returncode == 0


@pytest.mark.parametrize("created_ts", [1e18, -1e18, float("inf")])
def test_list_survives_a_run_that_began_at_no_time(there: There, created_ts: float) -> None:
    run_id = there.know(created_ts=created_ts)
    assert run_id in there.cli.run("ls").lines[0]
    [listed] = json.loads(there.cli.run("ls", "--json").lines[0])
    assert listed["run"] == run_id


def test_agent_says_nothing_of_runs_that_are_elsewhere(there: There, tmp_path: Path) -> None:
    own, elsewhere = there.know(), there.know(home=tmp_path / "other")
    jobs = [JobStatus(job=run_id, name="n", state=JobState.DONE, step=9) for run_id in (own, elsewhere)]
    there.agent.greeting = HelloOk(agent_version="0", now_ts=1.0, features=[], jobs=jobs)
    listed = {each["run"]: each for each in json.loads(there.cli.run("ls", "--json").lines[0])}
    assert (listed[own]["state"], listed[own]["live"]) == ("done", True)
    assert (listed[elsewhere]["state"], listed[elsewhere]["live"]) == ("queued", False)
