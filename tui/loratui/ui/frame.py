"""What the screen shows at one instant: all that rows of text are made from."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from loratui.domain.run import LinkState, RunView
from loratui.ui.environment import UiOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A run and a moment: ``now_s`` monotonic, as the times in the view, and ``wall``, the local time."""

    view: RunView
    now_s: float
    wall: datetime
    options: UiOptions = field(default_factory=UiOptions)
    notice: str = ""
    """What the last action came to; shown for a few seconds in place of the key hints."""

    @property
    def is_current(self) -> bool:
        """Return whether the numbers are fresh; otherwise they are shown with ≈ or with the time they are from."""
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
