"""Where the pictures of a dataset lie: kohya's numbered folders and the layouts that people have instead."""

import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from loratui_protocol.errors import DatasetError
from loratui_protocol.findings import Finding, plural, with_paths
from loratui_protocol.harmless import clean
from loratui_protocol.inner_folders import broken_links, inner_folders
from loratui_protocol.picture_names import PICTURE_EXTENSIONS, misnamed, misnamed_findings
from loratui_protocol.special_files import special

_OTHER_PICTURES = (".heic", ".heif", ".avif", ".gif", ".tif", ".tiff", ".jxl", ".svg", ".psd")
_HEIC = (".heic", ".heif")
_CHILDREN_SHOWN = 20
_SPECIAL_SHOWN = 3
_MANY_REPEATS = 200


def leaf(folder: Path) -> list[Finding]:
    """Return what is skipped in a folder that a dataset names as its ``image_dir``; errors as in ``folders``."""
    _check_there(folder, "image_dir")
    if not _has_pictures(folder):
        children = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        raise _empty(folder, children, "image_dir")
    return [*_other_kinds(folder)]


def folders(root: Path, key: str | None = None) -> tuple[list[tuple[Path, int, str]], list[Finding]]:
    """Return (folder, repeats, class tokens) for each folder with pictures, and what is skipped beside them.

    ``key`` is the config's for the folder; None: a person has named it.

    Raises:
        DatasetError: the folder is missing, or has no pictures where they are looked for.
    """
    _check_there(root, key)
    children = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    numbered = [(child, *parsed) for child in children if (parsed := repeats_of(child.name))]
    if any(_has_pictures(child) for child, _, _ in numbered):
        return numbered, [*_skipped(root, children, [child for child, _, _ in numbered])]
    if not _has_pictures(root):
        raise _empty(root, children, key)
    parsed = repeats_of(root.name)
    if parsed is None:
        return [(root, 1, "")], [*_other_kinds(root)]
    repeats, class_tokens = parsed
    meaning = Finding(
        code="dataset.repeats",
        severity="warning" if repeats > _MANY_REPEATS else "info",
        what=f"the folder's name means {plural(repeats, 'repeat')} of {class_tokens!r}, as in sd-scripts",
        fix="rename the folder if the number is no count of repeats",
        path=str(root),
    )
    inner = Finding(
        code="dataset.inner_folder",
        severity="info",
        what=f"{key or 'the folder'} is {root.name} itself: it is trained here; sd-scripts looks for such folders "
        "inside, and would find no pictures",
        fix=f"for sd-scripts name the folder above: {root.parent}",
        path=str(root),
    )
    return [(root, repeats, class_tokens)], [meaning, inner, *_other_kinds(root)]


def _check_there(folder: Path, key: str | None) -> None:
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise DatasetError(
            f"the dataset folder {folder} {what}",
            fix=f"set {key} to a folder of pictures; relative paths count from the config"
            if key
            else "name a folder of pictures",
            code="dataset.missing",
        )


