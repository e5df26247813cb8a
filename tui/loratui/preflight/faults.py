"""Says which files can't be trained on, and what is the matter with each."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from loratui.preflight.facts import Fault
from loratui.preflight.kinds import fix_for
from loratui.preflight.looked import Looked, first, shown
from loratui_protocol.findings import Finding, with_paths
from loratui_protocol.harmless import clean

_NUM_NAMED = 20
"""Files of one fault that are named: all of them have to be mended."""
_WHY_CHARS = 120


class _Words(NamedTuple):
    code: str
    one: str
    """What one file does or is."""
    several: str
    fix: str


_AGAIN = "copy or download them again, or remove them"
_WORDS = {
    Fault.EMPTY: _Words("picture.empty_file", "has no bytes at all", "have no bytes at all", _AGAIN),
    Fault.TRUNCATED: _Words("picture.truncated", "ends too early", "end too early", _AGAIN),
    Fault.UNDECODABLE: _Words("picture.undecodable", "can't be decoded", "can't be decoded", "replace or remove them"),
    Fault.OTHER_KIND: _Words(
        "picture.other_kind", "is of another kind than its name says", "are of another kind than their names say", ""
    ),
    Fault.TOO_LARGE: _Words(
        "picture.too_large",
        "declares more pixels than are safe to decode",
        "declare more pixels than are safe to decode",
        "scale them down, or remove them if you don't know them",
    ),
    Fault.CRASHED: _Words("picture.decoder_crashed", "crashed the decoder", "crashed the decoder", "remove them"),
    Fault.SLOW: _Words(
        "picture.decoder_slow",
        "takes for ever to decode",
        "take for ever to decode",
        "save them anew, or remove them",
    ),
}
_SAYS_WHY = (Fault.UNDECODABLE, Fault.TOO_LARGE, Fault.OTHER_KIND)
CODES = tuple(words.code for words in _WORDS.values())


def fault_findings(looked: Iterable[Looked]) -> Iterator[Finding]:
    """Yield an error for each fault that there is; of the kinds that aren't read, one for each kind."""
    by_fault: dict[tuple[Fault, str], list[Looked]] = {}
    for each in looked:
        if fault := each.facts.fault:
            kind = each.facts.why if fault is Fault.OTHER_KIND else ""
            by_fault.setdefault((fault, kind), []).append(each)
    for (fault, kind), those in by_fault.items():
        words = _WORDS[fault]
        found = Finding(
            code=words.code,
            severity="error",
            what=f"{_counted(those, words)}: {first([_named(each, fault) for each in those], _NUM_NAMED)}",
            fix=fix_for(kind, those[0].path) if kind else words.fix,
            path=str(those[0].path),
        )
        yield with_paths(found, [each.name for each in those])


def _counted(those: Sequence[Looked], words: _Words) -> str:
    what = "mask" if all(each.is_mask for each in those) else "picture"
    return f"1 {what} {words.one}" if len(those) == 1 else f"{len(those)} {what}s {words.several}"


def _named(each: Looked, fault: Fault) -> str:
    if fault is Fault.OTHER_KIND:
        return f"{shown(each.name)} is {each.facts.why}"
    if fault in _SAYS_WHY and each.facts.why:
        return f"{shown(each.name)} ({clean(each.facts.why, _WHY_CHARS)})"
    return shown(each.name)
