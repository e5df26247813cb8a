"""Where the trigger stands: in a tag that is shuffled or left out, or in a folder's name that no picture is told."""

import re
from collections.abc import Callable, Iterator, Sequence

from loratui.preflight.known_words import known_ids
from loratui.preflight.naming import first, quoted
from loratui.preflight.trained_folders import TrainedFolder
from loratui_protocol.captions import Captions
from loratui_protocol.findings import Finding, Severity

Has = Callable[[str, str], bool]
"""Whether a word is in a text as a word of its own."""


def place_findings(trigger: str, folders: Sequence[TrainedFolder], has: Has) -> Iterator[Finding]:
    """Yield what settings do to a trigger that is in the captions, and what becomes of one that is a folder's name."""
    for folder in folders:
        if not folder.is_reg:
            yield from _not_kept(trigger, folder, has)
            yield from _in_name_only(trigger, folder, has)


def _not_kept(trigger: str, folder: TrainedFolder, has: Has) -> Iterator[Finding]:
    config = folder.subset.config
    dropped, shuffled = config.caption_tag_dropout_rate, config.shuffle_caption
    if not trigger or not (dropped or shuffled):
        return
    captions = Captions(config)
    moved = [
        each
        for each in folder.told
        if has(trigger, each.text) and not has(trigger, ", ".join(captions.kept(each.picture.caption)))
    ]
    if not moved:
        return
    severity: Severity = "warning" if dropped else "info"
    does = f"leaves it out {dropped:.0%} of the time" if dropped else "puts it anywhere among the tags"
    key = "caption_tag_dropout_rate" if dropped else "shuffle_caption"
    yield Finding(
        code="caption.trigger_not_kept",
        severity=severity,
        what=f"in {len(moved)} of {len(folder.told)} captions the trigger {quoted(trigger)} is not among the tags that "
        f"stay in place ({first(each.file or each.picture.path for each in moved)}): {key} {does}",
        fix=f"begin each caption with it, and set keep_tokens = {trigger.count(config.caption_separator) + 1}",
        path=str(moved[0].file or moved[0].picture.path),
    )


def _in_name_only(trigger: str, folder: TrainedFolder, has: Has) -> Iterator[Finding]:
    told = [each for each in folder.told if each.is_readable]
    if (
        not told
        or any(each.file is None for each in told)
        or (trigger and any(has(trigger, each.text) for each in told))
    ):
        return
    rare = [word for word in re.findall(r"[^\W_]+", folder.words) if not known_ids(word)]
    if rare and not any(has(word, each.text.casefold()) for word in map(str.casefold, rare) for each in told):
        yield Finding(
            code="caption.folder_words",
            severity="info",
            what=f"the folder's name says {quoted(folder.words)}, and every picture in it has a caption of its own: "
            f"then the name teaches nothing, and {quoted(rare[0])} is in none of the {len(told)} captions",
            fix=f"if {quoted(rare[0])} is to call the concept, begin every caption with it",
            path=str(folder.path),
        )
