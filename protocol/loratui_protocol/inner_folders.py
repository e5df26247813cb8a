"""The folders inside a folder of pictures, however deep, and links there that lead to nothing."""

from collections.abc import Iterator
from pathlib import Path

_MAX_FOLDERS = 2_000
"""No dataset has more; a link may lead to a whole disk."""


def inner_folders(root: Path) -> list[Path]:
    """Return the folders inside, each once under the first of its names: no hidden ones, and none that hold the root.

    A link is a folder inside like others, unless it leads back.
    """
    real = root.resolve()
    seen = {real, *real.parents}
    found: list[Path] = []
    waiting = [root]
    while waiting and len(found) < _MAX_FOLDERS:
        folders = sorted(path for path in waiting.pop(0).iterdir() if path.is_dir() and not path.name.startswith("."))
        # A folder itself comes before a link to it.
        for folder in sorted(folders, key=Path.is_symlink):
            if (where := folder.resolve()) not in seen:
                seen.add(where)
                found.append(folder)
                waiting.append(folder)
    return sorted(found)


def broken_links(folder: Path) -> Iterator[Path]:
    """Yield the links directly in a folder that lead to nothing."""
    return (
        path for path in sorted(folder.iterdir()) if path.is_symlink() and not path.exists() and path.name[0] != "."
    )
