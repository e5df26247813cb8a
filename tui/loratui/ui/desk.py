"""What the interface asks of the rest of the client; pages that need more call the sessions' own functions."""

from typing import Protocol

from loratui import settings
from loratui.domain.overview import Overview
from loratui.domain.run_source import RunSource
from loratui.settings import Settings


class Desk(Protocol):
    """Where the interface gets runs from. No method waits."""

    preferences: Settings

    def overview(self) -> Overview:
        """Return what was last read of all runs and rentals."""
        ...

    def look(self) -> None:
        """Read them again soon: something has just changed."""
        ...

    def open_run(self, run_id: str) -> RunSource:
        """Follow a run that is known here, and return where its news come from."""
        ...


class SoleRun:
    """A desk at which one run is all there is."""

    def __init__(self, source: RunSource, preferences: Settings | None = None) -> None:
        self.preferences = preferences or settings.load()
        self._source = source

    def overview(self) -> Overview:
        """Return nothing but that it is so."""
        return Overview(is_read=True)

    def look(self) -> None:
        """Do nothing: there is nothing new."""

    def open_run(self, run_id: str) -> RunSource:  # noqa: ARG002 - there is one
        """Return the run."""
        return self._source
