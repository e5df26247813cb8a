"""The finished files that a job's journal lists, and the end of those that it withdraws."""

import contextlib
from pathlib import Path

from loratui_protocol.messages import Artifact, ArtifactKind, Event, Withdrawn

LISTING = (Artifact, Withdrawn)
"""Events that change the list."""


class ArtifactList:
    """Files by artifact id. Parts of saved states are not among them: nothing waits for those."""

    def __init__(self, folder: Path) -> None:
        """Take up what lies in ``folder``; ``learn`` says what of it counts."""
        self.artifacts: dict[str, Artifact] = {}
        self._folder = folder
        self._last: dict[str, str] = {}
        """Hash of the last version of each, of withdrawn ones, too: a client may have it."""
        self._withdrawn: set[str] = set()

    @property
    def known(self) -> set[str]:
        """Return the ids of all that was ever listed: a client may still tell of one that was withdrawn."""
        return set(self._last)

    def learn(self, event: Event) -> None:
        """Take in an event of the journal."""
        if isinstance(event, Artifact) and not is_of_state(event):
            self.artifacts[event.id] = event
            self._last[event.id] = event.sha256
            self._withdrawn.discard(event.id)
        elif isinstance(event, Withdrawn):
            self.artifacts.pop(event.id, None)
            self._withdrawn.add(event.id)

    def replaces(self, artifact: Artifact) -> bool:
        """Return whether this is another version of a file that a client may have."""
        return self._last.get(artifact.id, artifact.sha256) != artifact.sha256

    def remove(self, artifact_id: str) -> None:
        """Give its room back. Whoever is reading it reads on."""
        # What stays for now costs room alone: it is no longer listed.
        with contextlib.suppress(OSError):
            (self._folder / Path(artifact_id).name).unlink()

    def clear(self) -> None:
        """Remove what a crash kept from being removed. While a trainer runs, it may be writing one of them anew."""
        for artifact_id in self._withdrawn:
            self.remove(artifact_id)


def is_of_state(event: Event) -> bool:
    """Return whether this is a part of a saved state: neither is it listed, nor ever acknowledged."""
    return isinstance(event, Artifact) and event.kind is ArtifactKind.STATE
