"""Whether the trigger word is in every caption as it is written, and whether it is a word that can be taught."""

import difflib
import functools
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence

from loratui.domain.words import BEFORE, BEHIND, word_pattern
from loratui.preflight.caption_scripts import foreign_script
from loratui.preflight.clip_tokens import word_tokens, words
from loratui.preflight.generic_captions import is_generic
from loratui.preflight.known_words import known_ids
from loratui.preflight.naming import first, quoted
from loratui.preflight.trained_folders import Told
from loratui_protocol.findings import Finding, Severity, with_paths
from loratui_protocol.harmless import clean

_MAX_TOKENS = 3
_ALIKE = 0.8
_WORDS_SEARCHED = 300
_MIN_SQUASHED = 5
_SPELLINGS_SHOWN = 3
_MIN_TEXTS = 3
"""Different ones; that two begin alike means little."""


def trigger_findings(
    trigger: str, told: Sequence[Told], told_reg: Sequence[Told], separator: str, *, counts_tokens: bool
) -> Iterator[Finding]:
    """Yield what there is to say of a trigger word, or of the lack of one.

    ``counts_tokens`` is false where the base model's vocabulary is not CLIP's.
    """
    trigger = trigger.strip()
    if not trigger:
        yield from _unset(told, separator)
        return
    if counts_tokens:
        yield from _as_a_word(trigger)
    yield from _in_captions(trigger, told)
    stray = [each for each in told_reg if has_word(trigger, each.text)]
    if stray:
        yield _finding(
            "caption.trigger_in_reg",
            "warning",
            f"{len(stray)} of {len(told_reg)} regularisation captions have the trigger {quoted(trigger)}: it is "
            "taught to mean them, too",
            "take it out of them: they name what is ordinary of the kind",
            stray,
        )


def _unset(told: Sequence[Told], separator: str) -> Iterator[Finding]:
    """Suggest what captions begin with, where there are enough of them and all do."""
    texts = {each.text for each in told if each.file is not None}
    named = {each.text for each in told}
    if not texts and len(named) == 1 and not known_ids(text := named.pop()) and text:
        yield Finding(
            code="caption.trigger_unset",
            severity="info",
            what=f"every picture is told to be {quoted(text)}, as the folder is called, and no trigger_word is set: "
            "nobody who has the file is told",
            fix=f"set trigger_word = {_toml(text)} if that calls the concept",
        )
    if len(texts) < _MIN_TEXTS:
        return
    starts = {text.split(separator)[0].strip() for text in texts}
    if len(starts) > 1:
        starts = {" ".join(text.split()[:1]).strip(separator) for text in texts}
    start = starts.pop()
    if starts or not start or is_generic(start) or start.casefold() in _USUAL_TAGS:
        return
    yield Finding(
        code="caption.trigger_unset",
        severity="info",
        what=f"every caption begins with {quoted(start)}, and no trigger_word is set: nobody who has the file is told",
        fix=f"set trigger_word = {_toml(start)} if that calls the concept",
    )


_USUAL_TAGS = frozenset({"1girl", "1boy", "solo", "this", "there", "two", "close-up"})


def _as_a_word(trigger: str) -> Iterator[Finding]:
    tokens = [word_tokens(word) for word in words(trigger)]
    count = sum(map(len, tokens))
    script = foreign_script(trigger)
    if script:
        yield Finding(
            code="caption.trigger_script",
            severity="warning",
            what=f"the trigger {quoted(trigger)} is written in {script} letters: CLIP cuts it into {count} "
            "pieces that it hardly knows",
            fix="write a made-up word in Latin letters, in the captions too",
        )
        return
    if known := known_ids(trigger):
        is_one = len(known) == 1
        numbers = " and ".join(f"{number:,}" for number in known)
        yield Finding(
            code="caption.trigger_common",
            severity="warning" if is_one else "info",
            what=f"the trigger {quoted(trigger)} is {'a word' if is_one else 'made of words'} that the base knows "
            f"(token {numbers} of 49,408, the most common first): what it means there mixes with the concept",
            fix="take a word that means nothing, as zorbix, in the captions too",
        )
    elif count > _MAX_TOKENS:
        pieces = " + ".join(token.removesuffix("</w>") for of_word in tokens for token in of_word)
        yield Finding(
            code="caption.trigger_long",
            severity="info",
            what=f"the trigger {quoted(trigger)} is {count} tokens ({pieces}): each is a word of its own to be taught",
            fix=f"take a word of at most {_MAX_TOKENS}, in the captions too",
        )


