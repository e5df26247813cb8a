"""What calls the user back to the terminal: each event once."""

from loratui.domain import formatting
from loratui.domain.countdown import bell
from loratui.ui.frame import Frame
from loratui_protocol.messages import JobState

_BUDGET_SHARES = (0.8, 1.0)
_UNMINDED_S = 10.0
"""Whoever takes a rental up again needs a moment."""
_ENDS = {JobState.DONE: "is done", JobState.FAILED: "has failed"}


class Notifier:
    """Looks at every frame, and says what in it is worth a call. What was so at the first look is no event."""

    def __init__(self) -> None:
        self._states: dict[str, JobState] = {}
        self._left_s: tuple[str, float | None] = "", None
        self._unminded_s: dict[str, float] = {}
        self._told: set[str] = set()
        self._has_looked = False

    def news(self, frame: Frame) -> list[str]:
        """Return a sentence for everything that has happened since the last frame."""
        found = [*self._ends(frame), *self._countdown(frame), *self._unminded(frame), *self._budget(frame)]
        self._has_looked = self._has_looked or frame.overview.is_read
        return found

    def _ends(self, frame: Frame) -> list[str]:
        states = {line.id: (line.name, line.state) for line in frame.overview.runs}
        if frame.run is not None:
            states[frame.run.run_id] = frame.run.name, frame.run.state
        news = [
            f"{name} {_ENDS[state]}"
            for run_id, (name, state) in states.items()
            if state in _ENDS and run_id in self._states and not self._states[run_id].is_final
        ]
        # A run that is followed and one that was read may differ for a moment: an end is not taken back by that.
        before = self._states
        self._states = {
            run_id: state
            if state.is_final or not before.get(run_id, state).is_final or _is_open(frame, run_id)
            else before[run_id]
            for run_id, (_, state) in states.items()
        }
        return news

    def _countdown(self, frame: Frame) -> list[str]:
        if frame.run is None or frame.run.is_machine_gone:
            return []
        run_id, left_s = frame.run.run_id, frame.run.deadline_left_s(frame.now_s)
        known_id, before_s = self._left_s
        self._left_s = run_id, left_s
        passed_s = bell(before_s, left_s) if known_id == run_id else None
        return [] if passed_s is None else [f"{frame.run.name}: auto-stop in {passed_s / 60:.0f} min"]

    def _unminded(self, frame: Frame) -> list[str]:
        rentals = {rental.label: rental for rental in frame.overview.rentals if rental.is_orphan}
        self._unminded_s = {label: self._unminded_s.get(label, frame.now_s) for label in rentals}
        if not self._has_looked:
            self._told |= rentals.keys()
        long_ago = {label for label, at_s in self._unminded_s.items() if frame.now_s - at_s >= _UNMINDED_S}
        new = [rentals[label] for label in sorted(long_ago - self._told)]
        # One that is minded again, and then left again, is another event.
        self._told = {key for key in self._told if key in rentals or key.startswith("budget ")} | long_ago
        return [
            f"{rental.provider} {rental.instance_id or rental.label} may bill, and nobody looks after it"
            for rental in new
        ]

    def _budget(self, frame: Frame) -> list[str]:
        rental = None if frame.run is None else frame.run.rental
        if rental is None or not rental.cap_microusd or rental.is_over:
            return []
        seen, spent = f"budget seen {rental.label}", rental.spent_at(frame.now_s)
        is_first = seen not in self._told
        passed = {f"budget {share} {rental.label}" for share in _BUDGET_SHARES if spent >= share * rental.cap_microusd}
        new = passed - self._told
        self._told |= {seen, *passed}
        if is_first or not new:
            return []
        cap = formatting.money(rental.cap_microusd)
        is_all = spent >= rental.cap_microusd
        return [f"the cap of {cap} is reached" if is_all else f"{formatting.money(spent)} of at most {cap} is spent"]


def _is_open(frame: Frame, run_id: str) -> bool:
    return frame.run is not None and frame.run.run_id == run_id
