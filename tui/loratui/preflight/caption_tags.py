"""Captions that are lists of tags: how often each stands, and which are everywhere."""

import os
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import fmean

from loratui.preflight.naming import first, quoted
from loratui.preflight.trained_folders import Told, TrainedFolder
from loratui_protocol.findings import Finding
from loratui_protocol.harmless import clean

_MIN_TAGS = 4
_MAX_WORDS = 3.0
_MOST_ARE = 0.9
_TAGS_SHOWN = 10
_TAG_CHARS = 40
_JOINED = re.compile(r"\b(?!(?:score|source|rating)_)[^\W\d_]{2,}(?:_[^\W\d_]{2,})+\b")
"""Neither o_o, nor score_9 and its kind, which some models know as they are."""


def are_tags(texts: Sequence[str], separator: str) -> bool:
    """Return whether captions are certainly lists of tags: many short ones, and no sentences."""
    return bool(texts) and sum(_is_list(text, separator) for text in texts) >= _MOST_ARE * len(texts)


def tag_findings(told: Sequence[Told], separator: str, trigger: str) -> Iterator[Finding]:
    """Yield the tags that are most frequent, and those that are in all captions."""
    texts = [each.text for each in told if each.file is not None]
    if len(texts) < 2 or not are_tags(texts, separator):
        return
    counts = Counter(tag for text in texts for tag in dict.fromkeys(_tags(text, separator)))
    shown = ", ".join(f"{_short(tag)} {count / len(texts):.0%}" for tag, count in counts.most_common(_TAGS_SHOWN))
    yield Finding(
        code="caption.tags",
        severity="info",
        what=f"{len(counts)} different tags in {len(texts)} captions; most often: {shown}",
    )
    yield from _underscores(told, trigger)
    everywhere = [tag for tag, count in counts.most_common() if count == len(texts) and tag != trigger]
    if everywhere:
        more = f" and {len(everywhere) - _TAGS_SHOWN} more" if len(everywhere) > _TAGS_SHOWN else ""
        called = quoted(trigger) if trigger else "the trigger"
        yield Finding(
            code="caption.tags_in_all",
            severity="info",
            what=f"in every caption: {', '.join(map(_short, everywhere[:_TAGS_SHOWN]))}{more}; what they name can't be "
            f"told from what {called} names",
            fix=f"remove those that always belong to it, and {called} alone will call them; keep what is to be varied",
        )


def shuffled_findings(folders: Sequence[TrainedFolder]) -> Iterator[Finding]:
    """Yield which sentences are cut at their commas and shuffled, as only tags are meant to be."""
    for folder in folders:
        config = folder.subset.config
        written = [each for each in folder.told if each.file is not None and each.text]
        cut = [each for each in written if _is_sentence(each.text, config.caption_separator)]
        if config.shuffle_caption and len(cut) * 2 > len(written):
            names = first(each.picture.path for each in cut)
            yield Finding(
                code="caption.shuffled_sentences",
                severity="warning",
                what=f"{len(cut)} of {len(folder.told)} captions are sentences ({names}), and "
                f"shuffle_caption cuts them at each {quoted(config.caption_separator)} and mixes the parts",
                fix="set shuffle_caption = false: it is for lists of tags",
                path=str(cut[0].file),
            )


def _is_sentence(text: str, separator: str) -> bool:
    parts = _tags(text, separator)
    return len(parts) > 1 and fmean(len(part.split()) for part in parts) > _MAX_WORDS


def _underscores(told: Sequence[Told], trigger: str) -> Iterator[Finding]:
    found = [
        (each, words)
        for each in told
        if each.file is not None and (words := [word for word in _JOINED.findall(each.text) if word not in trigger])
    ]
    if not found:
        return
    folder = os.path.commonpath([each.picture.path.parent for each, _ in found]) or "."
    command = f"loratui caption {shlex.quote(clean(folder))} --replace _ ' '"
    is_all = not any("_" in _JOINED.sub("", each.text) for each in told) and "_" not in trigger
    example = found[0][1][0]
    yield Finding(
        code="caption.underscores",
        severity="info",
        what=f"tags in {len(found)} of {len(told)} captions have underscores, as {quoted(example)}: each underscore is "
        "a token of its own, and base models have read these tags with spaces",
        fix=f"{command} writes spaces, and shows it first" if is_all else "write spaces, where no model wants them so",
        path=str(found[0][0].file),
    )


def _is_list(text: str, separator: str) -> bool:
    tags = _tags(text, separator)
    is_sentence = any(tag.endswith((".", "!", "?")) and len(tag.split()) > 1 for tag in tags)
    return len(tags) >= _MIN_TAGS and not is_sentence and fmean(len(tag.split()) for tag in tags) <= _MAX_WORDS


def _tags(text: str, separator: str) -> list[str]:
    return [tag for part in text.split(separator) if (tag := part.strip())]


def _short(tag: str) -> str:
    return quoted(tag[:_TAG_CHARS])
