"""The reaper's eye on the machine's rental, and its hand: sees when it is to end, and asks for that until it has.

Standard library only.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from loratui_agent.clock import Moment, now
from loratui_agent.deadman import RENTAL_PAUSE_S, ReapedJob, WatchedRental, rental_pause_s, rental_verdict
from loratui_agent.deeds import note
from loratui_agent.process import is_locked
from loratui_agent.rental import (
    CLIENT,
    END,
    END_WANTED,
    FACTS,
    WATCH,
    Rental,
    Watch,
    armed_as,
    elapsed_s,
    read_rental,
    read_watch,
    write_private,
)
from loratui_agent.rental_key import own_key
from loratui_agent.rental_routes import end_rental

log = logging.getLogger("loratui_agent.reaper")
_SAVE_EVERY_S = 30.0
_SEEN_EVERY_S = 10.0
_LOOK_S = 30.0
"""Who has only begun to look can't have seen anyone: for so long the lease ends nothing."""
_GAP_S = 12.0
"""A reaper that looks so much later than it should was stopped, with all that it looks for."""
_TRY_LIMIT_S = 300.0
_TOLD_TRIES = (1, 4, 16, 64)
"""In the journal of a run there is no need for every try of a day."""
_WHY = {
    "deadline": "its time is up",
    "lease": "nobody was there for long enough, and nothing is left to be fetched",
    "setup": "no run was ever started here",
}


class RentalWatch:
    """Watches over the rental that the home's ``run/rental.json`` names, if it names one."""

    def __init__(self, home: Path, pause_s: float = RENTAL_PAUSE_S) -> None:
        """Watch; after the first try to end it there is a pause of ``pause_s``, and then longer ones."""
        self._pause_s = pause_s
        self._run = home / "run"
        self._jobs = home / "jobs"
        self._receiving = home / "blobs" / "receive.lock"
        self._touched = _touched(self._run / CLIENT)
        self._rental: Rental | None = None
        self._watch: Watch | None = None
        self._saved = self._looked = self._began = now()
        self._tries = _Tries(pause_s)

    @property
    def is_armed(self) -> bool:
        """Return whether there is a rental to be ended from here."""
        return self._rental is not None

    @property
    def save_s(self) -> float:
        """Return how long before the deadline whatever trains is told to save."""
        return 0.0 if self._rental is None else self._rental.save_s

    def read(self, moment: Moment) -> float | None:
        """Take note of what is armed; return the seconds until its deadline, None where nothing is."""
        rental = read_rental(self._run)
        if rental is None and (self._run / FACTS).exists():
            # Damaged: what was armed before stays so.
            rental = self._rental
        if rental is None:
            self._rental = self._watch = None
            return None
        if self._rental is None or rental.nonce != self._rental.nonce:
            self._take(rental)
        self._rental = rental
        watch = self._watch or _unwatched(rental)
        seen = watch.seen
        if (touched := _touched(self._run / CLIENT)) != self._touched:
            self._touched, seen = touched, moment
        self._watch = replace(watch, elapsed_s=elapsed_s(rental, watch, moment), counted=moment, seen=seen)
        return rental.deadline_s - self._watch.elapsed_s

    def act(self, jobs: Sequence[ReapedJob], *, is_agent_lost: bool, moment: Moment) -> None:
        """End the rental if it is time for that, as far as that can be done from here."""
        rental, watch = self._rental, self._watch
        if rental is None or watch is None:
            return
        is_busy = is_locked(self._receiving) or any(
            job.is_training or (job.is_open and not is_agent_lost) for job in jobs
        )
        if is_busy:
            watch = self._watch = replace(watch, seen=moment)
        if self._looked.seconds_until(moment) > _GAP_S:
            self._began = moment
        self._looked = moment
        reason = rental_verdict(
            WatchedRental(
                left_s=rental.deadline_s - watch.elapsed_s,
                setup_left_s=None if rental.setup_s is None else rental.setup_s - watch.elapsed_s,
                lease_left_s=self._lease_left_s(rental, watch, moment),
                has_jobs=self._newest_job() is not None,
                is_busy=is_busy,
                has_unfetched=any(job.has_unfetched for job in jobs),
                is_asked_for=(self._run / END_WANTED).exists()
                or any(job.asks_for_end and not _is_held(job, jobs) for job in jobs),
            )
        )
        self._go_on(rental, watch, reason)
        self._keep(moment)

    def act_on_deadline(self) -> None:
        """End the rental if its deadline is over, whatever else can't be found out."""
        left_s = self.read(now())
        if left_s is not None and left_s <= 0 and self._rental is not None and self._watch is not None:
            self._go_on(self._rental, self._watch, "deadline")

    def _take(self, rental: Rental) -> None:
        watch = read_watch(self._run)
        is_known = watch is not None and watch.nonce == rental.nonce
        self._watch = watch if is_known else _unwatched(rental)
        self._tries = _Tries(self._pause_s)
        log.info(
            "rental=%s armed=%s deadline_s=%.0f lease_s=%s setup_s=%s",
            rental.name,
            armed_as(rental),
            rental.deadline_s - elapsed_s(rental, self._watch, now()),
            rental.lease_s,
            rental.setup_s,
        )
        # Whoever armed it waits to read that it is watched.
        self._save()

    def _lease_left_s(self, rental: Rental, watch: Watch, moment: Moment) -> float | None:
        if rental.lease_s is None:
            return None
        watched_s = self._began.seconds_until(moment)
        return max(rental.lease_s - watch.seen.seconds_until(moment), min(rental.lease_s, _LOOK_S) - watched_s)

    def _go_on(self, rental: Rental, watch: Watch, reason: str) -> None:
        """Begin to end it, try again, or let it be."""
        former = watch.reason
        if reason != former:
            log.warning("rental=%s %s", rental.name, f"ends: {reason}" if reason else "does not end after all")
            watch = replace(watch, reason=reason)
            if not (reason and former):
                watch = replace(watch, num_tries=0, complaint="")
                self._tries = _Tries(self._pause_s)
        complaint = self._tries.ended(watch.num_tries + 1) if reason else None
        if complaint is not None:
            watch = replace(watch, num_tries=watch.num_tries + 1, complaint=complaint)
        if reason:
            # Whatever is to be written down, it is asked for first.
            self._tries.begin(_with_found_key(rental, watch.num_tries), watch.num_tries)
        if reason != former and reason in _WHY:
            self._note(reason, f"{_WHY[reason]}: the provider is asked to end this machine")
        if complaint is not None and watch.num_tries in _TOLD_TRIES and (complaint or watch.num_tries > 1):
            said = complaint or "the provider agreed, and the machine still runs"
            self._note(reason, f"{said}; it is asked again", ok=False)
        if watch is not self._watch:
            self._watch = watch
            self._save()

    def _note(self, reason: str, detail: str, *, ok: bool = True) -> None:
        newest = self._newest_job()
        if newest is not None:
            with contextlib.suppress(OSError):
                note(newest, END, reason, detail, ok=ok)

    def _newest_job(self) -> Path | None:
        return max((path.parent for path in self._jobs.glob("*/state.json")), default=None)

    def _keep(self, moment: Moment) -> None:
        """Write down from time to time what was seen: the next reaper goes on from there."""
        stored_s = self._saved.seconds_until(moment)
        if stored_s >= _SAVE_EVERY_S or (self._was_seen_since_saved() and stored_s >= _SEEN_EVERY_S):
            self._save()

    def _was_seen_since_saved(self) -> bool:
        return self._watch is not None and self._watch.seen.boot_s > self._saved.boot_s

    def _save(self) -> None:
        self._saved = now()
        if self._watch is None:
            return
        try:
            write_private(self._run / WATCH, self._watch, is_synced=False)
        except OSError as error:
            log.error("what was seen of the rental can't be written down: %s", error)  # noqa: TRY400 - it says it all


