"""Caption files as they lie in their folders: which belong to no picture, have names that are not read, or are two."""

import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from loratui.preflight import draft_marks
from loratui.preflight.naming import LIKE_CAPTIONS, alike, bare_stem, first
from loratui.preflight.trained_folders import Told, TrainedFolder
from loratui_protocol.caption_files import CAPTION_EXTENSIONS
from loratui_protocol.errors import DatasetError
from loratui_protocol.findings import Finding, plural, with_paths
from loratui_protocol.harmless import clean


def caption_file_findings(folders: Iterable[TrainedFolder]) -> Iterator[Finding]:
    """Yield what is wrong with the files; each folder is looked at once, however many datasets share it."""
    for folder in {folder.path: folder for folder in folders}.values():
        yield from _names(folder)
        yield from _contents(folder)
        yield from _drafts(folder)


def _names(folder: TrainedFolder) -> Iterator[Finding]:
    extension = folder.subset.config.caption_extension
    extensions = (extension,) if extension else CAPTION_EXTENSIONS
    pictures = [told.picture.path for told in folder.told]
    files = sorted(path for path in folder.path.iterdir() if path.is_file() and not path.name.startswith("."))
    looked_for = dict.fromkeys((*extensions, *CAPTION_EXTENSIONS))
    read = {path for picture in pictures for ext in looked_for if (path := picture.with_suffix(ext)).is_file()}
    # A system may take a.TXT for a.txt.
    read_names = {path.name.casefold() for path in read}
    captions = [path for path in files if path.suffix.lower() in LIKE_CAPTIONS and path not in read]
    other_stems = {path.stem for path in files if path.suffix.lower() not in LIKE_CAPTIONS}
    by_stem = {alike(picture.stem): picture for picture in pictures}
    odd, orphans = [], []
    for path in captions:
        picture = by_stem.get(alike(bare_stem(path)))
        wanted = None if picture is None else picture.with_suffix(extensions[0])
        if wanted is not None and path.name != wanted.name and wanted.name.casefold() not in read_names:
            odd.append((path, wanted))
        elif picture is None and path.stem not in other_stems and path.suffix.lower() in CAPTION_EXTENSIONS:
            orphans.append(path)
    if odd:
        path, wanted = odd[0]
        yield _warning(
            "caption.odd_name",
            f"{plural(len(odd), 'file', 'is', 'are')} not read as captions because of their names "
            f"({first(each for each, _ in odd)})",
            f"rename {clean(path.name)} to {clean(wanted.name)}" + (", and the others alike" if odd[1:] else ""),
            path,
            folder.names(each for each, _ in odd),
        )
    if orphans:
        yield _warning(
            "caption.orphan",
            f"{plural(len(orphans), 'caption file', 'belongs', 'belong')} to no picture ({first(orphans)})",
            "name each as its picture, or remove it",
            orphans[0],
            folder.names(orphans),
        )
    named_so = [path for picture in pictures for ext in looked_for if (path := picture.with_suffix(ext)).is_dir()]
    if named_so:
        yield _warning(
            "caption.is_folder",
            f"{plural(len(named_so), 'folder', 'has', 'have')} the name of a caption ({first(named_so)}): "
            "nothing in it is read",
            "put the caption in a file of that name",
            named_so[0],
            folder.names(named_so),
        )
    yield from _twice(folder, extensions)


def _twice(folder: TrainedFolder, extensions: tuple[str, ...]) -> Iterator[Finding]:
    """Yield captions of which a picture has two, and pictures that share one."""
    double = [
        told.file
        for told in folder.told
        if told.file is not None
        and any(told.picture.path.with_suffix(ext).is_file() for ext in CAPTION_EXTENSIONS if ext != told.file.suffix)
    ]
    if double:
        other = next(ext for ext in CAPTION_EXTENSIONS if ext != double[0].suffix)
        yield _warning(
            "caption.double",
            f"{plural(len(double), 'picture', 'has', 'have')} a {double[0].suffix} and a {other} file; "
            f"{double[0].suffix} is read ({first(double)})",
            f"remove the one that is wrong, or set caption_extension; sd-scripts reads {extensions[-1]}",
            double[0],
            folder.names(double),
        )
    sharing: dict[Path, list[Path]] = defaultdict(list)
    for told in folder.told:
        if told.file is not None:
            sharing[told.file].append(told.picture.path)
    shared = {file: pictures for file, pictures in sharing.items() if len(pictures) > 1}
    if shared:
        file, pictures = next(iter(shared.items()))
        names = " and ".join(clean(picture.name) for picture in pictures)
        yield _warning(
            "caption.shared",
            f"{plural(len(shared), 'caption file', 'is', 'are each')} read for several pictures "
            f"({first(shared)}): {names}",
            "rename one of the pictures, and give it a caption of its own",
            file,
            folder.names(shared),
        )


def _contents(folder: TrainedFolder) -> Iterator[Finding]:
    marked = [told.file for told in folder.told if told.has_bom and told.file is not None]
    if marked:
        found = Finding(
            code="caption.bom",
            severity="info",
            what=f"{plural(len(marked), 'caption file', 'begins', 'begin')} with a byte order mark "
            f"({first(marked)}): it is not read here, and sd-scripts takes it for a letter",
            fix="save them as UTF-8 without a BOM",
            path=str(marked[0]),
        )
        yield with_paths(found, folder.names(marked))
    unseen = [told for told in folder.told if told.file is not None and _has_unseen(told)]
    if unseen and unseen[0].file is not None:
        names = first(told.file for told in unseen if told.file is not None)
        yield _warning(
            "caption.unseen_characters",
            f"{plural(len(unseen), 'caption', 'holds', 'hold')} control characters or ones that turn or hide text "
            f"({names}); each is a token or more",
            "write them anew, as plain UTF-8 text",
            unseen[0].file,
            [told.name for told in unseen],
        )


def without_unseen(caption: str) -> str:
    """Return the caption without what controls a terminal, or turns or hides text."""
    # Emoji are joined by one of these characters.
    return "\u200d".join(clean(part, len(part)) for part in caption.split("\u200d"))


def _has_unseen(told: Told) -> bool:
    caption = told.picture.caption
    return told.is_readable and without_unseen(caption) != caption


def _drafts(folder: TrainedFolder) -> Iterator[Finding]:
    try:
        drafts = draft_marks.unreviewed(folder.path)
    except DatasetError as error:
        path = folder.path / draft_marks.FILE_NAME
        yield _warning(error.code, error.what, error.fix, path)
        return
    files = [told.file for told in folder.told if told.file is not None and told.file.name in drafts]
    if files:
        models = " and ".join(sorted({drafts[file.name].by for file in files}))
        yield _warning(
            "caption.draft",
            f"{len(files)} of {len(folder.told)} captions are drafts by {models} that nobody has read ({first(files)})",
            "read them and correct what is wrong, then say so: "
            f"loratui caption {shlex.quote(clean(str(folder.path)))} --review",
            files[0],
            folder.names(files),
        )


def _warning(code: str, what: str, fix: str, path: Path, names: Sequence[str] = ()) -> Finding:
    return with_paths(Finding(code=code, severity="warning", what=what, fix=fix, path=str(path)), names)
