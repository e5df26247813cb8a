"""The step that a run goes to: the last one of its plan, or an earlier one at which it stops for somebody to look."""

from typing import Protocol

from loratui_protocol.messages import JobState


class Planned(Protocol):
    """A run, or what is known of one."""

    @property
    def state(self) -> JobState:
        """Return what it does."""

    @property
    def total(self) -> int:
        """Return how many steps are planned; 0: not known yet."""

    @property
    def stop(self) -> int | None:
        """Return after which step it stops, where that is before the last one that is planned."""


def goes_to(run: Planned) -> int:
    """Return after how many steps a run ends, 0 if that is not known; once it has stopped, what it was planned for."""
    return run.total if run.stop is None or run.state.is_final else run.stop


def stops_early(run: Planned) -> bool:
    """Return whether a run will stop before its plan is done."""
    return goes_to(run) < run.total
