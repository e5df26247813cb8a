"""Follows a run on standard output, from its first record to its last, as sentences or as JSON lines."""

import sys
import time
from typing import Protocol

from loratui.domain import formatting
from loratui.domain.run import LinkState, RunView
from loratui.headless.json_lines import print_line, record_line
from loratui.headless.narration import Narrator
from loratui.headless.rental_narration import RentalNarrator
from loratui.sessions.host import SessionHost
from loratui.sessions.tail import tail
from loratui.store import Store
from loratui_protocol.messages import Artifact, ArtifactKind, CommandResult, Done, Event, Log, Record, State, Warn

CATCH_UP_TIMEOUT_S = 60.0
SUPPLY_EVERY_S = 5.0


class Printer(Protocol):
    """Prints the records of one run in their order; ``view`` says what has become of the run's files."""

    def record(self, record: Record, view: RunView, /) -> None:
        """Take the next record."""
        ...

    def end(self, view: RunView, /) -> None:
        """Print what was held back."""
        ...


class PlainPrinter:
    """A sentence a change, after the time of day; ``kinds`` leaves all others out."""

    def __init__(self, kinds: tuple[type[Event], ...] | None = None) -> None:
        self._narrator = Narrator()
        self._kinds = kinds

    def record(self, record: Record, _: RunView, /) -> None:
        """Print the record if it is worth a sentence."""
        self.say(record)

    def say(self, record: Record) -> None:
        """Print the record if it is worth a sentence."""
        if self._kinds is not None and not isinstance(record.event, self._kinds):
            return
        sentence = self._narrator.sentence(record)
        if sentence is not None:
            print_line(f"{formatting.time_of_day(record.ts)}  {sentence}")

    def end(self, _: RunView, /) -> None:
        """Do nothing: no sentence is held back."""


LOGGED = (Log, Warn, State, CommandResult)


class JsonPrinter:
    """An object a line. What names a file waits until the file is here: its path is true then, and only then."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Record, str]] = []
        self._version = -1

    def record(self, record: Record, view: RunView, /) -> None:
        """Print the record, and those whose file has come meanwhile."""
        if view.version != self._version:
            # Only then may a file have come: many wait where a host announces many, and records come fast.
            self._version = view.version
            waiting, self._waiting = self._waiting, []
            for earlier, artifact_id in waiting:
                self._file(earlier, artifact_id, view)
        match record.event:
            case Artifact(kind=ArtifactKind.STATE):
                print(record_line(record), flush=True)
            case Artifact(id=artifact_id) | Done(artifact_id=artifact_id):
                self._file(record, artifact_id, view)
            case _:
                print_line(record_line(record))

    def end(self, view: RunView, /) -> None:
        """Print the records whose files never came."""
        for record, artifact_id in self._waiting:
            _print_file(record, artifact_id, view)

    def _file(self, record: Record, artifact_id: str, view: RunView) -> None:
        if artifact_id in view.downloaded:
            _print_file(record, artifact_id, view)
        else:
            self._waiting.append((record, artifact_id))


def _print_file(record: Record, artifact_id: str, view: RunView) -> None:
    path = view.exported.get(artifact_id, view.downloaded.get(artifact_id))
    print_line(record_line(record, path if _is_of(record, artifact_id, view) else None))


def _is_of(record: Record, artifact_id: str, view: RunView) -> bool:
    """Return whether the file that is here is the one the record names, not a later one of the same id."""
    known = view.artifacts.get(artifact_id)
    return isinstance(record.event, Artifact | Done) and known is not None and known.sha256 == record.event.sha256


def follow(
    host: SessionHost, store: Store, run_id: str, printer: Printer, rental: RentalNarrator | None = None
) -> RunView:
    """Print everything that a followed run has done and does, until it is over; return how it ended.

    ``rental`` says beside it what becomes of the rental that the run is on.

    Raises:
        LoratuiError: it is followed no more, because a person has to decide something first.
    """
    host.subscribe(_LinkNarrator(host, run_id, rental or RentalNarrator()).look)
    for record in tail(host, store, run_id):
        printer.record(record, host.view(run_id))
    view = host.view(run_id)
    printer.end(view)
    if view.given_up is not None and not view.is_settled:
        raise view.given_up
    return view


def catch_up(host: SessionHost, run_id: str) -> RunView:
    """Return the view of a followed run once it has all that the agent had when it was asked, or can't be asked."""
    deadline_s = time.monotonic() + CATCH_UP_TIMEOUT_S
    view = host.view(run_id)
    while not _has_caught_up(view) and view.link is not LinkState.DOWN and time.monotonic() < deadline_s:
        view = host.wait(run_id, view.version, deadline_s - time.monotonic())
    return view


def _has_caught_up(view: RunView) -> bool:
    return view.link is LinkState.UP and view.last_seq >= view.head


class SupplyNarrator:
    """Says on standard error how far this machine is with sending what a run needs, and what that runs into."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._told_s = time.monotonic()

    def look(self, view: RunView) -> None:
        """Say what is new."""
        supply = view.supply
        if supply is None:
            return
        for text in (supply.warning, f"{supply.error}\n  the run is stopped" if supply.error else ""):
            if text and text not in self._told:
                self._told.add(text)
                print(text, file=sys.stderr, flush=True)
        if supply.speed and not supply.is_complete and time.monotonic() - self._told_s >= SUPPLY_EVERY_S:
            self._told_s = time.monotonic()
            far = f"{formatting.size(supply.done)} of {formatting.size(supply.total)}"
            print(f"sending: {far}, {supply.speed}", file=sys.stderr, flush=True)


class _LinkNarrator:
    """Says on standard error when the agent is not heard, when it is heard again, and what an upload runs into."""

    def __init__(self, host: SessionHost, run_id: str, rental: RentalNarrator) -> None:
        self._host = host
        self._run_id = run_id
        self._is_down = False
        self._supply = SupplyNarrator()
        self._rental = rental

    def look(self) -> None:
        view = self._host.view(self._run_id)
        self._supply.look(view)
        self._rental.look(view)
        if view.is_settled:
            # What is left to say has come; where it was may be gone by now, as it should.
            return
        if view.link is LinkState.DOWN and not self._is_down and view.given_up is None:
            self._is_down = True
            print(f"the agent is not heard ({view.link_detail}); it is tried again", file=sys.stderr, flush=True)
        elif view.link is LinkState.UP and self._is_down:
            self._is_down = False
            print("the agent is heard again", file=sys.stderr, flush=True)
