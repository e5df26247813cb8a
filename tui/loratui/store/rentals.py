"""The ledger of everything that was ever rented here: what was meant to be, what became of it, what it cost.

Whatever could bill is written here, and on the disk, before it is asked for. Keys of machines are not in it: they are
files in the rental's folder.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from loratui.domain.ledger import Phase, Span, charges
from loratui.domain.offers import Offer
from loratui.domain.rental import RentalState
from loratui.store.database import connect, transaction, translated
from loratui_protocol.errors import StorageError


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRental:
    """A rental. Amounts in micro-dollars, ``_ts`` epoch seconds."""

    label: str
    """Ours alone: the provider's listing is searched for it."""
    provider: str
    account_id: str
    """Whose key it was rented with; empty where the provider does not tell."""
    instance_id: str = ""
    """Empty until the provider has named it."""
    offer: Offer
    machine: str = ""
    public_key: str
    """Of the key that gets in, which the account is rid of in the end."""
    run_ids: str = ""
    """With spaces between."""
    state: RentalState = RentalState.INTENT
    why: str = ""
    """Why it ended, or is to end."""
    price_microusd_per_h: int
    cap_microusd: int | None = None
    deadline_ts: float | None = None
    created_ts: float
    created_up_s: float | None = None
    """The same by a clock of this machine that nobody sets, and that begins anew with every boot."""
    ready_ts: float | None = None
    ended_ts: float | None = None
    proven_gone: bool = False
    """The provider's own answers have shown that it is gone, or that there never was one."""
    is_tidy: bool = False
    """Nothing of it is left on the account."""
    ssh_user: str = ""
    ssh_host: str = ""
    ssh_port: int = 0
    stops_for: str = ""
    """Why the deadline is when it is, in a few words for people: "the cap", "1.5 x p90"."""
    save_s: float = 0.0
    """So long before the deadline runs are told to save, so that their files can come home."""
    keep_s: float | None = None
    """For how long the user wants to keep it once all files are here; None: they want it ended then."""
    armed: str = ""
    """What the machine was read back to be able to do at the deadline: "end" (its rental), "stop" (what trains) or
    "none"; empty: nobody has read that yet."""
    estimated_microusd: int | None = None
    """What it was likely to cost in the end when it was rented."""
    uplink_bytes_per_s: float | None = None
    """How fast files went there from here, as the machine counted them."""
    model_bytes: int | None = None
    """What it downloads of base models, as their hubs said before it was rented; None: nobody knew."""

    @property
    def blamed(self) -> str:
        """Return what to remember if it does not serve: the machine, or the kind of it where that is all one knows."""
        return self.machine or self.offer.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A row of the ledger: what a span costs, once it is over."""

    span: Span
    microusd: int


_COLUMNS = ", ".join(StoredRental.__dataclass_fields__)
_SELECT = f"SELECT {_COLUMNS} FROM rentals"  # noqa: S608 -- the names are ours
_INSERT = f"INSERT INTO rentals ({_COLUMNS}) VALUES ({', '.join('?' * len(StoredRental.__dataclass_fields__))})"  # noqa: S608


class Rentals:
    """The ledger, through one connection: each thread opens its own. Several processes may have it open.

    A write is on the disk when it returns: the operating system and the power may fail after that. Every method raises
    ``StorageError`` when the file or the disk fails.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = connect(path)
        with translated(path):
            self._database.execute("PRAGMA synchronous = FULL")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> "Rentals":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def intend(self, rental: StoredRental) -> None:
        """Write down what is going to be rented, before anyone is asked for it.

        Raises:
            StorageError: it could not be written, so it must not be asked for.
        """
        row = asdict(rental) | {"offer": json.dumps(asdict(rental.offer))}
        with self._writing() as database:
            database.execute(_INSERT, tuple(row.values()))

    def note(
        self,
        label: str,
        *,
        state: RentalState | None = None,
        why: str | None = None,
        instance_id: str | None = None,
        account_id: str | None = None,
        machine: str | None = None,
        price_microusd_per_h: int | None = None,
        deadline_ts: float | None = None,
        cap_microusd: int | None = None,
        ready_ts: float | None = None,
        is_tidy: bool | None = None,
        stops_for: str | None = None,
        uplink_bytes_per_s: float | None = None,
        armed: str | None = None,
    ) -> None:
        """Write down what has become of it; what is None stays as it is."""
        with self._writing() as database:
            self._row(label)
            values = {
                "state": state,
                "why": why,
                "instance_id": instance_id,
                "account_id": account_id,
                "machine": machine,
                "price_microusd_per_h": price_microusd_per_h,
                "deadline_ts": deadline_ts,
                "cap_microusd": cap_microusd,
                "ready_ts": ready_ts,
                "is_tidy": is_tidy,
                "stops_for": stops_for,
                "uplink_bytes_per_s": uplink_bytes_per_s,
                "armed": armed,
            }
            news = {name: value for name, value in values.items() if value is not None}
            columns = ", ".join(f"{name} = ?" for name in news)
            if news:
                database.execute(f"UPDATE rentals SET {columns} WHERE label = ?", (*news.values(), label))  # noqa: S608

    def note_address(self, label: str, user: str, host: str, port: int) -> None:
        """Write down where its SSH server is."""
        with self._writing() as database:
            self._row(label)
            database.execute(
                "UPDATE rentals SET ssh_user = ?, ssh_host = ?, ssh_port = ? WHERE label = ?", (user, host, port, label)
            )

    def note_run(self, label: str, run_id: str) -> None:
        """Write down that a run is on it."""
        with self._writing() as database:
            self._row(label)
            known = self.rental(label).run_ids.split()
            if run_id not in known:
                database.execute("UPDATE rentals SET run_ids = ? WHERE label = ?", (" ".join([*known, run_id]), label))

    def note_end(self, label: str, state: RentalState, ts: float, why: str | None = None) -> None:
        """Write down that the provider's own answers have shown that nothing of it can bill; its last phase ends."""
        if not state.is_over:
            raise ValueError(f"{state} is no end")
        with self._writing() as database:
            num = self._row(label)
            # By a clock that was set back it may seem to be over before it was all paid for.
            ended_ts = self._close_phase(num, ts)
            database.execute(
                "UPDATE rentals SET state = ?, ended_ts = ?, proven_gone = 1, why = coalesce(?, why) WHERE num = ?",
                (state, ended_ts, why, num),
            )

    def reopen(self, label: str, instance_id: str) -> None:
        """Write down that it is there after all, and is to be ended."""
        with self._writing() as database:
            num = self._row(label)
            database.execute(
                "UPDATE rentals SET state = ?, instance_id = ?, ended_ts = NULL, proven_gone = 0 WHERE num = ?",
                (RentalState.ENDING, instance_id, num),
            )

    def enter(self, label: str, phase: Phase, ts: float, microusd_per_h: int) -> None:
        """Begin a phase, or the same one at another price; the one before it ends. What is shown gone has no phases.

        No time is in two phases, or before the rental: one that would begin too early begins as soon as it can.
        """
        with self._writing():
            self._enter(self._row(label), phase, ts, microusd_per_h)

    def enter_as_told(self, label: str, phase: Phase, ts: float, now_ts: float) -> None:
        """Begin a phase of which somebody else says when it began, at the price that is known.

        It begins no later than now. What is older than the phase that lasts is no news: another client was faster.
        """
        with self._writing():
            num = self._row(label)
            spans = self._spans(num)
            began_ts = None
            for span in reversed(spans):
                if span.phase != spans[-1].phase:
                    break
                # The same phase at several prices.
                began_ts = span.from_ts
            if began_ts is None or ts >= began_ts:
                [(price,)] = self._rows("SELECT price_microusd_per_h FROM rentals WHERE num = ?", num)
                self._enter(num, phase, min(ts, now_ts), price)

    def price_from(self, label: str, ts: float, microusd_per_h: int) -> None:
        """Write down that an hour costs so much from then on; what lasts goes on at that."""
        with self._writing() as database:
            num = self._row(label)
            database.execute("UPDATE rentals SET price_microusd_per_h = ? WHERE num = ?", (microusd_per_h, num))
            spans = self._spans(num)
            if spans:
                self._enter(num, spans[-1].phase, ts, microusd_per_h)

    def reprice(self, label: str, microusd_per_h: int) -> None:
        """Correct the price of the phase that lasts, from its beginning."""
        with self._writing() as database:
            num = self._row(label)
            database.execute("UPDATE rentals SET price_microusd_per_h = ? WHERE num = ?", (microusd_per_h, num))
            database.execute(
                "UPDATE charges SET microusd_per_h = ? WHERE rental = ? AND to_ts IS NULL", (microusd_per_h, num)
            )

    def spans(self, label: str) -> list[Span]:
        """Return its time in order; the last span may still last."""
        return [charge.span for charge in self.charges(label)]

    def charges(self, label: str) -> list[Charge]:
        """Return the rows of its ledger in order; one that still lasts has no amount yet."""
        return [
            Charge(
                span=Span(phase=Phase(phase), from_ts=from_ts, to_ts=to_ts, microusd_per_h=microusd_per_h),
                microusd=microusd,
            )
            for phase, from_ts, to_ts, microusd_per_h, microusd in self._rows(
                "SELECT phase, from_ts, to_ts, microusd_per_h, microusd FROM charges"
                " WHERE rental = (SELECT num FROM rentals WHERE label = ?) ORDER BY num",
                label,
            )
        ]

    def rental(self, label: str) -> StoredRental:
        """Return a rental.

        Raises:
            StorageError: there is none of this label.
        """
        for row in self._rows(f"{_SELECT} WHERE label = ?", label):
            return _rental(row)
        raise _unknown(label)

    def rentals(self) -> list[StoredRental]:
        """Return all that was ever rented here, newest first."""
        return [_rental(row) for row in self._rows(f"{_SELECT} ORDER BY created_ts DESC, num DESC")]

    def unproven(self) -> list[StoredRental]:
        """Return what may still bill, as far as is known here, newest first."""
        return [
            _rental(row) for row in self._rows(f"{_SELECT} WHERE proven_gone = 0 ORDER BY created_ts DESC, num DESC")
        ]

    def of_run(self, run_id: str) -> StoredRental | None:
        """Return the newest rental that a run is, or was, on."""
        return next((rental for rental in self.rentals() if run_id in rental.run_ids.split()), None)

    def runs_on(self, rental: StoredRental) -> list[str]:
        """Return the runs that are, or were, on it: those that were noted, and those whose target names it."""
        named = self._rows("SELECT id FROM runs WHERE target = ? ORDER BY num", f"{rental.provider}:{rental.label}")
        return list(dict.fromkeys([*rental.run_ids.split(), *(run_id for (run_id,) in named)]))

    def note_bad_host(self, provider: str, machine: str, why: str, ts: float) -> None:
        """Remember a machine, or a kind of them, that did not serve; where neither is known nothing is remembered."""
        if not machine:
            return
        with self._writing() as database:
            database.execute(
                "INSERT OR REPLACE INTO bad_hosts (provider, machine, why, ts) VALUES (?, ?, ?, ?)",
                (provider, machine, why, ts),
            )

    def bad_hosts(self, provider: str, since_ts: float = 0.0) -> dict[str, str]:
        """Return the machines of a provider, and kinds of them, that did not serve since then, and why."""
        return dict(self._rows("SELECT machine, why FROM bad_hosts WHERE provider = ? AND ts >= ?", provider, since_ts))

    def _enter(self, num: int, phase: Phase, ts: float, microusd_per_h: int) -> None:
        if self._rows("SELECT 1 FROM rentals WHERE num = ? AND proven_gone", num):
            return
        last = self._spans(num)[-1:]
        if last and (last[0].phase, last[0].microusd_per_h, last[0].to_ts) == (phase, microusd_per_h, None):
            return
        self._database.execute(
            "INSERT INTO charges (rental, phase, from_ts, microusd_per_h) VALUES (?, ?, ?, ?)",
            (num, phase, self._close_phase(num, ts), microusd_per_h),
        )

    def _close_phase(self, num: int, ts: float) -> float:
        """End the phase that lasts, and put its amount into the row: all rows add up to what the whole costs.

        Returns when it has ended: at ``ts``, but no earlier than it began, or than anything that is paid for ended.
        """
        spans = self._spans(num)
        if not spans:
            [(created_ts,)] = self._rows("SELECT created_ts FROM rentals WHERE num = ?", num)
            return max(ts, float(created_ts))
        last = spans[-1]
        if last.to_ts is not None:
            return max(ts, last.to_ts)
        to_ts = max(ts, last.from_ts)
        spans[-1] = replace(last, to_ts=to_ts)
        self._database.execute(
            "UPDATE charges SET to_ts = ?, microusd = ? WHERE rental = ? AND to_ts IS NULL",
            (to_ts, charges(spans, to_ts)[-1], num),
        )
        return to_ts

    def _spans(self, num: int) -> list[Span]:
        return [
            Span(phase=Phase(phase), from_ts=from_ts, to_ts=to_ts, microusd_per_h=microusd_per_h)
            for phase, from_ts, to_ts, microusd_per_h in self._rows(
                "SELECT phase, from_ts, to_ts, microusd_per_h FROM charges WHERE rental = ? ORDER BY num", num
            )
        ]

    def _row(self, label: str) -> int:
        for (num,) in self._rows("SELECT num FROM rentals WHERE label = ?", label):
            return int(num)
        raise _unknown(label)

    def _rows(self, query: str, *values: object) -> list[Any]:
        with translated(self._path):
            return self._database.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with translated(self._path), transaction(self._database):
            yield self._database


def may_bill(path: Path) -> list[StoredRental]:
    """Return what may still bill, as far as the ledger at ``path`` knows; where there is none, none is made."""
    if not path.exists():
        return []
    with Rentals(path) as ledger:
        return ledger.unproven()


def _unknown(label: str) -> StorageError:
    return StorageError(f"no rental {label} is known here", fix="see `loratui rentals`", code="store.unknown_rental")


def _rental(row: tuple[Any, ...]) -> StoredRental:
    fields = dict(zip(StoredRental.__dataclass_fields__, row, strict=True))
    return StoredRental(
        **{
            **fields,
            "offer": _offer(fields["offer"]),
            "state": RentalState(fields["state"]),
            "proven_gone": bool(fields["proven_gone"]),
            "is_tidy": bool(fields["is_tidy"]),
        }
    )


def _offer(text: str) -> Offer:
    """Return an offer as it was written; facts that this version does not know are left out."""
    facts = {name: value for name, value in json.loads(text).items() if name in Offer.__dataclass_fields__}
    for name in ("cuda", "compute_capability"):
        if facts.get(name) is not None:
            facts[name] = tuple(facts[name])
    return Offer(**facts)
