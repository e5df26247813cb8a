"""Bulk edits of captions: from what is wished to an edit that can be shown, made and taken back."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from loratui.preflight.caption_words import (
    common_tags,
    each_line,
    same_tag,
    with_prefix,
    with_suffix,
    with_trigger,
    without_tags,
)
from loratui.preflight.captioned import Pictures, caption_texts
from loratui.preflight.changes import Change, CreateFile, Edit, WriteFile
from loratui.preflight.kept_marks import reviewed, with_marks

_Texts = dict[Path, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is to become of the captions, in the order in which it is done."""

    text: str | None = None
    """What all of them are to be."""
    replace: tuple[tuple[str, str], ...] = ()
    """What is to be replaced, exactly as written, and by what."""
    remove_tags: tuple[str, ...] = ()
    prune_above: float | None = None
    """Tags in at least this share of the captions go, except the trigger: what is always there is learned as one."""
    prefix: str | None = None
    suffix: str | None = None
    trigger: str | None = None
    """What is to stand in all of them; last, so that it comes first."""

    @property
    def any(self) -> bool:
        """Return whether something is wished."""
        return any(getattr(self, field.name) not in (None, ()) for field in fields(self))


def caption_edit(pictures: Pictures, wishes: Wishes) -> Edit:
    """Return the edit of all captions; pictures without one get a file where a text or a trigger is wished.

    Raises:
        DatasetError: a caption can't be read.
    """
    contents = caption_texts(pictures.caption_files)
    texts = {path: text for path, (_, text) in contents.items()}
    if wishes.text is not None or wishes.trigger is not None:
        texts |= pictures.uncaptioned
    for step in _steps(wishes):
        texts = step(texts)
    changes: list[Change] = []
    for path, text in texts.items():
        if path not in contents:
            changes.append(CreateFile(pictures.name(path), f"{text.strip()}\n".encode()))
        elif text != contents[path][1]:
            changes.append(WriteFile(pictures.name(path), contents[path][0], text.encode()))
    # A text that a person gave is no draft any more.
    kept = tuple(changes) if wishes.text is not None else with_marks(pictures.root, changes)
    return Edit(title=_title(wishes), changes=kept)


def review_edit(pictures: Pictures) -> Edit:
    """Return the edit that marks all drafts as read by a person; errors as in ``draft_marks.read``."""
    return Edit(title="drafts reviewed", changes=reviewed(pictures.root, pictures.folders))


def _steps(wishes: Wishes) -> list[Callable[[_Texts], _Texts]]:
    steps: list[Callable[[_Texts], _Texts]] = []
    if (whole := wishes.text) is not None:
        steps.append(lambda texts: dict.fromkeys(texts, f"{whole.strip()}\n"))
    for old, new in wishes.replace:
        steps.append(_replacing(old, new))
    if wishes.remove_tags:
        removed = {same_tag(tag) for tag in wishes.remove_tags}
        steps.append(_each(lambda line: without_tags(line, removed)))
    if (share := wishes.prune_above) is not None:
        steps.append(lambda texts: _pruned(texts, share, wishes.trigger))
    if (prefix := wishes.prefix) is not None:
        steps.append(_each(lambda line: with_prefix(line, prefix)))
    if (suffix := wishes.suffix) is not None:
        steps.append(_each(lambda line: with_suffix(line, suffix)))
    if (trigger := wishes.trigger) is not None:
        steps.append(_each(lambda line: with_trigger(line, trigger)))
    return steps


def _replacing(old: str, new: str) -> Callable[[_Texts], _Texts]:
    return lambda texts: {path: text.replace(old, new) for path, text in texts.items()}


def _each(edit: Callable[[str], str]) -> Callable[[_Texts], _Texts]:
    return lambda texts: {path: each_line(text, edit) for path, text in texts.items()}


def _pruned(texts: _Texts, share: float, trigger: str | None) -> _Texts:
    common = common_tags(texts.values(), share, trigger)
    return _each(lambda line: without_tags(line, common))(texts)


def _title(wishes: Wishes) -> str:
    parts = {
        "captions set": wishes.text is not None,
        "replaced": bool(wishes.replace),
        "tags removed": bool(wishes.remove_tags),
        "common tags removed": wishes.prune_above is not None,
        "prefix": wishes.prefix is not None,
        "suffix": wishes.suffix is not None,
        f"trigger {wishes.trigger}": wishes.trigger is not None,
    }
    return ", ".join(part for part, is_wished in parts.items() if is_wished)
