"""``loratui report``: written anew from what is here, nobody is asked."""

import json
import time
from pathlib import Path

import pytest

from loratui import settings
from loratui.cli.main import main
from loratui.store import Store, StoredRun
from loratui_protocol.config_file import to_toml
from loratui_protocol.messages import Artifact, ArtifactKind, JobState, Record, State
from support.judgements import judgement, write_zip
from support.small_dataset import small_config, write_small_dataset

RUN = "01JREPORT000000000000000AA"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a run that is over, whose judgement is here."""
    monkeypatch.setenv("LORATUI_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("LORATUI_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    preferences = settings.load()
    config = to_toml(small_config(write_small_dataset(tmp_path / "pictures")))
    own = preferences.run_folder(RUN)
    own.mkdir(parents=True)
    path = write_zip(own / "cat-judgement.zip", judgement())
    said = Artifact(id="j", kind=ArtifactKind.JUDGEMENT, name=path.name, size=path.stat().st_size, sha256="ab" * 32)
    with Store(preferences.database) as store:
        store.add_run(
            StoredRun(
                id=RUN, name="cat", target="local", created_ts=time.time(), config_toml=config, home=tmp_path / "home"
            )
        )
        store.begin_history(RUN, "epoch", reset=True)
        events = (State(state=JobState.RUNNING), said, State(state=JobState.DONE))
        store.append(RUN, "epoch", [Record(seq=n, ts=1.0, event=event) for n, event in enumerate(events, 1)])
        store.add_download(RUN, "j", path, said.sha256)
    return own


def test_report_and_sheets_are_written_beside_the_run_and_named(folder, capsys):
    assert main(["report"]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    *sheets, report = paths
    assert report == folder / "cat-report.html"
    assert 'id="tried"' in report.read_text("utf-8")
    assert len(sheets) == 6
    assert all(path.parent == folder / "cat-report-sheets" and path.is_file() for path in sheets)


def test_it_goes_where_it_is_asked_to_and_is_told_of_as_json(folder, tmp_path, capsys):
    assert main(["report", "cat", "--out", "elsewhere/mine.html", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["run"] == RUN
    assert Path(told["report"]).samefile(tmp_path / "elsewhere" / "mine.html")
    assert Path(told["contact_sheets"][0]).parent.name == "mine-sheets"
    assert not (folder / "cat-report.html").exists()


def test_training_pictures_are_in_it_only_when_asked(folder):
    main(["report"])
    without = (folder / "cat-report.html").read_text("utf-8")
    assert "0.png: a cat" not in without
    assert main(["report", "--pictures"]) == 0
    assert "0.png: a cat" in (folder / "cat-report.html").read_text("utf-8")


def test_a_folder_is_no_file_to_write_to(folder, tmp_path, capsys):
    assert main(["report", "--out", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_a_judgement_that_is_gone_from_the_disk_is_not_missed(folder, capsys):
    (folder / "cat-judgement.zip").unlink()
    assert main(["report"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(folder / "cat-report.html")]
