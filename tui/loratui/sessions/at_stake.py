"""Reads from this machine's records what of a rental's runs the rented machine alone has; nobody is asked."""

from pathlib import Path

from loratui.domain.at_stake import AtStake, newest_step
from loratui.domain.run import RunView
from loratui.domain.run_files import announce, withdraw
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui.store.picked import picked_events
from loratui_protocol.messages import Artifact, ArtifactKind, Withdrawn


def at_stake(preferences: Settings, target: str) -> list[AtStake]:
    """Return the runs on a target, in the order in which they were started.

    Raises:
        StorageError: the records can't be read.
    """
    with Store(preferences.database) as store:
        return [_of_run(preferences.database, store, run) for run in reversed(store.runs()) if run.target == target]


def _of_run(path: Path, store: Store, run: StoredRun) -> AtStake:
    view = RunView(run_id=run.id, name=run.name, target=run.target)
    told: list[tuple[int, Artifact | Withdrawn]] = [
        *picked_events(path, run.id, Artifact),
        *picked_events(path, run.id, Withdrawn),
    ]
    for _, event in sorted(told, key=lambda numbered: numbered[0]):
        if isinstance(event, Withdrawn):
            withdraw(view, event)
        elif event.kind is not ArtifactKind.STATE:
            announce(view, event)
    here = {artifact_id: known.sha256 for artifact_id, known in store.downloads(run.id).items()}
    made = view.artifacts.values()
    missing = tuple(artifact for artifact in made if here.get(artifact.id) != artifact.sha256)
    return AtStake(
        run_id=run.id,
        name=run.name,
        state=run.state,
        step=run.step,
        total=run.total,
        missing=missing,
        num_files=len(made),
        kept_step=newest_step(made, here.keys() - {artifact.id for artifact in missing}),
    )
