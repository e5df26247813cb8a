"""What bulk edits do to the text of a caption. Pure.

Each line that is not blank is edited: with wildcards each is a caption, and without them the first one is.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable

_CLOSING = ",.;:!?)"


def each_line(text: str, edit: Callable[[str], str]) -> str:
    """Return the text with each line edited, and all white space around them as it is; a blank text is one line."""
    if not text.strip():
        edited = edit("")
        return f"{edited}\n" if edited else text
    return "".join(_line(line, edit) for line in text.splitlines(keepends=True))


def _line(line: str, edit: Callable[[str], str]) -> str:
    content = line.strip()
    if not content:
        return line
    before, _, after = line.partition(content)
    return f"{before}{edit(content)}{after}"


def with_prefix(line: str, prefix: str) -> str:
    """Return the line behind the prefix, with a space between them, as for ``caption_prefix``."""
    return f"{prefix.rstrip()} {line}".strip()


def with_suffix(line: str, suffix: str) -> str:
    """Return the line before the suffix, with a space between them unless the suffix begins with a comma or a stop."""
    between = "" if suffix.lstrip().startswith(tuple(_CLOSING)) else " "
    return f"{line}{between}{suffix.strip()}".strip()


def with_trigger(line: str, trigger: str) -> str:
    """Return the line with the trigger in it: as written where it stands in another case, else before all others."""
    corrected = _whole(trigger).sub(lambda _: trigger, line)
    if has_trigger(corrected, trigger):
        return corrected
    return f"{trigger}, {line}" if line else trigger


def has_trigger(line: str, trigger: str) -> bool:
    """Return whether the trigger stands in the line exactly, and not as a part of other words."""
    return any(found[0] == trigger for found in _whole(trigger).finditer(line))


def without_tags(line: str, tags: Collection[str]) -> str:
    """Return the line without these tags, given as ``same_tag`` has them; one that has none of them stays as it is."""
    written = tags_of(line)
    left = [tag for tag in written if same_tag(tag) not in tags]
    return line if len(left) == len(written) else ", ".join(left)


def common_tags(texts: Iterable[str], share: float, kept: str | None) -> set[str]:
    """Return the tags that stand in at least this share of the captions, but the one that is the trigger."""
    inside = [{same_tag(tag) for line in text.splitlines() for tag in tags_of(line)} for text in texts]
    counts = Counter(tag for tags in inside for tag in tags)
    spared = same_tag(kept) if kept else None
    return {tag for tag, count in counts.items() if count >= share * len(inside) and tag != spared}


def tags_of(line: str) -> list[str]:
    """Return what stands between commas."""
    return [tag for part in line.split(",") if (tag := part.strip())]


def same_tag(tag: str) -> str:
    """Return what is alike in ``Blue eyes`` and ``blue_eyes``: taggers write one tag in both ways."""
    return " ".join(tag.replace("_", " ").casefold().split())


def _whole(trigger: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(trigger)}(?!\w)", re.IGNORECASE)
