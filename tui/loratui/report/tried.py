"""What was measured of each file at each weight, whether a judgement is here or the run's events alone. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from loratui_protocol.judging.advice import error_in
from loratui_protocol.judging.grid import TriedFile
from loratui_protocol.judging.judgement import Judged, Judgement
from loratui_protocol.judging.prompts import Role
from loratui_protocol.judging.scores import SCORES
from loratui_protocol.judging.summary import Mean, means_of, means_said
from loratui_protocol.messages import Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A file at a weight. Without a ``file``: the base model alone."""

    file: TriedFile | None
    weight: float
    means: dict[str, Mean]


def of_judgement(judgement: Judgement) -> list[Tried]:
    """Return the files at the weights that pictures were drawn of; pictures with another LoRA are left out."""
    groups: dict[tuple[int, float], list[Judged]] = {}
    for each in judgement.pictures:
        if judgement.grid.prompts[each.cell.prompt].role is not Role.TOGETHER:
            groups.setdefault((each.cell.file, each.cell.weight), []).append(each)
    return [
        Tried(
            file=judgement.grid.files[file] if file >= 0 else None,
            weight=weight,
            means=_with_errors(means_of(found)),
        )
        for (file, weight), found in sorted(groups.items())
    ]


def of_events(events: Iterable[Scores]) -> list[Tried]:
    """Return what a run's events say, of a file that was tried out again what they said last."""
    newest = {(event.artifact_id, event.weight): event for event in events}
    return [
        Tried(
            file=TriedFile(id=event.artifact_id, name=event.name, step=event.step) if event.artifact_id else None,
            weight=event.weight,
            means=_with_errors(means_said(event)),
        )
        for event in newest.values()
    ]


def _with_errors(means: dict[str, Mean]) -> dict[str, Mean]:
    """Return the means with the errors that the advice reckons with: that all pictures agree is no certainty."""
    return {name: replace(mean, error=error_in(means, name)) for name, mean in means.items()}


def measured(rows: Iterable[Tried]) -> list[str]:
    """Return the names of the scores that any row has, in the order in which they are explained."""
    found = {name for row in rows for name in row.means}
    return [name for name in SCORES if name in found]


def files_of(rows: Iterable[Tried]) -> list[TriedFile]:
    """Return the files, by step; those of which no step is known in their order."""
    files = {row.file.id: row.file for row in rows if row.file is not None}
    return sorted(files.values(), key=lambda file: file.step)


def weights_of(rows: Iterable[Tried]) -> list[float]:
    """Return the weights, the lowest first, 0 among them where the base model was drawn."""
    return sorted({row.weight for row in rows})


def places(files: Sequence[TriedFile]) -> dict[str, float]:
    """Return where each file stands on an axis of steps: at its step, or else at its number in the order."""
    by_step = all(file.step for file in files) and len({file.step for file in files}) == len(files)
    return {file.id: file.step if by_step else number for number, file in enumerate(files, 1)}


def said(mean: Mean) -> str:
    """Return "0.713 ± 0.021", of a single picture or prompt "0.713 (one value)"."""
    known = mean.error < float("inf")
    return f"{mean.value:.3f} ± {mean.error:.3f}" if known else f"{mean.value:.3f} (one value)"
