"""Moves of pictures together with their captions into other folders, under names that nothing has there."""

from collections.abc import Iterable
from pathlib import Path

from loratui.domain.local_names import numbered
from loratui.preflight.changes import Change, MakeFolder, Move
from loratui.preflight.naming import LIKE_CAPTIONS
from loratui_protocol.picture_names import PICTURE_EXTENSIONS


def with_captions(pictures: Iterable[Path]) -> list[list[Path]]:
    """Return groups of files that go together, each picture with its captions, unless one that stays has them too."""
    leaving = dict.fromkeys(pictures)
    groups: list[list[Path]] = []
    gone: set[Path] = set()
    for picture in leaving:
        if picture in gone:
            continue
        alike = [path for ext in PICTURE_EXTENSIONS if (path := picture.with_suffix(ext)).is_file()]
        stays = any(path not in leaving for path in alike)
        captions = [path for ext in LIKE_CAPTIONS if (path := picture.with_suffix(ext)).is_file()]
        together = dict.fromkeys((picture, *(path for path in alike if path in leaving)))
        groups.append([*together, *(() if stays else captions)])
        gone.update(groups[-1])
    return groups


def relocated(root: Path, groups: Iterable[list[Path]], folder_of: dict[Path, str]) -> list[Change]:
    """Return the changes that move groups of files; each group keeps a name in common.

    ``folder_of`` names the new folder for each that files come from, as an edit of ``root`` names it.
    """
    folders: dict[str, None] = {}
    taken: dict[str, set[str]] = {}
    moves: list[Change] = []
    for group in groups:
        folder = folder_of[group[0].parent]
        folders |= dict.fromkeys(_missing(root, folder))
        if folder not in taken:
            there = root / folder
            taken[folder] = {path.name.casefold() for path in there.iterdir()} if there.is_dir() else set()
        names = _free([path.name for path in group], taken[folder])
        taken[folder].update(name.casefold() for name in names)
        moves += [
            Move(path.relative_to(root).as_posix(), f"{folder}/{name}") for path, name in zip(group, names, strict=True)
        ]
    return [*map(MakeFolder, folders), *moves]


def _free(names: list[str], taken: set[str]) -> list[str]:
    """Return the names, with a number if one of them is taken even where case does not count."""
    free, number = names, 2
    while taken.intersection(name.casefold() for name in free):
        free, number = [numbered(name, number) for name in names], number + 1
    return free


def _missing(root: Path, folder: str) -> list[str]:
    """Return the folders on the way to one, and itself, that are not there."""
    parts = folder.split("/")
    ways = ("/".join(parts[: end + 1]) for end in range(len(parts)) if parts[end] != "..")
    return [way for way in ways if not (root / way).is_dir()]
