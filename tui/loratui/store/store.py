"""Reading and writing what the client remembers. Whatever is acknowledged to an agent went through here before."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from loratui.store.database import connect, transaction, translated
from loratui.store.quota import Quota
from loratui_protocol.codec import decode_record, encode_record
from loratui_protocol.errors import StorageError
from loratui_protocol.messages import Cost, JobState, Record, State, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run as it was asked for, and its latest state. ``ts`` epoch seconds; ``head`` is the last stored record."""

    id: str
    name: str
    target: str
    created_ts: float
    config_toml: str
    home: Path
    price_microusd_per_h: int = 0
    max_runtime_s: float | None = None
    evaluate_concept: str = ""
    supply: str = ""
    """What another machine is sent for it, as ``sessions.supply`` writes it; empty: nothing."""
    on_done: str = ""
    keep_s: float | None = None
    accepted: str = ""
    """Codes of refusals that the user accepted by name, with spaces between."""
    is_ours: bool = True
    """Whether this machine started the run; one that was found on a host came without its config."""
    epoch: str = ""
    head: int = 0
    state: JobState = JobState.QUEUED
    step: int = 0
    total: int = 0
    spent_microusd: int = 0
    ended_ts: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A verified file. ``exported`` is its copy in the config's ``output_dir``."""

    artifact_id: str
    path: Path
    sha256: str
    exported: Path | None = None
    acknowledged: bool = False


_SELECT_RUNS = (
    "SELECT id, name, target, created_ts, config_toml, home, price_microusd_per_h, max_runtime_s, evaluate_concept,"
    " supply, on_done, keep_s, accepted, is_ours, epoch, head, state, step, total, spent_microusd, ended_ts FROM runs"
)


