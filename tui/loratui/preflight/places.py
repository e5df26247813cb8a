"""Where an edit may change something: in the dataset's folder, and in the side folder next to it. Nowhere else.

A record of an edit lies in the dataset and may come with it from a stranger, so its names are looked at like any input.
"""

import os
from pathlib import Path

from loratui.preflight.draft_marks import FILE_NAME
from loratui_protocol.dataset_folders import repeats_of
from loratui_protocol.errors import DatasetError
from loratui_protocol.harmless import clean

UNDO_FOLDER = ".loratui-undo"
"""Holds the records; like every folder with a dot it is no part of the dataset."""


def opened(folder: Path) -> Path:
    """Return the real path of a dataset's folder.

    Raises:
        DatasetError: there is no such folder.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise DatasetError(f"there is no folder {folder}", fix="give the dataset's folder", code="dataset.missing")
    return root


def side_folder(root: Path) -> str:
    """Return the name, relative to the dataset, of the folder for what is set aside."""
    # Beside a numbered folder a number means repeats: what is set aside would be trained.
    named = f"{root.name}.set-aside"
    return f"../{named}" if repeats_of(named) is None else f"../set-aside.{root.name}"


def check_inside(root: Path, *names: str) -> None:
    """Refuse names that are not of the dataset, whatever is there.

    Raises:
        DatasetError: one leads elsewhere, or is hidden.
    """
    for name in names:
        _split(root, name)


def located(root: Path, name: str) -> Path:
    """Return where a file or folder of an edit is.

    Raises:
        DatasetError: it is outside of both folders, hidden, or a link leads to it.
    """
    path, parts = _split(root, name)
    _check_no_link(path)
    for part in parts:
        path /= part
        _check_no_link(path)
    return path


def _split(root: Path, name: str) -> tuple[Path, list[str]]:
    """Return which of the two folders it is in, and the way from there."""
    side, parts = side_folder(root), name.split("/")
    if name == side or name.startswith(f"{side}/"):
        base, parts = root.parent / parts[1], parts[2:]
    else:
        base = root
    if not all(_is_plain(part) for part in parts):
        raise DatasetError(
            f"{clean(name, 200)!r} is no file of the dataset {root}: nothing is done there",
            fix=f"an edit changes files in the folder and in {side} alone, and none that are hidden",
            code="edit.outside",
        )
    return base, parts


def _check_no_link(path: Path) -> None:
    if path.is_symlink():
        raise DatasetError(
            f"{path} is a link: what it leads to is not changed",
            fix="give the folder that it leads to, or put the file itself in its place",
            code="edit.link",
        )


def _is_plain(part: str) -> bool:
    """Return whether it names something in its folder, on every system."""
    if part.startswith(".") and part != FILE_NAME:
        return False
    try:
        os.fsencode(part)
    except UnicodeEncodeError:
        return False
    # Windows has more separators than one, and drives.
    return "\0" not in part and Path(part).parts == (part,)
