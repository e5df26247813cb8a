"""What was said in place of the key hints: now, and before, so that what was missed is found again."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from loratui.ui.clock import Clock

NOTICE_S = 5.0
ALARM_S = 30.0
"""For so long what may bill elsewhere takes the place of the key hints, unless a key has something to say."""
_MOST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A notice and when it was said, the last time if it was said several times on end."""

    number: int
    at: datetime
    text: str
    times: int = 1


class Notices:
    """Holds one for a while, and remembers the newest ones."""

    def __init__(self, clock: Clock, alarm: str) -> None:
        self._clock = clock
        self._now = ""
        self._until_s = 0.0
        self._said = deque[Said](maxlen=_MOST)
        self._number = 0
        if alarm:
            self.say(f"! {alarm}", ALARM_S)

    def say(self, notice: str, seconds: float = NOTICE_S) -> None:
        """Say something for so long; nothing takes back what is said."""
        self._now, self._until_s = notice, self._clock.monotonic_s() + seconds
        # What ends like this is followed by what came of it.
        if notice and not notice.endswith("…"):
            self.note(notice)

    def note(self, text: str) -> None:
        """Remember what was said in another place."""
        times = 1
        if self._said and self._said[-1].text == text:
            times += self._said.pop().times
        else:
            self._number += 1
        self._said.append(Said(number=self._number, at=self._clock.local(), text=text, times=times))

    def leave(self) -> None:
        """Forget what was said of a screen that is left: it would hide the keys of the next one. An alarm stays."""
        if not self._now.startswith("!"):
            self._now = ""

    def now(self, now_s: float) -> str:
        """Return what is said at this moment."""
        return self._now if now_s < self._until_s else ""

    def newest_first(self) -> list[Said]:
        """Return what was said."""
        return [*reversed(self._said)]
