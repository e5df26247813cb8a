"""What sets right what a check has found in a dataset: for the code of each finding a function that makes an edit.

Pictures are moved at most, never changed: rotated, converted and resized they are in what travels to the machine.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from loratui.preflight.caption_edits import Wishes, caption_edit
from loratui.preflight.caption_words import has_trigger
from loratui.preflight.captioned import Captioned, Pictures, caption_bytes
from loratui.preflight.changes import Change, Edit, WriteFile
from loratui.preflight.facts import Fault
from loratui.preflight.kept_marks import with_marks
from loratui.preflight.places import side_folder
from loratui.preflight.relocation import relocated, with_captions
from loratui.preflight.stray_captions import elsewhere, oddly_named, orphans
from loratui.preflight.workers import Wanted, measure_all
from loratui_protocol.dataset_folders import pictures_in, repeats_of
from loratui_protocol.encodings import guessed, is_utf8

_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]+')
"""What no name may have on one system or another."""


_BROKEN = (Fault.EMPTY, Fault.TRUNCATED, Fault.UNDECODABLE)
"""Faults of files that no program shows whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What only a person knows."""

    trigger: str | None = None
    repeats: int | None = None
    """How often an epoch shows the pictures of a flat folder, once it is numbered; None: it stays flat."""


Fix = Callable[[Pictures, Told], Edit]
"""Makes the edit; one without changes where there is nothing to set right, or no one way to do so."""


def _rename_odd_captions(pictures: Pictures, _: Told) -> Edit:
    return _edit(pictures, "captions renamed to what is read", oddly_named(pictures))


def _move_captions(pictures: Pictures, _: Told) -> Edit:
    return _edit(pictures, "captions moved to their pictures", elsewhere(pictures))


def move_captions(pictures: Pictures) -> Edit:
    """Return the edit that brings captions to their pictures, out of folders of captions and from odd names.

    A picture that has candidates in both keeps its missing caption: which one is meant is for a person to say.
    """
    near, far = oddly_named(pictures), elsewhere(pictures)
    wanted = [move.to for move in (*near, *far)]
    return _edit(
        pictures, "captions moved to their pictures", [move for move in (*near, *far) if wanted.count(move.to) == 1]
    )


def _drop_marks(pictures: Pictures, _: Told) -> Edit:
    return _rewritten(pictures, "byte order marks removed", may_be_utf8=True)


def _recode(pictures: Pictures, _: Told) -> Edit:
    return _rewritten(pictures, "captions rewritten as UTF-8", may_be_utf8=False)


def _set_orphans_aside(pictures: Pictures, _: Told) -> Edit:
    return _aside(pictures, "captions without a picture set aside", [[path] for path in orphans(pictures)])


def _set_duplicates_aside(pictures: Pictures, _: Told) -> Edit:
    copies = [each.picture for group in _duplicates(pictures) for each in group[1:]]
    return _aside(pictures, "copies of pictures set aside", with_captions(copies))


def _set_broken_aside(pictures: Pictures, _: Told) -> Edit:
    facts = measure_all([Wanted(each.picture) for each in pictures.all])
    found = dict(zip((each.picture for each in pictures.all), facts, strict=True))
    broken = [path for path, each in found.items() if each.fault in _BROKEN]
    blank = [path for path, each in found.items() if each.is_blank]
    if len(broken) + len(blank) == len(found):
        # Plain colours are what it is about, or somebody has to look why there is nothing else.
        blank = []
    return _aside(pictures, "pictures that can't be decoded or show nothing set aside", with_captions(broken + blank))


def _insert_trigger(pictures: Pictures, told: Told) -> Edit:
    if not told.trigger:
        return Edit(title="trigger", changes=())
    edit = caption_edit(pictures, Wishes(trigger=told.trigger))
    # The folder's words do for a caption, and the trigger may be in them.
    told_already = {
        pictures.name(path) for path, words in pictures.uncaptioned.items() if has_trigger(words, told.trigger)
    }
    return Edit(title=edit.title, changes=tuple(each for each in edit.changes if each.path not in told_already))


def _take_in_loose(pictures: Pictures, _: Told) -> Edit:
    """Move pictures beside a numbered folder into it; which of several they belong to is for a person to say."""
    title = "loose pictures moved into their folder"
    if pictures.is_leaf or len(pictures.folders) != 1 or pictures.folders[0] == pictures.root:
        return Edit(title=title, changes=())
    target = pictures.name(pictures.folders[0])
    return _edit(pictures, title, _relocated_to(pictures, target))


def _build_layout(pictures: Pictures, told: Told) -> Edit:
    """Move the pictures of a flat folder into one whose name says how often each is shown, as sd-scripts reads it."""
    root = pictures.root
    if pictures.is_leaf or told.repeats is None or pictures.folders != [root] or repeats_of(root.name):
        return Edit(title="numbered folder", changes=())
    words = _FORBIDDEN.sub(" ", told.trigger or root.name).strip(" .")
    target = f"{told.repeats}_{words}"
    return _edit(pictures, f"pictures moved into {target}", _relocated_to(pictures, target))


FIXES: Mapping[str, Fix] = {
    "caption.odd_name": _rename_odd_captions,
    "dataset.no_caption": _move_captions,
    "caption.bom": _drop_marks,
    "dataset.caption_encoding": _recode,
    "caption.orphan": _set_orphans_aside,
    "picture.empty_file": _set_broken_aside,
    "picture.truncated": _set_broken_aside,
    "picture.undecodable": _set_broken_aside,
    "picture.blank": _set_broken_aside,
    "picture.duplicate": _set_duplicates_aside,
    "dataset.loose_pictures": _take_in_loose,
    "caption.trigger_missing": _insert_trigger,
    "caption.trigger_not_in_all": _insert_trigger,
    "caption.trigger_case": _insert_trigger,
    "dataset.flat": _build_layout,
}
"""In the order in which they are done: each finds what those before it have set right."""


def _edit(pictures: Pictures, title: str, changes: Iterable[Change]) -> Edit:
    return Edit(title=title, changes=with_marks(pictures.root, tuple(changes)))


def _rewritten(pictures: Pictures, title: str, *, may_be_utf8: bool) -> Edit:
    """Return the edit that writes captions as plain UTF-8: those that are UTF-8 with a mark, or all others."""
    changes = []
    for path in pictures.caption_files:
        content = caption_bytes(path)
        text = guessed(content)
        if text is not None and (new := text.encode()) != content and is_utf8(content) is may_be_utf8:
            changes.append(WriteFile(pictures.name(path), content, new))
    return _edit(pictures, title, changes)


def _aside(pictures: Pictures, title: str, groups: list[list[Path]]) -> Edit:
    side, root = side_folder(pictures.root), pictures.root
    targets = {folder: side if folder == root else f"{side}/{pictures.name(folder)}" for folder in pictures.folders}
    return _edit(pictures, title, relocated(root, groups, targets))


def _relocated_to(pictures: Pictures, target: str) -> list[Change]:
    root = pictures.root
    return relocated(root, with_captions(pictures_in(root)), {root: target})


def _duplicates(pictures: Pictures) -> list[list[Captioned]]:
    """Return pictures of one folder that are the same file, first the one to keep: captioned, under the plainest name.

    One that lies in two folders is shown under two captions, which may be meant.
    """
    by_size: dict[tuple[Path, int], list[Captioned]] = defaultdict(list)
    for each in pictures.all:
        by_size[each.picture.parent, each.picture.stat().st_size].append(each)
    by_hash: dict[tuple[Path, str], list[Captioned]] = defaultdict(list)
    for each in (each for group in by_size.values() if len(group) > 1 for each in group):
        with each.picture.open("rb") as file:
            by_hash[each.picture.parent, hashlib.file_digest(file, "sha256").hexdigest()].append(each)
    return [sorted(group, key=_worth) for group in by_hash.values() if len(group) > 1]


def _worth(each: Captioned) -> tuple[bool, int, str]:
    is_captioned = each.caption is not None and bool(caption_bytes(each.caption).strip())
    return not is_captioned, len(each.picture.name), each.picture.name
