"""What is lost when a rental ends now: files that are not on this machine yet, and what its runs have left to do."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from loratui.domain.run import RunView
from loratui_protocol.messages import Artifact, JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class AtStake:
    """A run on the rental. ``missing`` are its files that the machine alone has."""

    run_id: str
    name: str
    state: JobState
    step: int
    total: int
    missing: tuple[Artifact, ...] = ()
    num_files: int = 0
    """So many it has made."""
    kept_step: int = 0
    """Up to this step this machine has a file of what it has learned, or a saved state."""

    @property
    def is_lost(self) -> bool:
        """Return whether ending the machine now would lose anything of it."""
        return bool(self.missing) or not self.state.is_final


def of_view(view: RunView) -> AtStake:
    """Return what a run that is followed has to lose now; what the user does not want is no loss."""
    here = view.downloaded.keys() | view.unwanted
    return AtStake(
        run_id=view.run_id,
        name=view.name,
        state=view.state,
        step=view.step,
        total=view.total,
        missing=tuple(artifact for artifact_id, artifact in view.artifacts.items() if artifact_id not in here),
        num_files=len(view.artifacts),
        kept_step=max(view.kept_step or 0, newest_step(view.artifacts.values(), view.downloaded)),
    )


def newest_step(artifacts: Iterable[Artifact], here: Container[str]) -> int:
    """Return the newest step of the files whose ids are ``here``; 0: none of a step is."""
    return max((artifact.step or 0 for artifact in artifacts if artifact.id in here), default=0)


def with_newer(runs: Sequence[AtStake], view: RunView | None, target: str) -> list[AtStake]:
    """Return what was read of all runs on ``target``, where the followed one is as its view shows it now."""
    if view is None or view.target != target:
        return list(runs)
    return [of_view(view), *(run for run in runs if run.run_id != view.run_id)]