class Store:
    """The database, through one connection: each thread opens its own. Several processes may have it open.

    Every method raises ``StorageError`` when the file or the disk fails.
    """

    def __init__(self, path: Path, quota: Quota | None = None) -> None:
        self._path = path
        self._database = connect(path)
        self._quota = quota or Quota()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def add_run(self, run: StoredRun) -> None:
        """Remember a run before anyone is asked to start it; one that is known already stays as it is."""
        with self._writing() as database:
            database.execute(
                "INSERT OR IGNORE INTO runs (id, name, target, created_ts, config_toml, home, price_microusd_per_h,"
                " max_runtime_s, evaluate_concept, supply, on_done, keep_s, accepted, is_ours)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run.id,
                    run.name,
                    run.target,
                    run.created_ts,
                    run.config_toml,
                    str(run.home),
                    run.price_microusd_per_h,
                    run.max_runtime_s,
                    run.evaluate_concept,
                    run.supply,
                    run.on_done,
                    run.keep_s,
                    run.accepted,
                    run.is_ours,
                ),
            )

    def forget_run(self, run_id: str) -> None:
        """Forget a run that never started."""
        with self._writing() as database:
            database.execute("DELETE FROM runs WHERE id = ?", (run_id,))

    def runs(self) -> list[StoredRun]:
        """Return all runs, newest first."""
        return [_run(row) for row in self._rows(_SELECT_RUNS + " ORDER BY created_ts DESC, num DESC")]

    def run(self, run_id: str) -> StoredRun:
        """Return a run.

        Raises:
            StorageError: there is none of this id.
        """
        for row in self._rows(_SELECT_RUNS + " WHERE id = ?", run_id):
            return _run(row)
        raise StorageError(f"run {run_id} is not known here", fix="see `loratui ls`", code="store.unknown_run")

    def append(self, run_id: str, epoch: str, records: Sequence[Record]) -> None:
        """Store consecutive records of the journal ``epoch``, all or none; those stored already are skipped.

        Raises:
            StorageError: meanwhile another process replaced the history by one of another journal.
        """
        stored = [(record.seq, record.ts, encode_record(record)) for record in records]
        with self._writing() as database:
            num, known_epoch = self._number(run_id)
            if known_epoch != epoch:
                raise StorageError(
                    f"the stored history of run {run_id} is of another journal",
                    fix="follow it again",
                    code="store.other_history",
                )
            database.executemany(
                "INSERT OR IGNORE INTO records (run, seq, ts, record) VALUES (?, ?, ?, ?)",
                [(num, *row) for row in stored],
            )
            database.execute("UPDATE runs SET head = max(head, ?) WHERE num = ?", (records[-1].seq, num))
            self._quota.keep(self._database, num, sum(len(record) for _, _, record in stored))
            self._summarise(num, records)

    def begin_history(self, run_id: str, epoch: str, *, reset: bool) -> None:
        """Set the journal that a run's records come from; those of another one, or all on ``reset``, are dropped."""
        with self._writing() as database:
            num, known_epoch = self._number(run_id)
            if known_epoch == epoch and not reset:
                return
            database.execute("DELETE FROM records WHERE run = ?", (num,))
            database.execute("DELETE FROM costs WHERE run = ?", (num,))
            self._quota.forget(num)
            database.execute("UPDATE runs SET epoch = ?, head = 0, step = 0 WHERE num = ?", (epoch, num))

    def records(self, run_id: str, after_seq: int = 0) -> Iterator[Record]:
        """Yield the stored records after ``after_seq``, in order."""
        rows = self._rows(
            "SELECT record FROM records WHERE run = (SELECT num FROM runs WHERE id = ?) AND seq > ? ORDER BY seq",
            run_id,
            after_seq,
        )
        return (decode_record(blob) for (blob,) in rows)

    def costs(self, run_id: str) -> list[tuple[float, int]]:
        """Return what the run had cost over time: (``ts``, micro-dollars)."""
        return self._rows(
            "SELECT ts, spent_microusd FROM costs WHERE run = (SELECT num FROM runs WHERE id = ?) ORDER BY ts", run_id
        )

    def add_download(self, run_id: str, artifact_id: str, path: Path, sha256: str) -> None:
        """Remember a verified file."""
        with self._writing() as database:
            num, _ = self._number(run_id)
            database.execute(
                "INSERT OR REPLACE INTO downloads (run, artifact_id, path, sha256) VALUES (?, ?, ?, ?)",
                (num, artifact_id, str(path), sha256),
            )

    def note_export(self, run_id: str, artifact_id: str, path: Path) -> None:
        """Remember where the copy of a file was put."""
        with self._writing() as database:
            num, _ = self._number(run_id)
            database.execute(
                "UPDATE downloads SET exported = ? WHERE run = ? AND artifact_id = ?", (str(path), num, artifact_id)
            )

    def note_acknowledged(self, run_id: str, artifact_ids: Iterable[str]) -> None:
        """Remember that the agent knows that these files are here."""
        with self._writing() as database:
            num, _ = self._number(run_id)
            database.executemany(
                "UPDATE downloads SET acknowledged = 1 WHERE run = ? AND artifact_id = ?",
                [(num, artifact_id) for artifact_id in artifact_ids],
            )

    def downloads(self, run_id: str) -> dict[str, Download]:
        """Return the verified files of a run by artifact id."""
        rows = self._rows(
            "SELECT artifact_id, path, sha256, exported, acknowledged FROM downloads"
            " WHERE run = (SELECT num FROM runs WHERE id = ?)",
            run_id,
        )
        return {
            artifact_id: Download(
                artifact_id=artifact_id,
                path=Path(path),
                sha256=sha256,
                exported=Path(exported) if exported else None,
                acknowledged=bool(acknowledged),
            )
            for artifact_id, path, sha256, exported, acknowledged in rows
        }

    def _summarise(self, num: int, records: Sequence[Record]) -> None:
        """Bring the run's own row up to date, which lists read without touching the records."""
        for record in records:
            match record.event:
                case State(state=state):
                    ended_ts = record.ts if state.is_final else None
                    self._database.execute(
                        "UPDATE runs SET state = ?, ended_ts = ? WHERE num = ?", (state, ended_ts, num)
                    )
                case Cost(spent_microusd=spent_microusd, price_microusd_per_h=price):
                    self._database.execute("UPDATE runs SET spent_microusd = ? WHERE num = ?", (spent_microusd, num))
                    self._database.execute(
                        "INSERT OR REPLACE INTO costs (run, ts, spent_microusd, price_microusd_per_h)"
                        " VALUES (?, ?, ?, ?)",
                        (num, record.ts, spent_microusd, price),
                    )
        steps = [record.event for record in records if isinstance(record.event, Step)]
        if steps:
            self._database.execute(
                "UPDATE runs SET step = ?, total = ? WHERE num = ?", (steps[-1].step, steps[-1].total, num)
            )

    def _number(self, run_id: str) -> tuple[int, str]:
        for num, epoch in self._rows("SELECT num, epoch FROM runs WHERE id = ?", run_id):
            return num, epoch
        raise StorageError(f"run {run_id} is not known here", fix="see `loratui ls`", code="store.unknown_run")

    def _rows(self, query: str, *values: object) -> list[Any]:
        with translated(self._path):
            return self._database.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with translated(self._path), transaction(self._database):
            yield self._database


def _run(row: tuple[Any, ...]) -> StoredRun:
    fields = dict(zip(StoredRun.__dataclass_fields__, row, strict=True))
    fields["is_ours"] = bool(fields["is_ours"])
    return StoredRun(**{**fields, "home": Path(fields["home"]), "state": JobState(fields["state"])})
