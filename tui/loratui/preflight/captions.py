"""What can be known of captions and folders without looking at a pixel: the one entry to all checks of text."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from loratui.preflight.caption_files import caption_file_findings
from loratui.preflight.caption_scripts import script_findings
from loratui.preflight.caption_tags import shuffled_findings, tag_findings
from loratui.preflight.clip_tokens import count_tokens
from loratui.preflight.folders import folder_findings
from loratui.preflight.generic_captions import is_generic, words_of
from loratui.preflight.naming import first, quoted
from loratui.preflight.prompt_syntax import syntax_findings
from loratui.preflight.trained_folders import Told, told_once, trained_folders
from loratui.preflight.trains_on import trains_on_findings
from loratui.preflight.trigger_places import place_findings
from loratui.preflight.triggers import has_word, trigger_findings
from loratui_protocol.base_model import BUILTIN_PREFIX
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import Dataset
from loratui_protocol.errors import DatasetError
from loratui_protocol.findings import Finding, Severity, with_paths
from loratui_protocol.plan import Plan

_CHUNK_TOKENS = 75
_CHUNKS = 3
_SHORT = 3
"""Words; fewer say next to nothing."""
_LONGER = 6
_MUCH_ALIKE = 0.2


def look_at_captions(dataset: Dataset, config: TrainingConfig, plan: Plan | None, *, checked: Path) -> list[Finding]:
    """Return what there is to say of captions, tokens, folders and counts; without a plan nothing of a whole run.

    ``checked`` is the config or the folder as a person has named it, for the commands that set things right.

    Raises:
        DatasetError: a folder can't be read any more.
    """
    try:
        folders = trained_folders(dataset, config)
        told, told_reg = told_once(folders), told_once(folders, is_reg=True)
        # The tokens of the built-in model are not CLIP's.
        is_clip = not config.pretrained_model_name_or_path.startswith(BUILTIN_PREFIX)
        trigger, separator = (config.trigger_word or "").strip(), config.caption_separator
        findings = [
            *trains_on_findings(folders),
            *caption_file_findings(folders),
            *_short(told),
            *_generic(told),
            *_identical(told),
            *(_too_long([*told, *told_reg], config.max_token_length or _CHUNK_TOKENS) if is_clip else ()),
            *(script_findings([*told, *told_reg]) if is_clip else ()),
            *trigger_findings(trigger, told, told_reg, separator, counts_tokens=is_clip),
            *(place_findings(trigger, folders, has_word) if is_clip else ()),
            *tag_findings(told, separator, trigger),
            *shuffled_findings(folders),
            *syntax_findings([*told, *told_reg]),
            *folder_findings(dataset.pictures, folders, config, plan, checked),
        ]
        # A folder that two datasets share is spoken of once.
        return list(dict.fromkeys(findings))
    except OSError as error:
        raise DatasetError(
            f"the pictures' folders can't be read: {error}", fix="check their permissions", code="dataset.unreadable"
        ) from error


def _short(told: Sequence[Told]) -> Iterator[Finding]:
    written = [each for each in told if each.file is not None and each.text]
    lengths = {each.picture.path: len(words_of(each.text)) for each in written}
    short = [each for each in written if lengths[each.picture.path] < _SHORT]
    if short and (usual := median(lengths.values())) >= _LONGER:
        yield _told_finding(
            "caption.short",
            "warning",
            f"{len(short)} of {len(told)} captions have fewer than {_SHORT} words, where {usual:.0f} are usual",
            "say what else is to be seen: what is not named is learned as part of the concept",
            short,
        )


def _generic(told: Sequence[Told]) -> Iterator[Finding]:
    generic = [each for each in told if is_generic(each.text)]
    if generic:
        yield _told_finding(
            "caption.generic",
            "warning",
            f"{len(generic)} of {len(told)} captions say nothing of their pictures, as {quoted(generic[0].text)}",
            "name the concept, and say what the picture shows: clothes, pose, light, background",
            generic,
        )


def _identical(told: Sequence[Told]) -> Iterator[Finding]:
    # What pictures of one name share is no caption that was written twice.
    written = list({each.file: each for each in told if each.file is not None and each.text}.values())
    counts = Counter(each.text for each in written)
    text, most = counts.most_common(1)[0] if counts else ("", 0)
    if most < 2:
        return
    number = sum(count for count in counts.values() if count > 1)
    severity: Severity = "warning" if most > 2 and most >= _MUCH_ALIKE * len(told) else "info"
    yield _told_finding(
        "caption.identical",
        severity,
        f"{number} of {len(told)} captions are the same as another ({number / len(told):.0%}); "
        f"{most} are {quoted(text)}",
        "say of each picture what is its own",
        [each for each in written if each.text == text],
    )


def _too_long(told: Sequence[Told], limit: int) -> Iterator[Finding]:
    counts = {text: count_tokens(text) for text in {each.text for each in told}}
    long = sorted((each for each in told if counts[each.text] > limit), key=lambda each: -counts[each.text])
    if not long:
        return
    most = counts[long[0].text]
    fits = next((n for n in range(_CHUNK_TOKENS, _CHUNK_TOKENS * _CHUNKS + 1, _CHUNK_TOKENS) if n >= most), None)
    shorter = "shorten them: what counts most comes first"
    yield _told_finding(
        "caption.too_many_tokens",
        "warning",
        f"{len(long)} of {len(told)} captions are longer than the {limit} tokens that are read; "
        f"the longest has {most:,}, so {most - limit:,} are cut off",
        f"{shorter}, or set max_token_length = {fits}" if fits else shorter,
        long,
    )


def _told_finding(code: str, severity: Severity, what: str, fix: str, told: Sequence[Told]) -> Finding:
    paths = [each.file or each.picture.path for each in told]
    found = Finding(code=code, severity=severity, what=f"{what} ({first(paths)})", fix=fix, path=str(paths[0]))
    return with_paths(found, [each.name for each in told])
