"""What keeps a rented machine though its runs are over: files that are nowhere else. Pure."""

import shlex
from collections.abc import Iterable, Iterator

from loratui.domain.rental_cost import Held
from loratui.domain.run import RunView
from loratui_protocol.messages import Artifact, ArtifactKind, JobState

_RESULTS = (ArtifactKind.LORA, ArtifactKind.JUDGEMENT)


def held(views: Iterable[RunView]) -> Held | None:
    """Return what would be lost with the machine of these runs, None where nothing would.

    Of a run that still goes on, or whose files are on their way, it says nothing.
    """
    files = [(view, file) for view in views if view.is_settled for file in _of(view)]
    if not files:
        return None
    [(first, what), *more] = files
    several = f" and {len(more)} more file{'s' if len(more) > 1 else ''}" if more else ""
    names = dict.fromkeys(shlex.quote(view.name or view.run_id) for view, _ in files)
    return Held(
        what=f"{what} of {first.name}{several}",
        num_files=len(files),
        fetch=tuple(f"loratui download {name}" for name in names),
    )


def results(view: RunView) -> list[Artifact]:
    """Return the LoRA that a training is for, or the judgement of a run that trains nothing."""
    of_kind = {kind: [each for each in view.artifacts.values() if each.kind is kind] for kind in _RESULTS}
    # A training says what its LoRA is before it judges it.
    return next((found for found in of_kind.values() if found), [])


def _of(view: RunView) -> Iterator[str]:
    for artifact_id, artifact in view.artifacts.items():
        if artifact_id not in view.downloaded and artifact_id not in view.unwanted:
            yield f"{artifact.name} ({view.download_failures.get(artifact_id) or view.declined.get(artifact_id)})"
    # A run that is done has one, whatever its agent has said of it so far.
    if view.state is JobState.DONE and not results(view):
        yield "the LoRA (its agent never said that it has one)"
