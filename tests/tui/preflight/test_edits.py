"""Edits of a dataset are taken back to the byte, whatever was killed on the way, and never over what others did."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loratui.preflight.changes import Change, CreateFile, Edit, MakeFolder, Move, WriteFile, preview
from loratui.preflight.edits import apply, undo
from loratui.preflight.places import UNDO_FOLDER
from loratui.preflight.undo_records import MAX_RECORDS
from loratui_protocol.dataset import scan
from loratui_protocol.errors import DatasetError, StorageError
from support.small_dataset import write_small_dataset
from support.small_disk import needs_small_disk, small_disk
from support.trees import tree

TESTS = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.txt").write_text(f"a {name}\n", "utf-8")
    return folder


def edit_of(*changes: Change, title: str = "Some title") -> Edit:
    return Edit(title=title, changes=changes)


def rewritten(folder: Path, *names: str) -> Edit:
    return edit_of(*(WriteFile(name, old := (folder / name).read_bytes(), b"new, " + old) for name in names))


def records(folder: Path) -> list[Path]:
    return sorted((folder / UNDO_FOLDER).iterdir()) if (folder / UNDO_FOLDER).exists() else []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks to be killed")
def test_killed_at_any_point_an_edit_and_its_taking_back_leave_what_can_be_taken_back_to_the_byte(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "support.killed_edits", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    num_edits, num_undos = map(int, done.stdout.split())
    # More than one for each change: in the middle of them, too.
    assert num_edits > 20
    assert num_undos > 14


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8)
PLAIN = NAMES.filter(lambda name: not name.startswith("."))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_taking_back_any_edit_restores_every_byte_and_name(data, tmp_path_factory):
    place = tmp_path_factory.mktemp("law")
    folder = place / "pictures"
    folder.mkdir()
    names = data.draw(st.lists(PLAIN, min_size=1, max_size=6, unique=True))
    for name in names:
        (folder / name).write_bytes(data.draw(st.binary(max_size=40)))
    free = data.draw(st.lists(PLAIN.filter(lambda name: name not in names), min_size=8, max_size=8, unique=True))
    side = "../pictures.set-aside"
    changes: list[Change] = [MakeFolder(free.pop()), MakeFolder(side)]
    folders = ["", f"{changes[0].path}/", f"{side}/"]
    for name in names:
        old = (folder / name).read_bytes()
        to = data.draw(st.sampled_from(folders)) + free.pop()
        wished: Change = data.draw(st.sampled_from([WriteFile(name, old, old + b"x"), Move(name, to)]))
        changes.append(wished)
    changes.append(CreateFile(data.draw(st.sampled_from(folders)) + free.pop(), data.draw(st.binary(max_size=40))))
    before = tree(place)
    apply(edit_of(*changes), folder)
    assert tree(place) != before
    undone = undo(folder)
    assert undone is not None
    assert (undone.num_restored, undone.left) == (len(changes), ())
    assert tree(place) == before
    assert undo(folder) is None
    shutil.rmtree(place)


def test_a_file_that_somebody_changed_since_is_named_and_stays_as_it_is(folder):
    before = tree(folder)
    apply(rewritten(folder, "a.txt", "b.txt", "c.txt"), folder)
    (folder / "b.txt").write_text("mine", "utf-8")
    undone = undo(folder)
    assert undone.left == ("b.txt",)
    assert (folder / "b.txt").read_text("utf-8") == "mine"
    assert {**tree(folder), "b.txt": before["b.txt"]} == before
    # What it was is still to be read, and older edits can be taken back.
    assert json.loads(undone.record.read_text("utf-8"))["changes"][1]["old"] == "a b\n"
    assert undo(folder) is None


def test_removed_moved_and_linked_files_stay_with_whoever_did_that(folder, tmp_path):
    apply(
        edit_of(
            MakeFolder("10_cat"),
            Move("a.txt", "10_cat/a.txt"),
            Move("b.txt", "10_cat/b.txt"),
            WriteFile("c.txt", b"a c\n", b"c"),
        ),
        folder,
    )
    (folder / "a.txt").write_text("another", "utf-8")
    (folder / "10_cat" / "b.txt").unlink()
    outside = tmp_path / "outside.txt"
    outside.write_text("c", "utf-8")
    (folder / "c.txt").unlink()
    (folder / "c.txt").symlink_to(outside)
    undone = undo(folder)
    assert undone.left == ("10_cat", "10_cat/a.txt", "10_cat/b.txt", "c.txt")
    assert (folder / "a.txt").read_text("utf-8") == "another"
    assert (folder / "10_cat" / "a.txt").read_text("utf-8") == "a a\n"
    assert outside.read_text("utf-8") == "c"


def test_edits_are_taken_back_newest_first_even_if_the_clock_went_back(folder):
    states = [tree(folder)]
    for _ in range(3):
        record = apply(rewritten(folder, "a.txt"), folder)
        states.append(tree(folder))
    # As if the first had been made in a far future.
    first = records(folder)[0]
    first.rename(first.with_name(first.name.replace(first.name[:8], "29991231")))
    assert record.exists()
    for state in reversed(states[:-1]):
        undo(folder)
        assert tree(folder) == state
    assert undo(folder) is None
    assert not records(folder)


def test_records_are_bounded_and_private_and_the_newest_stay(folder):
    for _ in range(MAX_RECORDS + 3):
        newest = apply(rewritten(folder, "a.txt"), folder)
    assert len(records(folder)) == MAX_RECORDS
    assert records(folder)[-1] == newest
    assert stat.S_IMODE((folder / UNDO_FOLDER).stat().st_mode) == 0o700


def test_a_file_keeps_who_may_read_it(folder):
    (folder / "a.txt").chmod(0o604)
    apply(rewritten(folder, "a.txt"), folder)
    assert stat.S_IMODE((folder / "a.txt").stat().st_mode) == 0o604
    undo(folder)
    assert stat.S_IMODE((folder / "a.txt").stat().st_mode) == 0o604


@pytest.mark.parametrize(
    "change",
    [
        WriteFile("a.txt", b"something else", b"x"),
        WriteFile("z.txt", b"", b"x"),
        CreateFile("b.txt", b"x"),
        Move("a.txt", "b.txt"),
        Move("z.txt", "y.txt"),
        MakeFolder("b.txt"),
        CreateFile("nowhere/b.txt", b"x"),
    ],
    ids=repr,
)
def test_what_is_not_as_it_was_looked_at_or_has_the_name_already_stops_the_whole_edit(folder, change):
    before = tree(folder)
    with pytest.raises(DatasetError) as refused:
        apply(edit_of(WriteFile("c.txt", b"a c\n", b"c"), change), folder)
    assert refused.value.code == "edit.changed"
    assert tree(folder) == before
    assert not (folder / UNDO_FOLDER).exists()


def test_what_others_do_in_the_middle_of_an_edit_takes_it_back_and_stays(folder):
    def busy(number: int) -> None:
        if number == 1:
            (folder / "b.txt").write_text("mine", "utf-8")

    before = tree(folder)
    with pytest.raises(DatasetError):
        apply(rewritten(folder, "a.txt", "b.txt"), folder, busy)
    assert (folder / "a.txt").read_text("utf-8") == "a a\n"
    assert (folder / "b.txt").read_text("utf-8") == "mine"
    assert {**tree(folder), "b.txt": before["b.txt"]} == before


def test_ctrl_c_in_the_middle_of_an_edit_takes_it_back(folder):
    def interrupted(number: int) -> None:
        if number == 2:
            raise KeyboardInterrupt

    before = tree(folder)
    with pytest.raises(KeyboardInterrupt):
        apply(rewritten(folder, "a.txt", "b.txt", "c.txt"), folder, interrupted)
    assert tree(folder) == before
    assert not (folder / UNDO_FOLDER).exists()


EDIT_ON_FULL_DISK = """
import sys
from pathlib import Path
from loratui.preflight.changes import CreateFile, Edit
from loratui.preflight.edits import apply, undo
from loratui_protocol.errors import StorageError
from support.trees import tree

