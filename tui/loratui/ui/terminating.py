"""Rentals that are being terminated from here: what is waited for, the seconds to think again, the proof or the alarm.

Nothing here waits. The end itself is the command ``loratui terminate``, which goes on without the interface. That
billing has stopped is said once that command or the ledger says so: both go by the provider's own answers.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING

from loratui.domain import formatting
from loratui.domain.overview import RentalLine
from loratui.domain.run_source import RunSource
from loratui.ui.commands import refusal
from loratui.ui.errands import Errand
from loratui.ui.session import Unended
from loratui_protocol.messages import CommandResult

if TYPE_CHECKING:
    from loratui.ui.frame import Frame
    from loratui.ui.registry import Registry

UNDO_S = 5.0
SHORT_ID = 8
_LEFT = "loratui was left before its files were here"
Send = Callable[..., Errand | None]


class Stage(Enum):
    """How far a termination is."""

    SAVING = "saving"
    """Its runs were told to stop, and to save."""
    FETCHING = "fetching"
    COUNTING = "counting"
    """It can be taken back for some seconds."""
    ASKED = "asked"
    STOPPED = "stopped"
    """The provider has shown it gone."""
    FAILED = "failed"
    """Nobody has seen it end: an alarm until somebody has."""


@dataclass(kw_only=True)
class Termination:
    """Of one rental. ``runs`` are waited for, ``to_fetch`` the ids of runs whose files are fetched then."""

    label: str
    name: str
    argument: str
    """What ``loratui terminate`` is told."""
    stage: Stage
    since_s: float
    runs: list[RunSource] = field(default_factory=list)
    answers: "list[Future[CommandResult]]" = field(default_factory=list)
    """What the runs say to being stopped."""
    to_fetch: list[str] = field(default_factory=list)
    errand: Errand | None = None
    trouble: str = ""
    stopped_at: datetime | None = None
    was_asked: bool = False
    was_listed: bool = False
    """Whether the records had it among what may bill."""
    is_elsewhere: bool = False
    """Whether the records do not have it."""
    is_left: bool = False
    """Whether an earlier session was left with it."""

    @property
    def can_be_kept(self) -> bool:
        """Return whether its provider was not asked yet."""
        return self.stage in (Stage.SAVING, Stage.FETCHING, Stage.COUNTING)

    def enter(self, stage: Stage, now_s: float) -> None:
        """Come into a stage."""
        self.stage, self.since_s = stage, now_s

    def sentence(self, now_s: float, keys: "Registry", undo: str = "") -> str:
        """Return how it stands, for the row of the state; ``undo`` is what keeps it, "u" say."""
        age_s = now_s - self.since_s
        match self.stage:
            case Stage.SAVING:
                return f"TERMINATING {self.name} once it has saved, {formatting.stopwatch(age_s)} · {undo} keeps it"
            case Stage.FETCHING:
                return (
                    f"TERMINATING {self.name} once its files are here, {formatting.stopwatch(age_s)} · {undo} keeps it"
                )
            case Stage.COUNTING:
                return f"TERMINATING {self.name} in {max(0.0, UNDO_S - age_s):.0f} s · {undo} keeps it"
            case Stage.ASKED:
                said = self.errand.last_line() if self.errand else ""
                return f"TERMINATING {self.name} {formatting.stopwatch(age_s)} · {said or 'asking its provider'}"
            case Stage.STOPPED:
                return f"billing stopped {self.stopped_at:%H:%M} (provider confirmed): {self.name}"
            case Stage.FAILED:
                how = "STILL BILLING, perhaps" if self.was_asked else "NOT TERMINATED, AND BILLING"
                return f"{how}: {self.name} · {keys.name_of('terminate')} asks again · {self.trouble}"


class Terminations:
    """All that were begun here. ``send`` sends a command out, as ``Shell.send_out`` does."""

    def __init__(self, send: Send, keys: "Registry") -> None:
        self._send = send
        self._keys = keys
        self._all: dict[str, Termination] = {}
        self._sent: list[Errand] = []

    def begin(self, rental: RentalLine, stage: Stage, now_s: float) -> Termination | None:
        """Take up one; None: it is under way already."""
        # Of one that the ledger does not have, the ledger proves nothing, whatever it says of a label like it.
        label = rental.instance_id if rental.is_elsewhere else rental.label
        known = self._all.get(label)
        if known is not None and known.stage is Stage.ASKED:
            return None
        begun = Termination(
            label=label,
            name=rental_name(rental),
            argument=rental.instance_id or rental.label,
            stage=stage,
            since_s=now_s,
            is_elsewhere=rental.is_elsewhere,
        )
        self._all[label] = begun
        return begun

    def keep(self) -> str:
        """Take back the one that is told, which was not asked for yet; return what that comes to."""
        kept = self.keepable
        if kept is None:
            return ""
        del self._all[kept.label]
        stops = "; its runs stop all the same, and without --keep it ends once their files are here"
        return f"kept, and billing: {kept.name}{stops if kept.runs else ''}"

    @property
    def keepable(self) -> Termination | None:
        """Return the one that can be taken back: what the row of the state tells, and no other."""
        shown = self.shown()
        return shown if shown is not None and shown.can_be_kept else None

    def owns(self, errand: Errand) -> bool:
        """Return whether a command was sent out from here; its end is told here."""
        return errand in self._sent

    def unasked(self) -> list[str]:
        """Return the names of those that wait for files: their providers will not be asked, once this closes."""
        return [each.name for each in self._all.values() if each.can_be_kept and each.stage is not Stage.COUNTING]

    def confirmed(self) -> list[str]:
        """Return the names of those that are counted down: their providers are asked at once when this closes."""
        return [each.name for each in self._all.values() if each.stage is Stage.COUNTING]

    def let_go(self, send: Send, now_s: float) -> None:
        """Send out the end of what was confirmed and is counted down: once this has closed nobody else would."""
        for each in self._all.values():
            if each.stage is Stage.COUNTING:
                each.enter(Stage.ASKED, now_s)
                each.was_asked = True
                self._out(each, "terminate", each.argument, "--yes", send=send)

    def left(self) -> tuple[Unended, ...]:
        """Return those whose providers were not asked, for the next session; the records tell of all others."""
        return tuple(
            Unended(label=each.label, name=each.name, argument=each.argument, why=each.trouble or _LEFT)
            for each in self._all.values()
            if not each.is_elsewhere and not each.was_asked and each.stage is not Stage.STOPPED
        )

    def take_up(self, left: Iterable[Unended], now_s: float) -> None:
        """Raise the alarm for what an earlier session was left with, until it is shown gone or is ended from here."""
        for each in left:
            self._all[each.label] = Termination(
                label=each.label,
                name=each.name,
                argument=each.argument,
                stage=Stage.FAILED,
                since_s=now_s,
                trouble=each.why,
                was_listed=True,
                is_left=True,
            )

    def shown(self) -> Termination | None:
        """Return what the row of the state tells: what is counted down, then an alarm, then what can be taken back."""
        order = (Stage.COUNTING, Stage.FAILED, Stage.FETCHING, Stage.SAVING, Stage.ASKED)
        going = [each for each in self._all.values() if each.stage in order]
        return min(going, key=lambda each: order.index(each.stage), default=None)

    def stopped_at(self, label: str) -> datetime | None:
        """Return when a rental was proven here to bill no more; None: it was not."""
        ended = self._all.get(label)
        return None if ended is None else ended.stopped_at

    def tick(self, frame: "Frame") -> str:
        """Go on with all of them; return what a person should be told, once."""
        news = [self._go_on(each, frame) for each in list(self._all.values())]
        return " · ".join(filter(None, news))

    def _go_on(self, each: Termination, frame: "Frame") -> str:
        each.was_listed = each.was_listed or frame.overview.holds(each.label)
        if each.stage is Stage.STOPPED:
            return ""
        if _is_shown_gone(each, frame):
            if each.is_left:
                # When that was is not known here.
                del self._all[each.label]
                return f"{each.name} has ended meanwhile (provider confirmed)"
            return self._stopped(each, frame.wall)
        match each.stage:
            case Stage.SAVING if why := _refusal(each):
                return self._failed(each, f"a run could not be stopped: {why}")
            case Stage.SAVING if all(source.view().state.is_final for source in each.runs):
                each.enter(Stage.FETCHING, frame.now_s)
            case Stage.FETCHING:
                return self._fetch(each, frame.now_s)
            case Stage.COUNTING if frame.now_s - each.since_s >= UNDO_S:
                each.enter(Stage.ASKED, frame.now_s)
                each.was_asked = True
                return self._out(each, "terminate", each.argument, "--yes")
            case Stage.ASKED if each.errand is not None and each.errand.status is not None:
                if each.errand.status == 0:
                    return self._stopped(each, frame.wall)
                return self._failed(each, each.errand.last_line())
        return ""

    def _fetch(self, each: Termination, now_s: float) -> str:
        """Fetch the files of one run after the other; only when all are here it can end."""
        if each.errand is not None:
            if each.errand.status is None:
                return ""
            if each.errand.status != 0:
                return self._failed(each, f"a file is missing: {each.errand.last_line()}")
            each.errand = None
        if not each.to_fetch:
            each.enter(Stage.COUNTING, now_s)
            return ""
        return self._out(each, "download", each.to_fetch.pop(0))

    def _out(self, each: Termination, *argv: str, send: Send | None = None) -> str:
        each.errand = (send or self._send)(f"{argv[0]} {each.name}", *argv)
        if each.errand is None:
            each.was_asked = False
            return self._failed(each, f"loratui {argv[0]} could not be started")
        self._sent.append(each.errand)
        return ""

    def _stopped(self, each: Termination, wall: datetime) -> str:
        each.stage, each.stopped_at = Stage.STOPPED, wall
        return each.sentence(each.since_s, self._keys)

    def _failed(self, each: Termination, why: str) -> str:
        each.stage, each.trouble = Stage.FAILED, why
        return f"! {each.sentence(each.since_s, self._keys)}"


def rental_name(rental: RentalLine) -> str:
    """Return what people call it."""
    return f"{rental.provider} {rental.instance_id or rental.label}"


def short_id(rental: RentalLine) -> str:
    """Return what is typed to lose what is on it: how its id begins; labels all begin alike, so how one ends."""
    return rental.instance_id[:SHORT_ID] or rental.label[-SHORT_ID:]


def _is_shown_gone(each: Termination, frame: "Frame") -> bool:
    """Return whether the ledger has the provider's proof: what was in it as billing is there no more."""
    run = frame.run
    if run is not None and run.rental is not None and run.rental.label == each.label:
        return run.rental.is_over
    overview = frame.overview
    return each.was_listed and overview.is_read and not overview.trouble and not overview.holds(each.label)


def _refusal(each: Termination) -> str:
    """Return why a run could not be told to stop."""
    return next(filter(None, (refusal(answer) for answer in each.answers if answer.done())), "")
