"""``check --fix`` for datasets: what can be set right is shown, asked about and done, one edit after the other."""

import contextlib
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui.cli.arguments import Arguments
from loratui.cli.editing import carry_out, counted, edit_fields, is_somebody_there, show, told_if_interrupted
from loratui.preflight.captioned import Pictures, captioned_pictures
from loratui.preflight.changes import Edit
from loratui.preflight.fixes import FIXES, Fix, Told
from loratui.preflight.picture_renames import picture_renames
from loratui_protocol.config_file import read_config
from loratui_protocol.errors import ConfigError, DatasetError, LoratuiError
from loratui_protocol.harmless import clean
from loratui_protocol.subsets import subsets_of

_RENAMED = "dataset.picture_names"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A folder to be set right, and what is known of it."""

    folder: Path
    told: Told
    caption_extension: str | None = None
    is_leaf: bool = False

    def look(self) -> Pictures:
        """Return its pictures as they are now; errors as in ``captioned_pictures``."""
        return captioned_pictures(self.folder, self.caption_extension, is_leaf=self.is_leaf)


def fix_dataset(path: Path, arguments: Arguments) -> list[dict[str, Any]]:
    """Set right the folder, or those that a config names, and return the edits as ``--json`` tells them.

    Where nobody can be asked and nobody said yes, it is shown what would be done. What can't be read is left to the
    check.
    """
    edits = []
    # First of all: a folder whose pictures have no name that is read can't be looked at.
    for place in _named(path, arguments):
        with told_if_interrupted(place.folder):
            edits += _tried(_renames, place, arguments)
    for place in _places(path, arguments):
        with told_if_interrupted(place.folder):
            for fix in dict.fromkeys(FIXES.values()):
                edits += _tried(_looking(fix), place, arguments)
    return edits


def codes_to_fix(path: Path, codes: Collection[str], arguments: Arguments) -> set[str]:
    """Return the codes about which there is something that ``fix_dataset`` would do; nothing is changed."""
    wanted = {code: fix for code, fix in FIXES.items() if code in codes}
    fixable: set[str] = set()
    if _RENAMED in codes and any(_renames(place).changes for place in _named(path, arguments)):
        fixable.add(_RENAMED)
    if not wanted:
        return fixable
    for place in _places(path, arguments):
        pictures = place.look()
        for fix in dict.fromkeys(wanted.values()):
            with contextlib.suppress(LoratuiError):
                if fix(pictures, place.told).changes:
                    fixable |= {code for code, each in wanted.items() if each is fix}
    return fixable


def _renames(place: _Place) -> Edit:
    return picture_renames(place.folder, is_leaf=place.is_leaf)


def _looking(fix: Fix) -> Callable[[_Place], Edit]:
    return lambda place: fix(place.look(), place.told)


def _tried(made: Callable[[_Place], Edit], place: _Place, arguments: Arguments) -> list[dict[str, Any]]:
    try:
        edit = made(place)
        return [_done(edit, place.folder, arguments)] if edit.changes else []
    except LoratuiError as error:
        print(f"not set right: {error}", file=sys.stderr)
        return []


def _done(edit: Edit, folder: Path, arguments: Arguments) -> dict[str, Any]:
    show(edit, everything=arguments.dry_run, on_stdout=False)
    record = None
    if not arguments.dry_run and (arguments.yes or is_somebody_there()):
        record = carry_out(edit, folder, asks=not arguments.yes)
    else:
        print(f"{clean(edit.title, 200)}, {counted(edit)}: not done; --yes does it", file=sys.stderr)
    return edit_fields(edit, folder, record)


def _places(path: Path, arguments: Arguments) -> Iterator[_Place]:
    """Yield the folders that can be looked at; the check says why others can't."""
    for place in _named(path, arguments):
        try:
            place.look()
        except DatasetError:
            continue
        yield place


def _named(path: Path, arguments: Arguments) -> list[_Place]:
    if path.is_dir():
        return [_Place(folder=path, told=Told(trigger=arguments.trigger, repeats=arguments.repeats))]
    try:
        config = read_config(path).config
        subsets = {subset.image_dir: subset for subset in subsets_of(config)}
    except ConfigError:
        return []
    trigger = arguments.trigger or config.trigger_word
    return [
        _Place(
            folder=Path(folder),
            # Regularisation pictures show what the trigger does not mean.
            told=Told(trigger=None if subset.is_reg else trigger, repeats=arguments.repeats),
            caption_extension=subset.config.caption_extension,
            is_leaf=subset.num_repeats is not None,
        )
        for folder, subset in subsets.items()
    ]