def repeats_of(folder_name: str) -> tuple[int, str] | None:
    """Return repeats and class tokens of a kohya folder name, None if it is not one."""
    number, _, class_tokens = folder_name.partition("_")
    try:
        repeats = int(number)
    except ValueError:
        return None
    return (repeats, class_tokens) if repeats >= 1 else None


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures directly in a folder, by name."""
    return sorted(path for path in _files(folder) if path.suffix.lower() in PICTURE_EXTENSIONS)


def like_pictures_in(folder: Path) -> list[Path]:
    """Return the pictures directly in a folder, those of kinds that are not read among them, by name."""
    return sorted(path for path in _files(folder) if path.suffix.lower() in (*PICTURE_EXTENSIONS, *_OTHER_PICTURES))


def masks_in(folder: Path) -> list[Path]:
    """Return the pictures in a folder and in the folders in it, by name."""
    inside = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return [path for each in (folder, *sorted(inside)) for path in pictures_in(each)]


def _has_pictures(folder: Path) -> bool:
    return any(path.suffix.lower() in PICTURE_EXTENSIONS for path in _files(folder))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _skipped(root: Path, children: list[Path], numbered: list[Path]) -> Iterator[Finding]:
    """Yield what lies beside the numbered folders and is not trained."""
    # A link may lead to one of them, or back to where it lies.
    elsewhere = {path.resolve() for path in (root, *root.resolve().parents, *numbered)}
    for child in children:
        if child not in numbered and child.resolve() not in elsewhere and (count := len(like_pictures_in(child))):
            number, _, words = child.name.partition("_")
            is_number = number.removeprefix("-").isdecimal()
            why = f"means {number} repeats" if is_number else "does not start with a number of repeats"
            yield Finding(
                code="dataset.folder_skipped",
                severity="warning",
                what=f"{child.name} is skipped, with {count} pictures: its name {why}",
                fix=f"rename it to 1_{words if is_number else child.name}",
                path=str(child),
            )
    if loose := pictures_in(root):
        found = Finding(
            code="dataset.loose_pictures",
            severity="warning",
            what=f"skipped: {plural(len(loose), 'picture')} beside the numbered folders",
            fix="move them into one of the folders",
            path=str(root),
        )
        yield with_paths(found, [path.name for path in loose])
    yield from _other_kinds(root)
    for folder in numbered:
        yield from _other_kinds(folder, f"{folder.name}/")


def _other_kinds(folder: Path, inside: str = "") -> Iterator[Finding]:
    """Yield what is a picture in a folder and is not read."""
    odd = dict(misnamed(folder))
    skipped = sorted(path for path in _files(folder) if path.suffix.lower() in _OTHER_PICTURES and path not in odd)
    if skipped:
        others = Counter(path.suffix.lower() for path in skipped)
        heic = [path for path in skipped if path.suffix.lower() in _HEIC]
        how = f" (on macOS: {jpeg_command(heic[0])})" if heic else ""
        found = Finding(
            code="dataset.kind_skipped",
            severity="warning",
            what=f"pictures of kinds that are not read are skipped: {_counts(others)}",
            fix=f"convert them to one of {', '.join(PICTURE_EXTENSIONS)}{how}",
            path=str(folder),
        )
        yield with_paths(found, [f"{inside}{path.name}" for path in skipped])
    yield from misnamed_findings(folder, [*odd.items()])
    yield from _special_files(folder, inside)


def _special_files(folder: Path, inside: str) -> Iterator[Finding]:
    # Links that lead to nothing are told of with all others below the folder.
    there = (path for path in sorted(folder.iterdir()) if path.exists())
    special_files = [(path, kind) for path in there if (kind := special(path))]
    if special_files:
        named = ", ".join(f"{clean(path.name)} is {kind}" for path, kind in special_files[:_SPECIAL_SHOWN])
        more = f" and {len(special_files) - _SPECIAL_SHOWN} more" if len(special_files) > _SPECIAL_SHOWN else ""
        found = Finding(
            code="dataset.special_file",
            severity="warning",
            what=f"what is no file is never opened: {named}{more}",
            fix="remove it, or put a file in its place",
            path=str(special_files[0][0]),
        )
        yield with_paths(found, [f"{inside}{path.name}" for path, _ in special_files])


def jpeg_command(picture: Path) -> str:
    """Return what to type on macOS for a picture of another kind to be a JPEG."""
    return f"sips -s format jpeg {shlex.quote(str(picture))} --out {shlex.quote(str(picture.with_suffix('.jpg')))}"


def _empty(root: Path, children: list[Path], key: str | None) -> DatasetError:
    """Return the error for a folder without pictures; ``key`` as in ``folders``."""
    here = Counter(path.suffix.lower() or "no extension" for path in _files(root))
    looked_for = ", ".join(PICTURE_EXTENSIONS)
    broken = len([*broken_links(root)])
    found = [
        *([_counts(here)] if here else []),
        *([f"{broken} links that lead to nothing"] if broken else []),
        *(f"{child.name}/" for child in children[:_CHILDREN_SHOWN]),
    ]
    return DatasetError(
        f"no pictures in {root}: looked for {looked_for}, found {', '.join(found) or 'nothing'}",
        fix=_where_they_are(root, key)
        or f"put pictures there ({looked_for}), or {_name_it(key)} the folder that has them",
        code="dataset.empty",
    )


def _name_it(key: str | None) -> str:
    return f"set {key} to" if key else "name"


def _where_they_are(root: Path, key: str | None) -> str:
    """Return what to do if there are pictures under names that are not read, or deeper inside; nothing if not."""
    children = (child for child in sorted(root.iterdir()) if child.is_dir() and repeats_of(child.name))
    if any(True for folder in (root, *(children if key != "image_dir" else ())) for _ in misnamed(folder)):
        command = f"loratui check {shlex.quote(str(root))} --fix"
        return f"there are pictures under names that are not read; to rename them: {command}"
    inside = [folder for folder in inner_folders(root) if _has_pictures(folder)]
    if not inside:
        return ""
    if key == "image_dir":
        return f"{_name_it(key)} {inside[0]}"
    if child := next((folder for folder in inside if folder.parent == root), None):
        return f"rename {child.name} to 1_{child.name} (repeats first), or {_name_it(key)} {child}"
    if numbered := next((folder for folder in inside if repeats_of(folder.name)), None):
        return f"{_name_it(key)} {numbered.parent}"
    top = root / inside[0].relative_to(root).parts[0]
    if repeats_of(top.name):
        return f"move the pictures of {inside[0]} into {top}"
    return f"{_name_it(key)} {inside[0]}"


def _counts(extensions: Counter[str]) -> str:
    return ", ".join(f"{count} {extension}" for extension, count in sorted(extensions.items()))