folder = Path(sys.argv[1])
before = tree(folder)
changes = tuple(CreateFile(f"{number}.txt", bytes(100_000)) for number in range(int(sys.argv[2])))
try:
    apply(Edit(title="too much", changes=changes), folder)
except StorageError as error:
    print(error.code)
assert tree(folder) == before
assert undo(folder) is None
"""


@needs_small_disk
@pytest.mark.parametrize("num_files", [1, 9])
def test_a_disk_that_gets_full_in_the_middle_of_an_edit_has_it_taken_back(num_files):
    with small_disk(1) as disk:
        disk.fill(leave=90_000 if num_files == 1 else 500_000)
        done = subprocess.run(
            disk.argv(sys.executable, "-c", EDIT_ON_FULL_DISK, str(disk.inside), str(num_files)),
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert (done.returncode, done.stdout) == (0, "disk.full\n"), done.stderr


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt",
        "/etc/hostname",
        "../pictures.set-aside/../secret.txt",
        "../other.set-aside/a.txt",
        "a/../../secret.txt",
        ".git/hooks/pre-commit",
        ".bashrc",
        "",
        ".",
        "a//b",
        "a\0b",
        "\ud800",
    ],
)
def test_neither_an_edit_nor_a_record_that_came_with_a_dataset_reaches_outside_of_it(folder, name):
    secret = folder.parent / "secret.txt"
    secret.write_text("a secret", "utf-8")
    for change in (CreateFile(name, b"x"), Move("a.txt", name), MakeFolder(name)):
        with pytest.raises(DatasetError) as refused:
            apply(edit_of(change), folder)
        assert refused.value.code == "edit.outside"
    apply(edit_of(CreateFile("new.txt", b"x")), folder)
    [record] = records(folder)
    document = json.loads(record.read_text("utf-8"))
    document["changes"].append({"did": "move", "path": name, "to": "secret.txt"})
    record.write_text(json.dumps(document), "utf-8")
    before = tree(folder.parent)
    with pytest.raises(DatasetError) as refused:
        undo(folder)
    assert refused.value.code == "edit.outside"
    assert tree(folder.parent) == before


def test_links_are_not_followed(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.txt").write_text("a a\n", "utf-8")
    (folder / "10_cat").symlink_to(elsewhere)
    (folder / "linked.txt").symlink_to(elsewhere / "a.txt")
    before = tree(tmp_path)
    for name in ("10_cat/a.txt", "linked.txt"):
        with pytest.raises(DatasetError) as refused:
            apply(edit_of(WriteFile(name, b"a a\n", b"x")), folder)
        assert refused.value.code == "edit.link"
    (folder / UNDO_FOLDER).symlink_to(elsewhere)
    with pytest.raises(DatasetError) as refused:
        apply(rewritten(folder, "a.txt"), folder)
    assert refused.value.code == "edit.link"
    assert undo(folder) is None
    (folder / UNDO_FOLDER).unlink()
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[" * 100_000,
        b'{"version": 2}',
        b'{"version": 1, "title": "x", "changes": [{}]}',
        b'{"version": 1, "title": "x", "changes": [{"did": "write", "path": "a.txt", "old_base64": "?", '
        b'"sha256_before": "", "sha256_after": ""}]}',
        b'{"version": 1, "title": "x", "changes": [{"did": "write", "path": "a.txt", "old": "\\ud800", '
        b'"sha256_before": "", "sha256_after": ""}]}',
        b'{"version": 1, "title": "x", "changes": [{"did": "write", "path": "a.txt", "old": "other", '
        b'"sha256_before": "", "sha256_after": ""}]}',
    ],
    ids=range(7),
)
def test_a_damaged_record_is_an_error_that_names_it(folder, content):
    record = apply(rewritten(folder, "a.txt"), folder)
    record.write_bytes(content)
    before = tree(folder)
    with pytest.raises(StorageError) as refused:
        undo(folder)
    assert refused.value.code == "edit.record"
    assert record.name in str(refused.value)
    assert tree(folder) == before


def test_a_name_of_bytes_that_are_no_text_is_edited_and_taken_back(folder):
    name = os.fsdecode(b"\xff\xfe.txt")
    try:
        (folder / name).write_bytes(b"a")
    except OSError:
        pytest.skip("this file system has no such names")
    before = tree(folder)
    apply(edit_of(Move(name, "d.txt")), folder)
    assert (folder / "d.txt").exists()
    undo(folder)
    assert tree(folder) == before


def test_no_two_changes_are_of_one_file():
    with pytest.raises(ValueError, match="two changes"):
        edit_of(WriteFile("a", b"", b"x"), Move("a", "b"))


def test_the_records_are_no_part_of_the_dataset(tmp_path):
    folder = write_small_dataset(tmp_path / "pictures")
    before = scan(folder)
    apply(rewritten(folder, "1_cat/0.txt"), folder)
    apply(edit_of(CreateFile("1_cat/.loratui-captions.json", b"{}")), folder)
    apply(edit_of(WriteFile("1_cat/0.txt", b"new, a cat\n", b"a cat\n")), folder)
    assert records(folder)
    assert scan(folder) == before


def test_a_preview_shows_what_is_left_and_put_without_commanding_the_terminal(folder):
    edit = edit_of(
        WriteFile("a.txt", b"a \x1b[2Jcat\n", b"zorb, a cat\n"),
        WriteFile("b.txt", "\ufeffa dog".encode(), b"a dog"),
        CreateFile("new.txt", b"zorb\n"),
        MakeFolder("10_zorb"),
        Move("x\x1b[2J.png", "10_zorb/x.png"),
        CreateFile(".loratui-captions.json", b"{}"),
    )
    assert list(preview(edit)) == [
        "--- a.txt",
        "+++ a.txt",
        "@@ -1 +1 @@",
        "-a [2Jcat",
        "+zorb, a cat",
        "b.txt: 8 B -> 5 B for the same text",
        "--- /dev/null",
        "+++ new.txt",
        "@@ -0,0 +1 @@",
        "+zorb",
        "x[2J.png -> 10_zorb/x.png",
    ]
    assert list(preview(edit, 1))[-1] == "... and 3 more"
