"""The edit that gives pictures names that are read: without them there may be no dataset to look at."""

from pathlib import Path

from loratui.preflight.changes import Edit, Move
from loratui.preflight.places import opened
from loratui_protocol.dataset_folders import repeats_of
from loratui_protocol.errors import DatasetError
from loratui_protocol.picture_names import misnamed


def picture_renames(folder: Path, *, is_leaf: bool = False) -> Edit:
    """Return the renaming of pictures in a dataset's folder, and in the numbered ones in it unless it is a leaf.

    Raises:
        DatasetError: the folder is missing or can't be read.
    """
    root = opened(folder)
    try:
        inside = [] if is_leaf else [path for path in root.iterdir() if path.is_dir() and repeats_of(path.name)]
        changes = tuple(
            Move(path.relative_to(root).as_posix(), path.with_name(name).relative_to(root).as_posix())
            for each in (root, *sorted(inside))
            for path, name in misnamed(each)
        )
    except OSError as error:
        raise DatasetError(
            f"the folder {folder} can't be read: {error}", fix="check its permissions", code="dataset.unreadable"
        ) from error
    return Edit(title="pictures renamed to what is read", changes=changes)
