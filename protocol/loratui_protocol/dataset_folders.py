"""Where the pictures of a dataset lie: kohya's numbered folders and the layouts that people have instead."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from loratui_protocol.errors import DatasetError
from loratui_protocol.findings import Finding, plural, with_paths
from loratui_protocol.harmless import clean
from loratui_protocol.special_files import special

PICTURE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
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


def folders(root: Path) -> tuple[list[tuple[Path, int, str]], list[Finding]]:
    """Return (folder, repeats, class tokens) for each folder with pictures, and what is skipped beside them.

    Raises:
        DatasetError: the folder is missing, or has no pictures where they are looked for.
    """
    _check_there(root, "train_data_dir (or reg_data_dir)")
    children = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    numbered = [(child, *parsed) for child in children if (parsed := repeats_of(child.name))]
    if any(_has_pictures(child) for child, _, _ in numbered):
        return numbered, [*_skipped(root, children, [child for child, _, _ in numbered])]
    if not _has_pictures(root):
        raise _empty(root, children, "train_data_dir")
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
        what=f"train_data_dir (or reg_data_dir) is {root.name} itself: it is trained here; sd-scripts looks for such "
        "folders inside, and would find no pictures",
        fix=f"for sd-scripts name the folder above: {root.parent}",
        path=str(root),
    )
    return [(root, repeats, class_tokens)], [meaning, inner, *_other_kinds(root)]


def _check_there(folder: Path, key: str) -> None:
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise DatasetError(
            f"the dataset folder {folder} {what}",
            fix=f"set {key} to a folder of pictures; relative paths count from the config",
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
    for child in children:
        if child not in numbered and _has_pictures(child):
            number, _, words = child.name.partition("_")
            is_number = number.removeprefix("-").isdecimal()
            why = f"means {number} repeats" if is_number else "does not start with a number of repeats"
            yield Finding(
                code="dataset.folder_skipped",
                severity="warning",
                what=f"{child.name} is skipped: its name {why}",
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
    yield from _special_files(root)
    for folder in numbered:
        yield from _other_kinds(folder, f"{folder.name}/")


def _other_kinds(folder: Path, inside: str = "") -> Iterator[Finding]:
    skipped = sorted(path for path in _files(folder) if path.suffix.lower() in _OTHER_PICTURES)
    if skipped:
        others = Counter(path.suffix.lower() for path in skipped)
        how = " (HEIC on macOS: sips -s format jpeg FILE --out FILE.jpg)" if others.keys() & set(_HEIC) else ""
        found = Finding(
            code="dataset.kind_skipped",
            severity="warning",
            what=f"pictures of kinds that are not read are skipped: {_counts(others)}",
            fix=f"convert them to one of {', '.join(PICTURE_EXTENSIONS)}{how}",
            path=str(folder),
        )
        yield with_paths(found, [f"{inside}{path.name}" for path in skipped])
    yield from _special_files(folder, inside)


def _special_files(folder: Path, inside: str = "") -> Iterator[Finding]:
    special_files = [(path, kind) for path in sorted(folder.iterdir()) if (kind := special(path))]
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


def _empty(root: Path, children: list[Path], key: str) -> DatasetError:
    """Return the error for a folder without pictures; ``key`` names it in the config."""
    here = Counter(path.suffix.lower() or "no extension" for path in _files(root))
    looked_for = ", ".join(PICTURE_EXTENSIONS)
    fix = f"put pictures there ({looked_for}), or set {key} to the folder that has them"
    with_pictures = [child for child in children if _has_pictures(child)]
    if with_pictures and key == "image_dir":
        fix = f"set image_dir to {with_pictures[0]}"
    elif with_pictures:
        first = with_pictures[0].name
        fix = f"rename {first} to 1_{first} (repeats first), or set train_data_dir to {with_pictures[0]}"
    else:
        for child in children:
            if any(_has_pictures(path) for path in child.iterdir() if path.is_dir() and repeats_of(path.name)):
                fix = f"set train_data_dir to {child}"
    found = [*([_counts(here)] if here else []), *(f"{child.name}/" for child in children[:_CHILDREN_SHOWN])]
    return DatasetError(
        f"no pictures in {root}: looked for {looked_for}, found {', '.join(found) or 'nothing'}",
        fix=fix,
        code="dataset.empty",
    )


def _counts(extensions: Counter[str]) -> str:
    return ", ".join(f"{count} {extension}" for extension, count in sorted(extensions.items()))
