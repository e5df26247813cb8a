"""``caption`` and ``check --fix`` on folders: shown, asked about, done, and taken back."""

import json
import os
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from loratui.cli.main import main
from loratui.preflight import draft_marks
from loratui.preflight.draft_marks import Draft
from loratui_protocol.config_file import to_toml
from support.small_dataset import small_config, write_small_dataset
from support.terminal import Terminal
from support.trees import tree

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("STATE_DIR", "CONFIG_DIR", "HOME"):
        monkeypatch.setenv(f"LORATUI_{name}", str(tmp_path / "loratui"))
    return lambda *words: main([str(word) for word in words])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_small_dataset(tmp_path / "my pictures")


def captions(root: Path) -> set[str]:
    return {path.read_text("utf-8") for path in root.rglob("*.txt")}


def test_captions_are_edited_and_the_edit_is_taken_back(run, root, capsys):
    before = tree(root)
    assert run("caption", root, "--trigger", "zorb", "--replace", "a cat", "a dog", "--yes") == 0
    assert captions(root) == {"zorb, a dog\n"}
    told = capsys.readouterr()
    assert "-a cat\n+zorb, a dog" in told.out
    assert f"loratui caption '{root}' --undo" in told.err
    assert run("caption", root, "--undo") == 0
    assert tree(root) == before
    assert "taken back: replaced, trigger zorb (4 of 4 changes)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--set", "a thing"], "a thing\n"),
        (["--prefix", "photo of"], "photo of a cat, on, a mat\n"),
        (["--suffix", ", at night"], "a cat, on, a mat, at night\n"),
        (["--replace", "cat", "dog", "--replace", "mat", "rug"], "a dog, on, a rug\n"),
        (["--remove-tag", "on", "--remove-tag", "A mat"], "a cat\n"),
        (["--prune-above", "1", "--trigger", "a cat"], "a cat\n"),
        (["--prune-above", "0.9", "--trigger", "", "--prefix", "x"], "x\n"),
    ],
)
def test_each_option_does_what_it_says(run, root, words, expected):
    for path in root.rglob("*.txt"):
        path.write_text("a cat, on, a mat\n", "utf-8")
    assert run("caption", root, *words, "--yes") == 0
    assert captions(root) == {expected}


def test_single_pictures_are_named_and_no_other_caption_changes(run, root, capsys):
    first, second = sorted(root.rglob("*.png"))[:2]
    words = ["--only", first.relative_to(root).as_posix(), "--only", second]
    assert run("caption", root, *words, "--set", "a dog", "--yes") == 0
    changed = {path.stem for path in root.rglob("*.txt") if path.read_text("utf-8") == "a dog\n"}
    assert changed == {first.stem, second.stem}
    assert run("caption", root, "--undo") == 0
    assert captions(root) == {"a cat\n"}
    capsys.readouterr()
    assert run("caption", root, "--only", "nowhere.png", "--set", "a dog", "--yes") == 2
    assert "[caption.no_picture]" in capsys.readouterr().err
    assert run("caption", root, "--only", first, "--review", "--yes") == 2
    assert captions(root) == {"a cat\n"}


def test_a_dry_run_shows_everything_and_changes_nothing(run, tmp_path, capsys):
    root = write_small_dataset(tmp_path / "many", 30)
    before = tree(root.parent)
    assert run("caption", root, "--prefix", "new", "--dry-run") == 0
    assert capsys.readouterr().out.count("+new a cat") == 30
    assert tree(root.parent) == before
    assert run("caption", root, "--prefix", "new", "--yes") == 0
    shown = capsys.readouterr().out
    assert shown.count("+new a cat") == 20
    assert "... and 10 more" in shown


def test_json_counts_the_edit_and_names_its_files(run, root, capsys):
    run("caption", root, "--prefix", "new", "--dry-run", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["title"], told["applied"], told["record"]) == ("prefix", False, None)
    assert told["files"] == [{"path": f"1_cat/{number}.txt"} for number in range(4)]
    run("caption", root, "--prefix", "new", "--yes", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["applied"]
    assert Path(told["record"]).is_file()
    run("caption", root, "--undo", "--json")
    assert json.loads(capsys.readouterr().out) == {"title": "prefix", "restored": 4, "left": [], "record": None}


def test_files_that_somebody_changed_since_are_named_and_the_status_says_so(run, root, capsys):
    run("caption", root, "--prefix", "new", "--yes")
    (root / "1_cat" / "2.txt").write_text("mine", "utf-8")
    assert run("caption", root, "--undo") == 1
    assert captions(root) == {"a cat\n", "mine"}
    told = capsys.readouterr().err
    assert "left as it is, because somebody changed it since: 1_cat/2.txt" in told
    assert ".left.json" in told


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], "usage"),
        (["--prefix", "x", "--list"], "usage"),
        (["--undo", "--list"], "usage"),
        (["--replace", "", "x"], "usage"),
        (["--trigger", " "], "usage"),
        (["--trigger", "a\nb"], "usage"),
        (["--prune-above", "0.9"], "usage"),
        (["--prune-above", "90"], "usage"),
        (["--prefix", "x"], "caption.unasked"),
        (["--undo"], "edit.none"),
    ],
)
def test_what_makes_no_sense_is_status_2_and_changes_nothing(run, root, capsys, words, code):
    before = tree(root)
    assert run("caption", root, *words) == 2
    told = capsys.readouterr().err
    assert f"[{code}]" in told
    assert tree(root) == before


def test_a_folder_without_pictures_is_status_3(run, tmp_path, capsys):
    assert run("caption", tmp_path / "nowhere", "--list") == 3
    assert "[dataset.missing]" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert run("caption", tmp_path / "empty", "--list") == 3
    assert "[dataset.empty]" in capsys.readouterr().err