def _in_captions(trigger: str, told: Sequence[Told]) -> Iterator[Finding]:
    command = _command(trigger, told) if told else ""
    lacking = [each for each in told if not has_word(trigger, each.text)]
    spelled = {each.picture.path: other for each in lacking if (other := _otherwise(trigger, each.text))}
    is_in_case = {path: other.casefold() == trigger.casefold() for path, other in spelled.items()}
    in_case = [each for each in lacking if is_in_case.get(each.picture.path) is True]
    nearly = [each for each in lacking if is_in_case.get(each.picture.path) is False]
    case_means = "CLIP reads capitals as small letters, and people copy what they see"
    groups: list[tuple[list[Told], str, Severity, str]] = [
        (in_case, "caption.trigger_case", "info", case_means),
        (nearly, "caption.trigger_spelling", "warning", "to CLIP that is another word"),
    ]
    for group, code, severity, means in groups:
        if group:
            others = Counter(spelled[each.picture.path] for each in group)
            shown = " and ".join(quoted(other) for other, _ in others.most_common(_SPELLINGS_SHOWN))
            yield _finding(
                code,
                severity,
                f"{len(group)} of {len(told)} captions spell the trigger {quoted(trigger)} as {shown} "
                f"({first(each.file or each.picture.path for each in group)}): {means}",
                f"write {clean(trigger)} everywhere: {command} shows it and does it",
                group,
            )
    missing = [each for each in lacking if each.picture.path not in spelled]
    if missing and len(missing) == len(told):
        yield _finding(
            "caption.trigger_missing",
            "warning",
            f"the trigger {quoted(trigger)} is in none of the {len(told)} captions: nothing teaches it",
            f"begin every caption with it, as {command} does, or set caption_prefix = {_toml(trigger + ',')}",
            missing,
        )
    elif missing:
        names = first(each.file or each.picture.path for each in missing)
        yield _finding(
            "caption.trigger_not_in_all",
            "warning",
            f"{len(missing)} of {len(told)} captions lack the trigger {quoted(trigger)} ({names})",
            f"begin them with it, as {command} does",
            missing,
        )


def has_word(trigger: str, text: str) -> bool:
    """Return whether it is in a text as it is written, and not as a part of other words."""
    return re.search(word_pattern(trigger), text) is not None


def _otherwise(trigger: str, text: str) -> str:
    """Return how a caption spells the trigger: in other case, with other gaps, or nearly; else nothing."""
    if found := re.search(word_pattern(trigger), text, re.IGNORECASE):
        return found[0]
    gapped = r"[\W_]*".join(map(re.escape, _squashed(trigger)))
    if len(_squashed(trigger)) >= _MIN_SQUASHED and (
        found := re.search(f"{BEFORE}{gapped}{BEHIND}", text, re.IGNORECASE)
    ):
        return found[0]
    if len(_squashed(trigger)) < _MIN_SQUASHED:
        return ""
    size = len(trigger.split())
    of_text = re.findall(r"[\w-]+", text)[:_WORDS_SEARCHED]
    runs = (" ".join(of_text[at : at + size]) for at in range(len(of_text) - size + 1))
    return next((run for run in runs if _is_near(run.casefold(), trigger.casefold())), "")


@functools.lru_cache(maxsize=1 << 16)
def _is_near(word: str, trigger: str) -> bool:
    # Captions of a set repeat their words, and to compare two takes long.
    matcher = difflib.SequenceMatcher(None, word, trigger)
    return matcher.real_quick_ratio() >= _ALIKE and matcher.quick_ratio() >= _ALIKE and matcher.ratio() >= _ALIKE


def _squashed(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)


def _command(trigger: str, told: Sequence[Told]) -> str:
    folder = os.path.commonpath([each.picture.path.parent for each in told]) or "."
    return f"loratui check {shlex.quote(clean(folder))} --fix --trigger {shlex.quote(clean(trigger))}"


def _toml(text: str) -> str:
    escaped = clean(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _finding(code: str, severity: Severity, what: str, fix: str, told: Sequence[Told]) -> Finding:
    found = Finding(code=code, severity=severity, what=what, fix=fix, path=str(told[0].file or told[0].picture.path))
    return with_paths(found, [each.name for each in told])
