"""Shows an edit of a dataset, asks about it, and makes it: what ``caption`` and ``check --fix`` have in common."""

import contextlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loratui.cli.leaving import interrupted_at_rest, tell
from loratui.cli.limits import agrees
from loratui.preflight.changes import Edit, Move, WriteFile, preview
from loratui.preflight.edits import apply
from loratui.preflight.undo_records import records
from loratui_protocol.harmless import clean

_FILES_SHOWN = 20
_NAMES_SHOWN = 3


def is_somebody_there() -> bool:
    """Return whether there is a person who can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def show(edit: Edit, *, everything: bool, on_stdout: bool) -> None:
    """Print what an edit does, all of it or the first files, and which captions it leaves with nothing."""
    for line in preview(edit, None if everything else _FILES_SHOWN):
        print(line, file=sys.stdout if on_stdout else sys.stderr)
    emptied = [change.path for change in edit.files if isinstance(change, WriteFile) and not change.new.strip()]
    if emptied:
        first = ", ".join(clean(name, 200) for name in emptied[:_NAMES_SHOWN])
        print(f"{len(emptied)} captions are empty then, which sd-scripts refuses (first: {first})", file=sys.stderr)


def carry_out(edit: Edit, folder: Path, *, asks: bool) -> Path | None:
    """Make an edit, once it is agreed to if ``asks``, and say how it is taken back; return the record of it, if made.

    Raises:
        DatasetError, StorageError: it can't be made; nothing was changed.
    """
    question = f"{clean(edit.title, 200)}, {counted(edit)}: do it?"
    if asks and not agrees(question, otherwise="nothing was changed"):
        return None
    with interrupted_at_rest() as at_rest:
        record = apply(edit, folder, lambda _: at_rest())
        print(f"{clean(edit.title, 200)}: {counted(edit)}; to take it back: {undo_command(folder)}", file=sys.stderr)
    return record


@contextlib.contextmanager
def told_if_interrupted(folder: Path) -> Iterator[None]:
    """Say of an interruption in the block which edits of a folder were made, and how they are taken back."""
    before = records(folder)
    try:
        yield
    except KeyboardInterrupt:
        number = len(records(folder) - before)
        if number == 0:
            tell(f"interrupted: nothing in {folder} was changed")
        elif number == 1:
            tell(f"interrupted: one edit of {folder} was made, nothing else; to take it back: {undo_command(folder)}")
        else:
            tell(
                f"interrupted: {number} edits of {folder} were made, nothing else; each of {number} times this takes "
                f"back the newest: {undo_command(folder)}"
            )
        raise


def undo_command(folder: Path) -> str:
    """Return what to type to take back the newest edit of a folder."""
    return f"loratui caption {shlex.quote(str(folder))} --undo"


def counted(edit: Edit) -> str:
    """Return how many files it changes, in words."""
    number = len(edit.files)
    return f"{number} file{'' if number == 1 else 's'}"


def edit_fields(edit: Edit, folder: Path, record: Path | None) -> dict[str, Any]:
    """Return an edit as ``--json`` tells it."""
    return {
        "title": edit.title,
        "folder": str(folder),
        "applied": record is not None,
        "record": str(record) if record else None,
        "files": [
            {"path": change.path, **({"to": change.to} if isinstance(change, Move) else {})} for change in edit.files
        ],
    }
