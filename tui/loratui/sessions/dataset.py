"""A dataset that is looked at and put in order: its pictures, what was found of them, and the edits of its captions."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loratui.domain.natural import natural
from loratui.preflight.captioned import Captioned, Pictures, caption_bytes, captioned_pictures
from loratui.preflight.changes import CreateFile, Edit, WriteFile
from loratui.preflight.clip_tokens import count_tokens
from loratui.preflight.draft_marks import unreviewed
from loratui.preflight.fixes import FIXES, Told
from loratui.preflight.likely_trigger import likely_trigger
from loratui.preflight.workers import Progress
from loratui_protocol.base_model import BUILTIN_PREFIX
from loratui_protocol.buckets import place
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import read_config
from loratui_protocol.encodings import guessed
from loratui_protocol.errors import ConfigError, DatasetError, UsageError
from loratui_protocol.findings import Finding
from loratui_protocol.picture_sizes import picture_sizes
from loratui_protocol.subsets import subsets_of

NEEDS_TRIGGER = ("caption.trigger_missing", "caption.trigger_not_in_all", "caption.trigger_case")
NEEDS_REPEATS = ("dataset.flat",)
"""Codes of findings that are set right with what only a person knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDataset:
    """A folder of pictures, opened by its own path or by that of a config which names it."""

    path: Path
    """What was opened."""
    folder: Path
    """Where the pictures are, and the edits are made."""
    config: TrainingConfig | None = None
    num_folders: int = 1
    """How many the config names; the first is open."""
    is_leaf: bool = False
    is_reg: bool = False
    caption_extension: str | None = None

    @property
    def trigger(self) -> str | None:
        """Return what every caption is to have; regularisation pictures show what it does not mean."""
        return None if self.config is None or self.is_reg else self.config.trigger_word

    def pictures(self) -> Pictures:
        """Return the pictures as they are now; errors as in ``captioned_pictures``."""
        return captioned_pictures(self.folder, self.caption_extension, is_leaf=self.is_leaf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A picture as a list shows it."""

    name: str
    """Relative to the dataset's folder, with forward slashes, as it is called."""
    path: Path
    size: tuple[int, int] | None
    """Width and height in pixels as seen; None: it can't be read, or is far too narrow."""
    bucket: tuple[int, int] | None
    """The size that it is trained at; None: that isn't known."""
    caption: str
    """The line that is read, or what stands for it where there is no file."""
    caption_file: Path | None
    num_lines: int
    """Of the caption file that are not blank."""
    num_tokens: int | None
    """Of the caption, for CLIP; None: the base model has others."""
    state: str
    """In one word what is to be said of the caption; empty: nothing."""


def open_dataset(path: Path) -> OpenDataset:
    """Return the dataset of a folder or of a config.

    Raises:
        ConfigError, DatasetError: it can't be read, or names no folder.
        UsageError: there is no such folder or file.
    """
    path = path.absolute()
    if path.is_dir():
        return OpenDataset(path=path, folder=path)
    if not path.is_file():
        raise UsageError(f"there is no folder {path}", fix="give a folder of pictures, or a config")
    config = read_config(path).config
    subsets = subsets_of(config)
    first = subsets[0]
    return OpenDataset(
        path=path,
        folder=Path(first.image_dir),
        config=config,
        num_folders=len(subsets),
        is_leaf=first.num_repeats is not None,
        is_reg=first.is_reg,
        caption_extension=first.config.caption_extension,
    )


def listed(dataset: OpenDataset) -> tuple[Listed, ...]:
    """Return all pictures as they lie there, as people count; no pixel is read. Errors as in ``captioned_pictures``."""
    pictures = dataset.pictures()
    sizes, _ = picture_sizes([each.picture for each in pictures.all], verify=False)
    buckets = _buckets(sizes, dataset)
    # The tokens of the built-in model are not CLIP's.
    is_clip = dataset.config is None or not dataset.config.pretrained_model_name_or_path.startswith(BUILTIN_PREFIX)
    drafts = {folder: unreviewed(folder) for folder in pictures.folders}
    entries = []
    for each in pictures.all:
        lines, state = _caption(each.caption)
        if not state and each.caption is not None and each.caption.name in drafts[each.picture.parent]:
            state = "draft"
        caption = lines[0] if lines else each.class_tokens if each.caption is None else ""
        name = pictures.name(each.picture)
        entries.append(
            Listed(
                name=name,
                # As the check has it: the root of the pictures has no links in it.
                path=dataset.folder / name,
                size=sizes.get(each.picture),
                bucket=buckets.get(each.picture),
                caption=caption,
                caption_file=None if each.caption is None else dataset.folder / pictures.name(each.caption),
                num_lines=len(lines),
                num_tokens=count_tokens(caption) if is_clip else None,
                state=state,
            )
        )
    return tuple(sorted(entries, key=lambda entry: natural(entry.name)))


def _buckets(sizes: dict[Path, tuple[int, int]], dataset: OpenDataset) -> dict[Path, tuple[int, int]]:
    """Return the buckets; a folder alone says nothing of the resolution."""
    if dataset.config is None:
        return {}
    config = subsets_of(dataset.config)[0].config
    try:
        placed = place([*sizes.values()], config)
    except ConfigError:
        # The check says so.
        return {}
    return dict(zip(sizes, ((each.bucket.width, each.bucket.height) for each in placed), strict=True))


def _caption(path: Path | None) -> tuple[list[str], str]:
    """Return the lines of a caption that are not blank, and what is to be said of it."""
    if path is None:
        return [], "missing"
    try:
        content = caption_bytes(path)
    except DatasetError:
        return [], "unreadable"
    text = guessed(content)
    if text is None:
        return [], "unreadable"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines, "" if lines else "empty"


def found(dataset: OpenDataset, progress: Progress | None = None) -> tuple[Finding, ...]:
    """Return all that there is to say, every picture decoded; a refusal is findings, too.

    Raises:
        ConfigError, DatasetError, ModelError: what is there can't even be looked at.
    """
    # Half of what a screen of pictures would wait for; threads check.
    from loratui.sessions.checking import DatasetRefusedError, check_config, check_folder

    if dataset.config is None:
        return tuple(check_folder(dataset.folder, progress)[1])
    try:
        return check_config(dataset.path, progress=progress).findings
    except DatasetRefusedError as error:
        return error.findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A finding, and the names of the pictures that it is about."""

    finding: Finding
    names: frozenset[str]


def with_names(findings: Sequence[Finding], pictures: Sequence[Listed], folder: Path) -> tuple[Found, ...]:
    """Return each finding with the pictures of its files, as far as it names them."""
    by_path: dict[str, set[str]] = defaultdict(set)
    missing = frozenset(each.name for each in pictures if each.state == "missing")
    for each in pictures:
        for path in (each.path, each.caption_file):
            if path is not None:
                by_path[str(path)].add(each.name)
                by_path[path.relative_to(folder).as_posix()].add(each.name)
    # A config may name other folders, in which pictures have the same names.
    here = [not each.path or Path(each.path).is_relative_to(folder) for each in findings]
    return tuple(
        Found(finding=each, names=_names(each, by_path, missing) if is_here else frozenset())
        for each, is_here in zip(findings, here, strict=True)
    )


def _names(finding: Finding, by_path: Mapping[str, set[str]], missing: frozenset[str]) -> frozenset[str]:
    relative = finding.paths
    if not relative and finding.code == "dataset.no_caption":
        return missing
    return frozenset(name for path in relative or (finding.path,) for name in by_path.get(path, ()))


def likely_word(dataset: OpenDataset, pictures: Sequence[Listed]) -> str:
    """Return the word that is likely to call what the pictures show."""
    folders = dict.fromkeys(each.path.parent.name for each in pictures)
    captions = [each.caption for each in pictures if each.caption_file is not None]
    name = dataset.folder.resolve().name
    return likely_trigger(captions, (*folders, name), name).word


# --- edits -----------------------------------------------------------------------------------------------------------


def chosen(pictures: Pictures, names: Collection[str]) -> Pictures:
    """Return only the pictures of these names."""
    return replace(pictures, all=tuple(each for each in pictures.all if pictures.name(each.picture) in names))


def picture_named(pictures: Pictures, name: str) -> Captioned:
    """Return one picture.

    Raises:
        DatasetError: it is gone.
    """
    for each in pictures.all:
        if pictures.name(each.picture) == name:
            return each
    raise DatasetError("the picture is not there any more", fix="check the folder again", code="edit.changed")


def rewritten(dataset: OpenDataset, name: str, caption: str) -> Edit:
    """Return the edit that gives one picture another caption: the line that is read; others in the file stay.

    Raises:
        DatasetError: the picture is gone, or its caption is no text.
    """
    pictures = dataset.pictures()
    each = picture_named(pictures, name)
    title = "caption of one picture"
    if each.caption is None:
        file = each.picture.with_suffix(pictures.extension)
        return Edit(title=title, changes=(CreateFile(pictures.name(file), f"{caption.strip()}\n".encode()),))
    content = caption_bytes(each.caption)
    text = guessed(content)
    if text is None:
        raise DatasetError("the caption's file is no text", fix="write it anew", code="dataset.caption_encoding")
    new = _first_line_replaced(text, caption.strip()).encode()
    changes = () if new == content else (WriteFile(pictures.name(each.caption), content, new),)
    return Edit(title=title, changes=changes)


def _first_line_replaced(text: str, line: str) -> str:
    lines = text.splitlines(keepends=True)
    at = next((index for index, each in enumerate(lines) if each.strip()), None)
    if at is None:
        return f"{line}\n"
    end = lines[at][len(lines[at].rstrip("\r\n")) :]
    return "".join([*lines[:at], line, end, *lines[at + 1 :]])


def fix_of(dataset: OpenDataset, code: str, *, trigger: str | None = None, repeats: int | None = None) -> Edit:
    """Return the edit that sets right what a finding's code says, without changes where there is no one way to.

    Raises:
        DatasetError: a caption or the folder can't be read.
        UsageError: no program can set it right.
    """
    if code not in FIXES:
        raise UsageError("no program can set this right", fix="do what the finding says")
    return FIXES[code](dataset.pictures(), Told(trigger=trigger or dataset.trigger, repeats=repeats))
