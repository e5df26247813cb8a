"""Pictures get names that are read, and their old ones back."""

from pathlib import Path

import pytest
from PIL import Image

from loratui.cli import main
from loratui.preflight.edits import apply, undo
from loratui.preflight.picture_renames import picture_renames
from loratui_protocol.dataset import scan
from support.trees import tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset of which nothing has a name that is read."""
    folder = tmp_path / "pictures" / "3_cat"
    folder.mkdir(parents=True)
    for number, name in enumerate(("a.JPG ", "b.jpg_large", "c")):
        Image.new("RGB", (64, 64), (90 * number, 20, 30)).save(folder / name, "JPEG")
    (folder / "b.txt").write_text("a cat")
    return tmp_path / "pictures"


def test_pictures_are_renamed_with_their_captions_left_beside_them_and_all_can_be_taken_back(root: Path) -> None:
    before = tree(root)
    apply(picture_renames(root), root)
    assert [(each.name, each.caption) for each in scan(root).pictures] == [
        ("3_cat/a.JPG", "cat"),
        ("3_cat/b.jpg", "a cat"),
        ("3_cat/c.jpg", "cat"),
    ]
    assert not picture_renames(root).changes
    undo(root)
    assert tree(root) == before


def test_the_folders_in_one_that_a_config_names_by_itself_are_left_alone(root: Path) -> None:
    assert not picture_renames(root, is_leaf=True).changes
    assert len(picture_renames(root / "3_cat", is_leaf=True).changes) == 3


def test_check_names_a_folder_of_such_pictures_and_sets_it_right(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(root)]) == 1
    assert f"to rename them: loratui check {root} --fix" in capsys.readouterr().out
    assert main(["check", str(root), "--fix", "--yes"]) == 0
    assert "3_cat/c -> 3_cat/c.jpg" in capsys.readouterr().err
    assert main(["check", str(root)]) == 0
    assert "dataset.picture_names" not in capsys.readouterr().out
