"""The caption of one picture as a whole, all of its lines: read for an editor, and written from what comes back."""

from pathlib import Path

from loratui.preflight.captioned import Captioned, Pictures, caption_bytes
from loratui.preflight.changes import CreateFile, Edit, WriteFile
from loratui.sessions.dataset import OpenDataset, picture_named
from loratui_protocol.encodings import guessed, is_utf8
from loratui_protocol.errors import DatasetError


def whole_caption(dataset: OpenDataset, name: str) -> str:
    """Return the text of a picture's caption; empty: there is none.

    Raises:
        DatasetError: the picture is gone, or its caption is no text.
    """
    return _text(picture_named(dataset.pictures(), name))


def written_whole(dataset: OpenDataset, name: str, before: str, path: Path) -> Edit:
    """Return the edit that makes what is in ``path`` the caption of a picture, which was ``before``.

    An edit without changes is of a text that is the same, or empty: an empty caption is none.

    Raises:
        DatasetError: the picture is gone, its caption is not as it was, or what was written is no caption.
    """
    pictures = dataset.pictures()
    each = picture_named(pictures, name)
    if _text(each) != before:
        raise DatasetError(
            "the caption was changed by somebody else meanwhile", fix="look at it again", code="edit.changed"
        )
    content = caption_bytes(path)
    if not is_utf8(content):
        raise DatasetError(
            "what was written is not UTF-8", fix="let the editor save it so", code="dataset.caption_encoding"
        )
    text = content.decode("utf-8-sig")
    changes = () if not text.strip() or text == before else _changes(pictures, each, text)
    return Edit(title="caption of one picture", changes=changes)


def _changes(pictures: Pictures, each: Captioned, text: str) -> tuple[CreateFile | WriteFile]:
    new = text.encode()
    if each.caption is None:
        return (CreateFile(pictures.name(each.picture.with_suffix(pictures.extension)), new),)
    return (WriteFile(pictures.name(each.caption), caption_bytes(each.caption), new),)


def _text(each: Captioned) -> str:
    if each.caption is None:
        return ""
    text = guessed(caption_bytes(each.caption))
    if text is None:
        raise DatasetError("the caption's file is no text", fix="write it anew", code="dataset.caption_encoding")
    return text