def test_an_edit_of_a_folder_inside_is_named_where_there_is_none_to_take_back(run, root, capsys):
    run("caption", root / "1_cat", "--prefix", "new", "--yes")
    assert run("caption", root, "--undo") == 2
    assert f"loratui caption '{root / '1_cat'}' --undo" in capsys.readouterr().err


def test_the_list_tells_drafts_and_missing_and_empty_captions_apart(run, root, capsys):
    folder = root / "1_cat"
    digest = sha256((folder / "0.txt").read_bytes()).hexdigest()
    draft_marks.mark(folder, {"0.txt": Draft(by="wd14", sha256=digest, at="2026-11-28")})
    (folder / "1.txt").unlink()
    (folder / "2.txt").write_bytes(b"")
    (folder / "3.txt").write_text("a \x1b[2Jcat", "utf-8")
    run("caption", root, "--list")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["0.png", "draft", "a", "cat"],
        ["1.png", "missing", "cat"],
        ["2.png", "empty"],
        ["3.png", "a", "[2Jcat"],
    ]
    run("caption", root, "--list", "--json")
    told = json.loads(capsys.readouterr().out)["captions"]
    assert [row["state"] for row in told] == ["draft", "missing", "empty", ""]
    assert run("caption", root, "--review", "--yes") == 0
    run("caption", root, "--list", "--json")
    assert json.loads(capsys.readouterr().out)["captions"][0]["state"] == ""


def test_captions_come_to_their_pictures(run, root):
    (root / "captions").mkdir()
    for path in (root / "1_cat").glob("*.txt"):
        path.rename(root / "captions" / path.name)
    assert run("caption", root, "--move-captions", "--yes") == 0
    assert len(list((root / "1_cat").glob("*.txt"))) == 4


def test_a_person_is_shown_the_edit_and_asked(root, tmp_path):
    before = tree(root)
    argv = [sys.executable, "-m", "loratui.cli", "caption", str(root), "--prefix", "new"]
    environ = {**os.environ, "LORATUI_STATE_DIR": str(tmp_path / "s"), "LORATUI_CONFIG_DIR": str(tmp_path / "c")}
    for answer, is_done in (("n", False), ("y", True)):
        with Terminal(argv, environ=environ) as terminal:
            terminal.read_until(lambda output: b"[y/N]" in output)
            assert b"+new a cat" in terminal.received
            assert b"prefix, 4 files: do it?" in terminal.received
            terminal.press(f"{answer}\n")
            assert terminal.wait() == 0
        assert (tree(root) != before) is is_done


def messy(root: Path) -> Path:
    folder = root / "1_cat"
    (folder / "0.txt").rename(folder / "0.png.txt")
    (folder / "1.txt").write_bytes("a café".encode("utf-16"))
    (folder / "1 copy.png").write_bytes((folder / "1.png").read_bytes())
    (folder / "gone.txt").write_text("a dog", "utf-8")
    return root


def test_check_fix_sets_a_messy_folder_right_and_all_of_it_is_taken_back(run, root, capsys):
    before = tree(messy(root).parent)
    assert run("check", root, "--json") == 1
    capsys.readouterr()
    assert run("check", root, "--fix", "--trigger", "zorb", "--yes", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [edit["title"] for edit in told["edits"] if edit["applied"]] == [
        "captions renamed to what is read",
        "captions rewritten as UTF-8",
        "captions without a picture set aside",
        "copies of pictures set aside",
        "trigger zorb",
    ]
    assert captions(root) == {"zorb, a cat\n", "zorb, a café"}
    for _ in told["edits"]:
        assert run("caption", root, "--undo") == 0
    side = root.parent / "my pictures.set-aside"
    assert not side.exists()
    assert {name: each for name, each in tree(root.parent).items() if not name.startswith("loratui")} == before


def test_check_fix_without_anybody_to_ask_shows_what_it_would_do(run, root, capsys):
    before = tree(messy(root))
    assert run("check", root, "--fix") == 1
    told = capsys.readouterr().err
    assert "1_cat/0.png.txt -> 1_cat/0.txt" in told
    assert "captions renamed to what is read, 1 file: not done; --yes does it" in told
    assert tree(root) == before
    assert run("check", root, "--fix", "--dry-run", "--yes") == 1
    assert tree(root) == before


def test_check_fix_of_a_config_takes_its_folders_and_its_trigger_and_leaves_regularisation_alone(run, root, tmp_path):
    reg = write_small_dataset(tmp_path / "reg")
    (reg / "1_cat" / "0.txt").rename(reg / "1_cat" / "0.png.txt")
    path = tmp_path / "job.toml"
    path.write_text(to_toml(small_config(root, reg_data_dir=str(reg), trigger_word="zorb")), "utf-8")
    assert run("check", path, "--fix", "--yes") == 0
    assert captions(root) == {"zorb, a cat\n"}
    assert captions(reg) == {"a cat\n"}
    assert (reg / "1_cat" / "0.txt").exists()


def test_check_fix_numbers_a_flat_folder_only_when_told_how_often_it_is_shown(run, root):
    folder = (root / "1_cat").rename(root / "cat")
    before = tree(folder)
    assert run("check", folder, "--fix", "--yes") == 0
    assert tree(folder) == before
    assert run("check", folder, "--fix", "--yes", "--repeats", "10") == 0
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == ["10_cat"]


def test_an_edit_that_leaves_captions_empty_says_so(run, root, capsys):
    assert run("caption", root, "--remove-tag", "a cat", "--dry-run") == 0
    assert "4 captions are empty then" in capsys.readouterr().err
