"""``caption``: edits the captions of a folder in bulk, shown before and taken back if wished."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from loratui.cli.arguments import Arguments
from loratui.cli.editing import carry_out, edit_fields, is_somebody_there, show, told_if_interrupted, undo_command
from loratui.cli.leaving import interrupted_at_rest
from loratui.preflight.caption_edits import Wishes, caption_edit, review_edit
from loratui.preflight.captioned import Captioned, Pictures, captioned_pictures
from loratui.preflight.changes import Edit
from loratui.preflight.draft_marks import Draft, unreviewed
from loratui.preflight.edits import Undone, undo
from loratui.preflight.fixes import move_captions
from loratui.preflight.undo_records import has_records
from loratui.sessions.dataset import chosen
from loratui_protocol.caption_files import MAX_CAPTION_BYTES
from loratui_protocol.encodings import guessed
from loratui_protocol.errors import UsageError
from loratui_protocol.harmless import clean

_NAME_CHARS = 40
_CAPTION_CHARS = 200


def caption(arguments: Arguments) -> int:
    """Do the one thing that is asked for; 1 if not all could be taken back."""
    if arguments.captioner is None and (arguments.model or arguments.overwrite or arguments.threshold is not None):
        raise UsageError(
            "--model, --threshold and --overwrite go with --with", fix="add --with wd14, or leave them out"
        )
    wishes = _wishes(arguments)
    if arguments.captioner is not None:
        return _draft(arguments, arguments.captioner, replace(wishes, trigger=None))
    single = [arguments.undo, arguments.review, arguments.list_captions, arguments.move_captions]
    if sum(single) + wishes.any != 1:
        raise UsageError(
            "caption does one thing at a time" if any(single) or wishes.any else "what is to become of the captions?",
            fix="--set, --prefix, --suffix, --replace, --remove-tag, --prune-above and --trigger go together; --undo, "
            "--review, --list and --move-captions are each by themselves",
        )
    if arguments.only and not wishes.any:
        raise UsageError("--only goes with an edit", fix="add --set, --prefix, --replace or another, or leave it out")
    if arguments.undo:
        return _undo(arguments)
    if arguments.list_captions:
        return _list(arguments, captioned_pictures(arguments.folder).all)
    with told_if_interrupted(arguments.folder):
        return _edit(arguments, _wanted_edit(arguments, wishes))


def _wanted_edit(arguments: Arguments, wishes: Wishes) -> Edit:
    pictures = captioned_pictures(arguments.folder)
    if arguments.review:
        return review_edit(pictures)
    if arguments.move_captions:
        return move_captions(pictures)
    return caption_edit(_only(pictures, arguments.only) if arguments.only else pictures, wishes)


def _only(pictures: Pictures, words: list[str]) -> Pictures:
    """Return those of the pictures that are named.

    Raises:
        UsageError: a word names none of them.
    """
    names = {pictures.name(each.picture) for each in pictures.all}
    paths = {each.picture: pictures.name(each.picture) for each in pictures.all}
    meant = {word: word if word in names else paths.get(Path(word).resolve(), "") for word in words}
    for word, name in meant.items():
        if not name:
            raise UsageError(
                f"{clean(word, _NAME_CHARS)} is no picture that is trained of {pictures.root}",
                fix="name it by its path in the folder, as loratui caption --list --json has it",
                code="caption.no_picture",
            )
    return chosen(pictures, set(meant.values()))


def _draft(arguments: Arguments, captioner_name: str, others: Wishes) -> int:
    """Let a model draft captions; nothing else is done with them at once."""
    single = [arguments.undo, arguments.review, arguments.list_captions, arguments.move_captions]
    if any(single) or others.any or arguments.only or arguments.dry_run:
        raise UsageError(
            "caption does one thing at a time",
            fix="draft first, with --with and --trigger alone; edit the drafts afterwards",
        )
    # What runs models takes a while to load.
    from loratui.cli.draft import draft

    return draft(arguments, captioner_name)


def _wishes(arguments: Arguments) -> Wishes:
    """Return what was typed.

    Raises:
        UsageError: a trigger is missing, empty or has several lines, or a text to be replaced is empty.
    """
    replaced = tuple((old, new) for old, new in arguments.replace)
    trigger = None if arguments.trigger is None else arguments.trigger.strip()
    if any(not old for old, _ in replaced):
        raise UsageError("--replace: nothing can't be replaced", fix="give the text that is to go")
    is_none = trigger == "" and arguments.prune_above is not None
    if trigger is not None and len(trigger.splitlines()) != 1 and not is_none:
        raise UsageError("--trigger takes one word or phrase", fix="write it as it is to stand in the captions")
    if arguments.prune_above is not None and trigger is None:
        # It stands in all captions: it would be the first to go.
        raise UsageError(
            "--prune-above has to know the trigger", fix="give --trigger T, or --trigger '' if there is none"
        )
    return Wishes(
        text=arguments.set_text,
        replace=replaced,
        remove_tags=tuple(arguments.remove_tag),
        prune_above=arguments.prune_above,
        prefix=arguments.prefix,
        suffix=arguments.suffix,
        trigger=trigger or None,
    )


def _edit(arguments: Arguments, edit: Edit) -> int:
    folder = arguments.folder
    if not arguments.yes and not arguments.dry_run and not is_somebody_there():
        raise UsageError(
            "there is nobody to ask: nothing was changed",
            fix="give --yes, or --dry-run to see what would be",
            code="caption.unasked",
        )
    record = None
    if edit.changes:
        show(edit, everything=arguments.dry_run, on_stdout=not arguments.json)
        if not arguments.dry_run:
            record = carry_out(edit, folder, asks=not arguments.yes)
    if arguments.json:
        print(json.dumps(edit_fields(edit, folder, record)))
    elif not edit.changes:
        print("there is nothing to change")
    return 0


def _undo(arguments: Arguments) -> int:
    with interrupted_at_rest():
        return _undone(arguments, undo(arguments.folder))


def _undone(arguments: Arguments, undone: Undone | None) -> int:
    if undone is None:
        inside = [path for path in sorted(arguments.folder.iterdir()) if path.is_dir() and has_records(path)]
        raise UsageError(
            f"there is no edit of {arguments.folder} to take back",
            fix=f"{undo_command(inside[0])} takes back one of the folder in it" if inside else "",
            code="edit.none",
        )
    left = [clean(name, _CAPTION_CHARS) for name in undone.left]
    if arguments.json:
        record = str(undone.record) if undone.record else None
        print(json.dumps({"title": undone.title, "restored": undone.num_restored, "left": left, "record": record}))
    else:
        print(f"taken back: {undone.title} ({undone.num_restored} of {undone.num_restored + len(left)} changes)")
    for name in left:
        print(f"left as it is, because somebody changed it since: {name}", file=sys.stderr)
    if undone.record:
        print(f"what was there before is in {undone.record}", file=sys.stderr)
    return 1 if left else 0


def _list(arguments: Arguments, pictures: tuple[Captioned, ...]) -> int:
    drafts = {folder: unreviewed(folder) for folder in {each.picture.parent for each in pictures}}
    rows = [_row(each, drafts[each.picture.parent]) for each in pictures]
    if arguments.json:
        print(json.dumps({"captions": rows}))
        return 0
    for row in rows:
        lines = clean(row["caption"], _CAPTION_CHARS).splitlines()
        name = clean(Path(row["picture"]).name, _NAME_CHARS)
        print(f"{name:<{_NAME_CHARS}} {row['state']:<10} {lines[0] if lines else ''}".rstrip())
    return 0


def _row(each: Captioned, drafts: dict[str, Draft]) -> dict[str, Any]:
    """Return a picture's caption, and its state: empty where there is nothing to say of it."""
    text, state = each.class_tokens, "missing"
    if each.caption is not None:
        is_caption = each.caption.stat().st_size <= MAX_CAPTION_BYTES
        found = guessed(each.caption.read_bytes()) if is_caption else None
        text, state = found or "", ""
        if found is None:
            state = "unreadable"
        elif not found.strip():
            state = "empty"
        elif each.caption.name in drafts:
            state = "draft"
    return {
        "picture": str(each.picture),
        "file": str(each.caption) if each.caption else None,
        "caption": text.strip(),
        "state": state,
    }
