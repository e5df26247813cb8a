"""Looks at every picture of a dataset before anything is rented, and says what would spoil the training."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from loratui.preflight.duplicates import duplicate_findings
from loratui.preflight.facts import Fault, PictureFacts
from loratui.preflight.faults import fault_findings
from loratui.preflight.looked import Looked, counted, first, shown
from loratui.preflight.pictures import picture_findings
from loratui.preflight.relative import relative_findings
from loratui.preflight.variety import spread_findings
from loratui.preflight.workers import LIMIT_S, Progress, Wanted, measure_all
from loratui_protocol.dataset import Picture
from loratui_protocol.findings import Finding, with_paths
from loratui_protocol.picture_sizes import Unusable

_NUM_NARROW_NAMED = 20


@dataclass(frozen=True, slots=True)
class PictureReport:
    """What there is to say of the pictures, and what is known of each."""

    findings: tuple[Finding, ...]
    records: tuple[Looked, ...]


def look_at_pictures(
    pictures: Sequence[Picture],
    unusable: Sequence[Unusable] = (),
    *,
    resolution: tuple[int, int] | None = None,
    alpha_masked: Container[int] = (),
    progress: Progress | None = None,
    limit_s: float = LIMIT_S,
) -> PictureReport:
    """Decode every picture and mask and judge them, one by one and as a set; no file can make it fail.

    ``unusable`` are those that could not even be opened. ``resolution`` None: what they are for isn't known.
    ``alpha_masked`` are the subsets whose alpha channel says what counts.
    """
    wanted: dict[Path, Wanted] = {}
    by_path: dict[Path, Picture] = {}
    for picture in pictures:
        wanted.setdefault(picture.path, Wanted(picture.path, picture.width * picture.height))
        by_path.setdefault(picture.path, picture)
        if picture.mask is not None:
            wanted.setdefault(picture.mask, Wanted(picture.mask, is_mask=True))
    refused = {each.path: each for each in unusable}
    for path in refused:
        wanted.setdefault(path, Wanted(path))
    folders = {picture.path.parent: PurePosixPath(picture.name).parent for picture in pictures}
    measured = measure_all([*wanted.values()], progress=progress, limit_s=limit_s)
    records = tuple(
        Looked(
            path=each.path,
            name=by_path[each.path].name if each.path in by_path else _name(each.path, folders),
            facts=_agreed(facts, refused.get(each.path)),
            is_reg=each.path in by_path and by_path[each.path].is_reg,
            is_mask=each.is_mask,
            alpha_is_mask=each.path in by_path and by_path[each.path].subset in alpha_masked,
        )
        for each, facts in zip(wanted.values(), measured, strict=True)
    )
    narrow = {each.path for each in unusable if each.code == "dataset.too_narrow"}
    usable = [each for each in records if each.path not in narrow]
    findings = (
        *fault_findings(records),
        *_narrow([each for each in records if each.path in narrow and not each.facts.fault]),
        *picture_findings(usable, resolution),
        *relative_findings(usable),
        *duplicate_findings(usable),
        *spread_findings(usable),
    )
    return PictureReport(findings=findings, records=records)


def _name(path: Path, folders: Mapping[Path, PurePosixPath]) -> str:
    """Return what a file would be called beside the pictures that are in its folder."""
    return (folders.get(path.parent, PurePosixPath()) / path.name).as_posix()


def _agreed(facts: PictureFacts, unusable: Unusable | None) -> PictureFacts:
    """Return the facts; a file that could not be opened before and can be now is none to rely on."""
    if unusable is None or facts.fault or unusable.code == "dataset.too_narrow":
        return facts
    return PictureFacts(fault=Fault.UNDECODABLE, why=unusable.why, sha256=facts.sha256)


def _narrow(narrow: Sequence[Looked]) -> list[Finding]:
    if not narrow:
        return []
    names = [f"{shown(each.name)} ({each.facts.width}x{each.facts.height})" for each in narrow]
    what = f"{counted(len(narrow), 'too narrow to be trained')}: {first(names, _NUM_NARROW_NAMED)}"
    found = Finding(
        code="dataset.too_narrow", severity="error", what=what, fix="crop or remove them", path=str(narrow[0].path)
    )
    return [with_paths(found, [each.name for each in narrow])]
