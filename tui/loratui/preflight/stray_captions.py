"""Captions that are not beside their pictures under the name that is read, and those that belong to none."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from loratui.preflight.captioned import Pictures
from loratui.preflight.changes import Move
from loratui.preflight.naming import LIKE_CAPTIONS, alike, bare_stem
from loratui_protocol.caption_files import CAPTION_EXTENSIONS
from loratui_protocol.dataset_folders import pictures_in

_NO_CAPTIONS = ("readme", "license", "licence", "prompts", "sample_prompts", "classes")
"""Texts that lie beside pictures and are none of theirs."""


def oddly_named(pictures: Pictures) -> list[Move]:
    """Return the moves that give captions called ``a.jpg.txt``, ``a.TXT`` or ``a.tags`` the name that is read."""
    return _to_pictures(pictures, lambda picture: [picture.parent])


def elsewhere(pictures: Pictures) -> list[Move]:
    """Return the moves of captions out of folders of captions to beside their pictures."""
    above = dict.fromkeys((*pictures.folders, pictures.root))
    inside = {folder: [each for each in _folders_in(folder) if not pictures_in(each)] for folder in above}
    return _to_pictures(pictures, lambda picture: dict.fromkeys((*inside[picture.parent], *inside[pictures.root])))


def orphans(pictures: Pictures) -> list[Path]:
    """Return the captions that belong to no file in their folder."""
    found = []
    for folder in pictures.folders:
        files = _files_in(folder)
        stems = {alike(path.stem) for path in files if path.suffix.lower() not in LIKE_CAPTIONS}
        found += [
            path
            for path in files
            if path.suffix.lower() in CAPTION_EXTENSIONS
            and not stems.intersection((alike(path.stem), alike(bare_stem(path))))
            and alike(path.stem) not in _NO_CAPTIONS
        ]
    return found


def _to_pictures(pictures: Pictures, looked_in: Callable[[Path], Iterable[Path]]) -> list[Move]:
    """Return the moves to pictures without a caption; where there are two to choose from, none is chosen."""
    used = set(pictures.caption_files)
    by_folder: dict[Path, dict[str, list[Path]]] = {}
    moves: dict[Path, Path] = {}
    for each in pictures.all:
        wanted = each.picture.with_suffix(pictures.extension)
        if each.caption is not None or wanted in moves.values():
            continue
        found = []
        for folder in looked_in(each.picture):
            if folder not in by_folder:
                by_folder[folder] = _captions_by_stem(folder)
            found += [path for path in by_folder[folder].get(alike(each.picture.stem), ()) if path not in used]
        if len(found) == 1 and found[0] not in moves:
            moves[found[0]] = wanted
    return [Move(pictures.name(path), pictures.name(to)) for path, to in moves.items()]


def _captions_by_stem(folder: Path) -> dict[str, list[Path]]:
    by_stem = defaultdict(list)
    for path in _files_in(folder):
        if path.suffix.lower() in LIKE_CAPTIONS:
            by_stem[alike(bare_stem(path))].append(path)
    return by_stem


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _folders_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
