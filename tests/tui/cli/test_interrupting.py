"""Ctrl-C in front of files: what was done, what was not, and how it is taken back; never a traceback."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui.cli.main import main
from loratui.preflight.edits import undo
from loratui.preflight.places import UNDO_FOLDER
from support.small_dataset import write_small_dataset
from support.terminal import Terminal
from support.trees import interrupted_everywhere, tree

IMPORTING = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            print("importing", flush=True)
            sys.stdin.read()

sys.meta_path.insert(0, Blocked())
from loratui.cli import main
sys.exit(main(["check", "."]))
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE_DIR", "CONFIG_DIR", "HOME"):
        monkeypatch.setenv(f"LORATUI_{name}", str(tmp_path / "loratui"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_small_dataset(tmp_path / "place" / "pictures", 2)


@pytest.mark.parametrize("module", ["loratui.cli.main", "loratui.cli.arguments", "loratui.cli.check"])
def test_ctrl_c_while_the_program_is_loaded_ends_it_quietly(module: str):
    argv = [sys.executable, "-c", IMPORTING, module]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate()
    assert (process.returncode, said, errors) == (130, "", "")


@pytest.mark.parametrize("words", [("caption", "--prefix", "new"), ("check", "--fix")])
def test_ctrl_c_at_the_question_says_that_nothing_was_changed(root: Path, words: tuple[str, ...]):
    (root / "1_cat" / "0.txt").rename(root / "1_cat" / "0.png.txt")
    before = tree(root)
    argv = [sys.executable, "-m", "loratui.cli", words[0], str(root), *words[1:]]
    with Terminal(argv, environ=os.environ) as terminal:
        terminal.read_until(lambda output: b"[y/N]" in output)
        terminal.press("\x03")
        assert terminal.wait() == 130
        assert f"\r\ninterrupted: nothing in {root} was changed".encode() in terminal.received
    assert tree(root) == before
    assert not (root / UNDO_FOLDER).exists()


def everywhere(step: int, root: Path, *words: str) -> Iterator[tuple[Path, int, str]]:
    return interrupted_everywhere(root, lambda copy: main([words[0], str(copy), *words[1:], "--yes"]), step)


def test_wherever_ctrl_c_comes_an_edit_is_made_or_not_and_that_is_said(root: Path):
    before, outcomes = tree(root), set()
    for copy, status, said in everywhere(3, root, "caption", "--prefix", "new"):
        is_made = tree(copy) != before
        outcomes.add((is_made, status))
        assert "Traceback" not in said
        assert (f"loratui caption {copy} --undo" in said) is is_made
        assert (copy / UNDO_FOLDER).exists() is is_made
        if is_made:
            assert {path.read_text("utf-8") for path in copy.rglob("*.txt")} == {"new a cat\n"}
        else:
            assert f"interrupted: nothing in {copy} was changed" in said
    assert {(False, 130), (True, 0)} <= outcomes


def test_of_several_edits_those_stay_that_were_made_and_all_can_be_taken_back(root: Path):
    (root / "1_cat" / "0.txt").rename(root / "1_cat" / "0.png.txt")
    (root / "1_cat" / "1.txt").write_bytes("a café".encode("utf-16"))
    before, numbers = tree(root), set()
    for copy, status, said in everywhere(13, root, "check", "--fix"):
        records = list((copy / UNDO_FOLDER).glob("*.json")) if (copy / UNDO_FOLDER).exists() else []
        if "interrupted" in said:
            numbers.add(len(records))
            assert status == 130
            wanted = ("nothing in", "one edit of", "2 edits of")[len(records)]
            assert f"interrupted: {wanted} {copy}" in said
        while undo(copy):
            pass
        assert tree(copy) == before
    assert {0, 1} <= numbers
