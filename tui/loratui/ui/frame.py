"""What the screen shows at one instant: all that rows of text are made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from loratui.domain.overview import Overview
from loratui.domain.run import LinkState, RunView
from loratui.ui.environment import UiOptions
from loratui.ui.errands import Errand

if TYPE_CHECKING:
    from loratui.ui.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A moment: ``now_s`` monotonic, as the times in the run's view, and ``wall``, the local time."""

    run: RunView | None
    """The run that is open; None: none is."""
    now_s: float
    wall: datetime
    keys: "Registry"
    """All actions with the keys that they have here; a text that names a key asks for its name."""
    overview: Overview = field(default_factory=Overview)
    errands: tuple[Errand, ...] = ()
    """Commands that were sent out and are under way."""
    ending: str = ""
    """How a rental stands that is being terminated from here, or that nobody has seen end."""
    options: UiOptions = field(default_factory=UiOptions)
    place: str = "run"
    """The name of the screen that is shown."""
    refusals: Mapping[str, str] = field(default_factory=dict)
    """Ids of actions that the screen shown can't do now, and why."""
    notice: str = ""
    """What the last action came to; shown for a few seconds in place of the key hints."""

    @property
    def view(self) -> RunView:
        """Return the open run, for rows that are shown only while there is one.

        Raises:
            LookupError: none is open.
        """
        if self.run is None:
            raise LookupError("no run is open")
        return self.run

    @property
    def is_current(self) -> bool:
        """Return whether the run's numbers are fresh; else they are shown with ≈ or with the time they are from."""
        return self.view.link is LinkState.UP or self.view.state.is_final

    @property
    def heard_at(self) -> datetime | None:
        """Return when the agent last said something, by the clock on the wall; None: never."""
        moments = [] if self.view.money_at_s is None else [self.view.money_at_s]
        if self.view.last_ts is not None:
            moments.append(self.view.last_ts + self.view.clock_offset_s)
        return self.at(max(moments)) if moments else None

    def at(self, moment_s: float) -> datetime:
        """Return the wall time of a monotonic moment."""
        return self.wall + timedelta(seconds=moment_s - self.now_s)
