"""Captions in letters that CLIP's tokenizer hardly reads: it cuts them into bytes that it has seldom seen together."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

from loratui.preflight.clip_tokens import count_tokens
from loratui.preflight.naming import first, quoted
from loratui.preflight.trained_folders import Told
from loratui_protocol.findings import Finding, with_paths

_FOREIGN_SHARE = 0.25
"""Of the letters: a face as "(ω)" among English tags is none."""
_WORD = re.compile(r"[^\W\d_]+")
_LETTERS_LOOKED_AT = 2000
_WORDS_COUNTED = 200


def foreign_script(text: str) -> str:
    """Return the script that much of a text is written in, as "Hebrew" or "CJK"; empty: Latin, or no letters."""
    if text.isascii():
        return ""
    letters = [each for each in text[:_LETTERS_LOOKED_AT] if each.isalpha()]
    scripts = Counter(_script(each) for each in letters)
    latin = scripts.pop("LATIN", 0)
    if not scripts or len(letters) - latin < _FOREIGN_SHARE * len(letters):
        return ""
    name = scripts.most_common(1)[0][0]
    return name if name == "CJK" else name.capitalize()


def script_findings(told: Sequence[Told]) -> Iterator[Finding]:
    """Yield which captions are written in such letters, and what a word of them becomes."""
    foreign = [(each, script) for each in told if (script := foreign_script(each.text))]
    if not foreign:
        return
    words = [word for each, _ in foreign for word in _WORD.findall(each.text) if foreign_script(word)]
    counts = [count_tokens(word) for word in words[:_WORDS_COUNTED]]
    scripts = " and ".join(sorted({script for _, script in foreign}))
    found = Finding(
        code="caption.script",
        severity="warning",
        what=f"{len(foreign)} of {len(told)} captions are written in {scripts} letters, which CLIP hardly reads: "
        f"{sum(counts) / len(counts):.1f} tokens a word instead of one or two, {quoted(words[0])} is {counts[0]} "
        f"({first(each.file or each.picture.path for each, _ in foreign)})",
        fix="write them in English; names in Latin letters",
        path=str(foreign[0][0].file or foreign[0][0].picture.path),
    )
    yield with_paths(found, [each.name for each, _ in foreign])


def _script(letter: str) -> str:
    """Return the first word of a letter's name, which is its script."""
    return unicodedata.name(letter, "UNKNOWN").split()[0]