class _Tries:
    """Tries to end a rental, each in a thread: a provider that does not answer keeps the reaper from nothing else."""

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._said: list[str] = []
        self._thread: threading.Thread | None = None
        self._began_s = 0.0
        self._next_s = 0.0

    def begin(self, rental: Rental, num_tries: int) -> None:
        """Begin the next try if it is time for it."""
        now_s = time.monotonic()
        if self._thread is not None or now_s < self._next_s:
            return
        said: list[str] = []

        def work() -> None:
            try:
                said.append(end_rental(rental, num_tries))
            except Exception as error:  # noqa: BLE001 - whatever it is, there is another try
                said.append(rental.without_key(repr(error)))
                log.error("rental=%s a try failed: %s", rental.name, said[-1])  # noqa: TRY400 - may name the key

        self._said, self._began_s = said, now_s
        self._thread = threading.Thread(target=work, name="end", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            # No room for a thread: then in this one.
            work()

    def ended(self, num_tries: int) -> str | None:
        """Return what came of the try that has ended since, None if none has; it was the ``num_tries``-th."""
        if self._thread is None:
            return None
        if not self._said and time.monotonic() - self._began_s < _TRY_LIMIT_S:
            return None
        self._thread = None
        self._next_s = time.monotonic() + rental_pause_s(num_tries, self._pause_s)
        return self._said[0] if self._said else "the provider did not answer in time"


def _unwatched(rental: Rental) -> Watch:
    return Watch(nonce=rental.nonce, elapsed_s=0.0, counted=rental.armed, seen=rental.armed)


def _with_found_key(rental: Rental, num_tries: int) -> Rental:
    """Return it with the key that the machine has now, every other time: a restart may have brought another one."""
    if rental.key and num_tries % 2 == 0:
        return rental
    instance_id, key = own_key(rental.provider)
    is_own = key and instance_id and rental.instance_id in ("", instance_id)
    return replace(rental, instance_id=instance_id, key=key) if is_own else rental


def _is_held(job: ReapedJob, jobs: Sequence[ReapedJob]) -> bool:
    """Return whether files of another job keep the machine, for a time."""
    return any(other.held_s > 0 for other in jobs if other is not job)


def _touched(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
