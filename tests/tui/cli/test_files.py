"""``files`` as it is typed, on a real store with real files."""

import dataclasses
import json
import os
import sys
from pathlib import Path

import pytest

from loratui.cli.main import main
from loratui.store import Store
from loratui.store.ratings import ratings
from loratui_protocol.messages import Record, Withdrawn
from support.terminal import Terminal
from support.ui_effects.files import library_run, lora, preferences_in

Said = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a machine that knows two runs: of the first one file is here and one away, of the second two and one."""
    monkeypatch.setenv("LORATUI_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("LORATUI_CONFIG_DIR", str(tmp_path / "config"))
    library_run(preferences_in(tmp_path), 1, files=("200", "final"))
    library_run(preferences_in(tmp_path), 2, files=("200", "400", "final"))
    return tmp_path


def path_of(folder: Path, number: int, name: str) -> Path:
    return preferences_in(folder).run_folder(f"01HX{number:022}") / name


def documents(said: Said) -> dict[str, list[dict[str, object]]]:
    """Return the one object that was printed, on its one line."""
    [line] = said.readouterr().out.splitlines()
    document: dict[str, list[dict[str, object]]] = json.loads(line)
    return document


def refused(said: Said, code: str) -> str:
    errors = said.readouterr().err
    assert f"[{code}]" in errors
    return errors


def test_all_files_are_listed_or_those_that_match(folder: Path, capsys: Said) -> None:
    assert main(["files"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == [
        "zog-2.safetensors", "zog-2-step400.safetensors", "zog-2-step200.safetensors",
        "zog-1.safetensors", "zog-1-step200.safetensors",
    ]  # fmt: skip
    assert lines[0].endswith("on its machine")
    assert lines[1].endswith(str(path_of(folder, 2, "zog-2-step400.safetensors")))
    assert main(["files", "list", "here", "step<300", "--sort", "name", "--json"]) == 0
    found = documents(capsys)["files"]
    assert [(file["name"], file["state"]) for file in found] == [
        ("zog-1-step200.safetensors", "here"), ("zog-2-step200.safetensors", "here"),
    ]  # fmt: skip
    assert found[0]["sha256"] == lora("zog-1", "200").sha256
    assert found[0]["path"] == str(path_of(folder, 1, "zog-1-step200.safetensors"))


def test_a_file_that_was_damaged_is_found_out(folder: Path, capsys: Said) -> None:
    assert main(["files", "verify"]) == 0
    assert capsys.readouterr().out.count("it is what was announced") == 3
    path = path_of(folder, 2, "zog-2-step200.safetensors")
    path.write_bytes(path.read_bytes().replace(b"z", b"Z", 1))
    assert main(["files", "verify", "--run", "zog-2", "--json"]) == 1
    problems = {file["name"]: file["problem"] for file in documents(capsys)["files"]}
    assert problems.pop("zog-2-step400.safetensors") == ""
    assert "its sha256 is" in str(problems.pop("zog-2-step200.safetensors"))
    assert problems == {}


@pytest.mark.parametrize("form", ["path", "name", "without its ending", "sha256"])
def test_a_file_is_named_as_the_list_shows_it(folder: Path, capsys: Said, form: str) -> None:
    path = path_of(folder, 2, "zog-2-step400.safetensors")
    sha256 = lora("zog-2", "400").sha256
    word = {"path": str(path), "name": path.name, "without its ending": path.stem, "sha256": sha256[:7].upper()}[form]
    assert main(["files", "rate", word, "--stars", "4"]) == 0
    assert "zog-2-step400.safetensors of zog-2: 4 of 5 stars" in capsys.readouterr().out
    assert list(ratings(preferences_in(folder).database).values()) == [4]
    assert main(["files", "rate", word, "--stars", "0"]) == 0
    assert ratings(preferences_in(folder).database) == {}


def test_a_name_that_several_files_have_means_none_of_them(folder: Path, capsys: Said) -> None:
    library_run(preferences_in(folder), 3, name="zog-2", files=("400",))
    assert main(["files", "rate", "zog-2-step400", "--stars", "1"]) == 2
    assert lora("zog-2", "400").sha256[:7] in refused(capsys, "files.ambiguous")
    assert main(["files", "rate", "zog-3", "--stars", "1"]) == 2
    refused(capsys, "files.unknown")
    assert main(["files", "rate", "zog-2-step400", "--stars", "1", "--run", f"01HX{3:022}"]) == 0
    assert [key[0] for key in ratings(preferences_in(folder).database)] == [f"01HX{3:022}"]


def test_what_is_not_here_is_neither_verified_nor_deleted(folder: Path, capsys: Said) -> None:
    for action in ("verify", "delete"):
        assert main(["files", action, "zog-1"]) == 2
        assert f"loratui download 01HX{1:022}" in refused(capsys, "files.not_here")


def test_nothing_is_deleted_where_nobody_can_be_asked(folder: Path, capsys: Said) -> None:
    assert main(["files", "delete", "zog-2-step200"]) == 2
    assert "may still have it; loratui download" in refused(capsys, "files.unasked")
    assert path_of(folder, 2, "zog-2-step200.safetensors").exists()


def test_what_is_lost_is_named_before_it_is_deleted(folder: Path, capsys: Said) -> None:
    preferences, path = preferences_in(folder), path_of(folder, 2, "zog-2-step200.safetensors")
    with Store(preferences.database) as store:
        gone = Withdrawn(id="200", name="n", sha256=lora("zog-2", "200").sha256, why="newer ones")
        store.append(f"01HX{2:022}", "e", [Record(seq=9, ts=1.0, event=gone)])
    assert main(["files", "delete", "zog-2-step200", "--yes", "--json"]) == 0
    said = capsys.readouterr()
    assert "zog-2-step200.safetensors of zog-2 (4.5 kB): This is the only copy" in said.err
    assert [file["path"] for file in json.loads(said.out)["deleted"]] == [str(path)]
    assert not path.exists()
    assert path_of(folder, 2, "zog-2-step400.safetensors").exists()


def test_enter_deletes_nothing_and_a_typed_y_does(folder: Path) -> None:
    path = path_of(folder, 2, "zog-2-step200.safetensors")
    argv = [sys.executable, "-m", "loratui.cli", "files", "delete", "zog-2-step200"]
    for answer, is_left in (("", True), ("y", False)):
        with Terminal(argv, environ=dict(os.environ)) as terminal:
            terminal.read_until(lambda output: b"[y/N]" in output)
            assert b"Its machine (ana@host.invalid) may still have it" in terminal.received
            terminal.press(f"{answer}\n")
            assert terminal.wait() == 0
        assert path.exists() is is_left


def test_names_from_elsewhere_are_text_alone(folder: Path, capsys: Said) -> None:
    hostile = "\x1b[2Jowned\n\u202egnp 日本.safetensors"
    with Store(preferences_in(folder).database) as store:
        evil = dataclasses.replace(lora("zog-1", "400"), name=hostile)
        store.append(f"01HX{1:022}", "e", [Record(seq=9, ts=3e9, event=evil)])
        store._database.execute("UPDATE runs SET name = ?, target = ? WHERE name = 'zog-1'", (hostile, hostile))
    assert main(["files"]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert "[2Jowned gnp 日本.safetensors" in first
    assert len(others) == 5
    assert all(line.isprintable() for line in (first, *others))
    assert main(["files", "delete", "zog-1-step200", "--yes"]) == 0
    said = capsys.readouterr()
    assert all(line.isprintable() for line in (said.out + said.err).splitlines())


def test_an_empty_library_says_how_it_is_filled(tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_STATE_DIR", str(tmp_path / "state"))
    assert main(["files"]) == 0
    assert "loratui demo" in capsys.readouterr().err
    assert main(["files", "--json"]) == 0
    assert documents(capsys) == {"files": []}
