"""The support file of a real run: what helps is in it, what is secret is not."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui import settings
from loratui.cli.main import main
from loratui.cli.support import _WITH_PROMPTS
from loratui.sessions.host import SessionHost
from loratui.sessions.start_run import start_run
from support.agent_process import AgentProcess, running_agent, wait_until

CANARY = "c4n4ry-4pi-k3y-0f-th3-l4pt0p"
CONFIG = 'steps = 5\nlog_chars = 20 # sample_prompts\nsample_prompts = ["a photo of my daughter"]\n'


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
    run_id = start_run(host, name="n", target="local", config_toml="steps = 5\nlog_chars = 20", home=agent.home.path)
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
    assert {"README.txt", "about.json", "config.toml", "settings.txt", "journal.jsonl"} <= files.keys()
    assert {"box/trainer.log", "box/agent.log", "box/state.json", "box/exit.json"} <= files.keys()
    events = [json.loads(line) for line in files["journal.jsonl"].splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert json.loads(files["about.json"])["state"] == "done"
    everything = "".join(files.values())
    assert CANARY not in everything
    assert agent.home.token.read_text() not in everything
    assert "\x1b" not in everything
    assert "the key is [secret]" in files["box/trainer.log"]


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
        assert "logs of the box are not in it" in capsys.readouterr().err
        files = files_in(tmp_path / "deep" / "s.zip")
        assert files["journal.jsonl"]
        assert json.loads(files["about.json"])["missing"]
    finally:
        (tmp_path / "home").unlink()
        (tmp_path / "elsewhere").rename(tmp_path / "home")


def test_prompts_are_left_out() -> None:
    assert "daughter" not in _WITH_PROMPTS.sub(r"\1[]", CONFIG)
    assert "daughter" not in _WITH_PROMPTS.sub(r"\1[]", 'sample_prompts = [\n  "my daughter",\n  "her dog",\n]\nx = 1')
    assert "x = 1" in _WITH_PROMPTS.sub(r"\1[]", 'sample_prompts = [\n  "my daughter",\n]\nx = 1')


def test_folder_that_can_not_be_written_is_an_error_of_its_own(
    agent: AgentProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(agent)
    (tmp_path / "file").write_text("")
    assert main(["support", "--out", str(tmp_path / "file" / "s.zip")]) == 1
    assert "disk.write" in capsys.readouterr().err
