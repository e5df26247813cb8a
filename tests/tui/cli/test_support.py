"""The support file of a real run: what helps is in it, what is secret is not."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loratui import settings
from loratui.cli.main import main
from loratui.sessions.host import SessionHost
from loratui.sessions.start_run import start_run
from loratui.store import Store, StoredRun
from loratui_protocol.config_file import to_toml
from loratui_protocol.ids import new_id
from loratui_protocol.messages import GetArtifact, JobState, Log, State
from loratui_protocol.subsets import DatasetConfig, Subset
from loratui_protocol.support import SUPPORT_FILES
from support.agent_process import AgentProcess, running_agent, wait_until
from support.fake_agent import FakeAgent, FakeJob, fake_agent
from support.protocol_strategies import plain_config

CANARY = "c4n4ry-4pi-k3y-0f-th3-l4pt0p"


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AgentProcess]:
    monkeypatch.setenv("LORATUI_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("LORATUI_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LORATUI_VAST_API_KEY", CANARY)
    monkeypatch.chdir(tmp_path)
    with running_agent(tmp_path / "home") as started:
        yield started


def trained(agent: AgentProcess) -> str:
    host = SessionHost(settings.load())
    host.start()
    # The stand-in knows no prompts: they are put where the client keeps the config.
    run_id = start_run(
        host,
        name="n",
        target="local",
        config_toml="steps = 5\nlog_chars = 20",
        home=agent.home.path,
        on_done='run:echo "my own words"',
    )
    wait_until(lambda: host.view(run_id).is_settled, "the run")
    host.close()
    return run_id


def files_in(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_file_has_the_journal_and_the_logs_of_the_box_and_no_secret(
    agent: AgentProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = trained(agent)
    with (agent.home.job(run_id) / "log").open("a") as log:
        log.write(f"Authorization: Bearer {CANARY}\nthe key is {CANARY}\n\x1b]52;c;x\x07 escaped\n")
    assert main(["support", "n"]) == 0
    path = tmp_path / f"loratui-support-{run_id}.zip"
    assert capsys.readouterr().out.strip() == path.name
    assert path.stat().st_mode & 0o077 == 0
    files = files_in(path)
    assert {"README.txt", "about.json", "settings.txt", "journal.jsonl"} <= files.keys()
    assert {"box/trainer.log", "box/agent.log", "box/state.json", "box/exit.json"} <= files.keys()
    events = [json.loads(line) for line in files["journal.jsonl"].splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert json.loads(files["about.json"])["state"] == "done"
    everything = "".join(files.values())
    assert CANARY not in everything
    assert agent.home.token.read_text() not in everything
    assert "\x1b" not in everything
    assert "the key is [secret]" in files["box/trainer.log"]
    assert json.loads(files["box/state.json"])["on_done"] == "run:[command]"


def test_box_that_can_not_be_reached_costs_only_its_logs(
    agent: AgentProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loratui.cli.support.REACH_TIMEOUT_S", 1.0)
    trained(agent)
    agent.kill()
    (tmp_path / "home" / "run" / "agent.sock").unlink(missing_ok=True)
    (tmp_path / "home" / "run").chmod(0o700)
    (tmp_path / "home").rename(tmp_path / "elsewhere")
    (tmp_path / "home").write_text("in the way")
    try:
        assert main(["support", "--out", str(tmp_path / "deep" / "s.zip")]) == 0
        assert "logs of the box are not in it: box/trainer.log, " in capsys.readouterr().err
        files = files_in(tmp_path / "deep" / "s.zip")
        assert files["journal.jsonl"]
        assert json.loads(files["about.json"])["missing"]
    finally:
        (tmp_path / "home").unlink()
        (tmp_path / "elsewhere").rename(tmp_path / "home")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAgent]:
    monkeypatch.setenv("LORATUI_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("LORATUI_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    with fake_agent(tmp_path / "home") as started:
        yield started


def known(agent: FakeAgent, **fields: Any) -> StoredRun:
    """Have a run that is over here and at the agent."""
    run = StoredRun(
        **{"id": new_id(), "name": "n", "target": "local", "created_ts": 1.0, "config_toml": "", "home": agent.home}
        | fields
    )
    with Store(settings.load().database) as store:
        store.add_run(run)
    agent.jobs[run.id] = FakeJob(files={name: f"{name} says".encode() for name in SUPPORT_FILES})
    agent.emit(run.id, State(state=JobState.DONE))
    return run


def supported(run: StoredRun) -> tuple[dict[str, str], list[str]]:
    """Return the files, and what is said to be missing."""
    assert main(["support", run.id]) == 0
    files = files_in(Path(f"loratui-support-{run.id}.zip"))
    return files, json.loads(files["about.json"])["missing"]


def test_link_that_breaks_in_the_middle_costs_only_what_has_not_come(fake: FakeAgent) -> None:
    run = known(fake)
    last = list(SUPPORT_FILES)[3]

    def cut(request: GetArtifact, content: bytes) -> bytes:
        if request.artifact_id == last:
            fake._loop.call_soon(lambda: [each.transport.abort() for each in list(fake._connections)])
            return b""
        return content

    fake.spoil_file = cut
    files, missing = supported(run)
    assert files["box/trainer.log"] == "support:trainer.log says"
    [line] = [line for line in missing if "box/" in line]
    assert f"box/{last.partition(':')[2]}" in line
    assert "box/trainer.log" not in line
    assert "broke" in line


@pytest.mark.parametrize(
    "prompts", [("a [red] cat", "my daughter"), ("it's ]", 'my "daughter" = 1'), ("\n[x]\n", "daughter")]
)
def test_prompts_and_what_the_file_is_to_say_are_left_out(fake: FakeAgent, prompts: tuple[str, ...]) -> None:
    subset = Subset(image_dir="/data", class_tokens="my daughter")
    datasets = (DatasetConfig(subsets=(subset,)),)
    words = ("title", "author", "description", "license", "tags")
    said: dict[str, Any] = {f"metadata_{word}": "my daughter" for word in words}
    said |= dict.fromkeys(("trigger_word", "training_comment", "rights_statement"), "my daughter's")
    config = plain_config(sample_prompts=prompts, network_dim=7, datasets=datasets, **said)
    files, missing = supported(known(fake, config_toml=to_toml(config)))
    assert missing == []
    assert "daughter" not in "".join(files.values())
    assert "network_dim = 7" in files["config.toml"]


def test_config_whose_prompts_can_not_be_told_apart_is_left_out_and_that_is_said(fake: FakeAgent) -> None:
    files, missing = supported(known(fake, config_toml='sample_prompts = ["my daughter"]\nunknown = "my daughter"'))
    assert "config.toml" not in files
    assert "daughter" not in "".join(files.values())
    assert missing == ["config.toml: its prompts can't be taken out [config.unknown_key]"]


def test_run_of_another_machine_comes_without_its_config_and_says_so(fake: FakeAgent) -> None:
    files, [line] = supported(known(fake, is_ours=False))
    assert "config.toml" not in files
    assert "the machine that started this run has it" in line


def test_who_and_where_somebody_is_stays_out_whoever_wrote_it(fake: FakeAgent) -> None:
    run = known(fake)
    said = "/home/anna/.loratui: [2001:db8::7]:22 and fe80::1 and 203.0.113.9 at 12:30:45, /Users/bob/x\n"
    fake.jobs[run.id].files["support:trainer.log"] = said.encode()
    fake.emit(run.id, Log(level="INFO", line=said))
    files, _ = supported(run)
    shown = "/home/[user]/.loratui: [[address]]:22 and [address] and [address] at 12:30:45, /Users/[user]/x\n"
    assert files["box/trainer.log"] == shown
    assert shown.strip() in files["journal.jsonl"]


def test_folder_that_can_not_be_written_is_an_error_of_its_own(
    agent: AgentProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(agent)
    (tmp_path / "file").write_text("")
    assert main(["support", "--out", str(tmp_path / "file" / "s.zip")]) == 1
    assert "disk.write" in capsys.readouterr().err
