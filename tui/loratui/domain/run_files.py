"""Which files a run has, as its journal says it: announced, announced anew, withdrawn. Pure."""

from pathlib import Path
from typing import TYPE_CHECKING

from loratui_protocol.messages import Artifact, ArtifactKind, Withdrawn

if TYPE_CHECKING:
    from loratui.domain.run import RunView

NUM_ARTIFACTS = 5000


def announce(view: "RunView", event: Artifact) -> None:
    """Note a file that can be had."""
    gone = view.withdrawn.pop(event.id, None)
    earlier = view.artifacts.get(event.id, gone)
    if earlier is not None and earlier.sha256 != event.sha256:
        # A resumed run wrote the file anew: what was fetched is not it any more.
        for known in (view.downloaded, view.exported, view.download_failures):
            known.pop(event.id, None)
        view.acknowledged.discard(event.id)
    view.artifacts[event.id] = event
    if len(view.artifacts) > NUM_ARTIFACTS:
        _forget_one(view)


def withdraw(view: "RunView", event: Withdrawn) -> None:
    """Note that a file can't be had any more. One that is here stays; for another it is as if it never was."""
    known = view.artifacts.get(event.id)
    if known is None or known.sha256 != event.sha256:
        return
    view.withdrawn[event.id] = known
    if len(view.withdrawn) > NUM_ARTIFACTS:
        view.withdrawn.pop(next(iter(view.withdrawn)))
    if event.id not in view.downloaded:
        for place in (view.artifacts, view.exported, view.download_failures, view.declined):
            place.pop(event.id, None)
        view.unwanted.discard(event.id)


def take_back(view: "RunView", artifact: Artifact) -> None:
    """Note that a file is here although it was withdrawn. The newest never is: those taken back come first."""
    if artifact.id not in view.artifacts:
        view.artifacts = {artifact.id: artifact, **view.artifacts}


def _forget_one(view: "RunView") -> None:
    """Forget the oldest file that is settled; where all are on their way, the oldest of them."""
    places = (view.downloaded, view.exported, view.download_failures, view.declined)
    settled = (each for each in view.artifacts if any(each in place for place in places))
    oldest = next(settled, next(iter(view.artifacts)))
    for place in (view.artifacts, *places):
        place.pop(oldest, None)
    view.unwanted.discard(oldest)


def newest_here(view: "RunView", kind: ArtifactKind) -> Path | None:
    """Return where the newest file of a kind is, of those that are here and verified."""
    ids = [id_ for id_, artifact in view.artifacts.items() if artifact.kind is kind and id_ in view.downloaded]
    return view.downloaded[ids[-1]] if ids else None
