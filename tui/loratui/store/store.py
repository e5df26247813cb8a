"""Reading and writing what the client remembers. Whatever is acknowledged to an agent went through here before."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from loratui.domain.download_policy import LocalFile
from loratui.store.database import connect, transaction, translated
from loratui.store.quota import MAX_STORED_BYTES, keep_quota
from loratui.store.record_tags import stored_tag
from loratui_protocol.codec import decode_record, encode_record
from loratui_protocol.errors import StorageError
from loratui_protocol.messages import (
    Artifact,
    ArtifactKind,
    Cost,
    DeltaNorms,
    JobState,
    Metrics,
    Record,
    Setup,
    State,
    Step,
)

E = TypeVar("E", State, Step, Metrics, DeltaNorms, Setup)


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
    resumed_from: str = ""
    """The run that this one goes on from; empty: it began at its first step."""
    state_dir: str = ""
    """Where the agent finds the saved state that it goes on from."""
    gpu: str = ""
    """The GPU that it is on, as its offer names it, else its driver; empty: nobody has said."""
    rights: str = ""
    """What was said, before it started, of the rights to its pictures; empty: nothing."""
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


_SELECT_DOWNLOADS = (
    "SELECT artifact_id, path, sha256, exported, acknowledged FROM downloads"
    " WHERE run = (SELECT num FROM runs WHERE id = ?)"
)
_SELECT_FILES = (
    "SELECT artifact_id, name, kind, sha256, size, num_versions, num_bytes FROM files"
    " WHERE run = (SELECT num FROM runs WHERE id = ?)"
)
_SELECT_RUNS = (
    "SELECT id, name, target, created_ts, config_toml, home, price_microusd_per_h, max_runtime_s, evaluate_concept,"
    " supply, on_done, keep_s, accepted, is_ours, resumed_from, state_dir, gpu, rights, epoch, head, state, step,"
    " total, spent_microusd, ended_ts FROM runs"
)


class Store:
    """The database, through one connection: each thread opens its own. Several processes may have it open.

    Every method raises ``StorageError`` when the file or the disk fails.
    """

    def __init__(self, path: Path, max_stored_bytes: int = MAX_STORED_BYTES) -> None:
        """``max_stored_bytes``: of one run's records."""
        self._path = path
        self._database = connect(path)
        self._max_stored_bytes = max_stored_bytes

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
                " max_runtime_s, evaluate_concept, supply, on_done, keep_s, accepted, is_ours, resumed_from, state_dir,"
                " gpu, rights)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                    run.resumed_from,
                    run.state_dir,
                    run.gpu,
                    run.rights,
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

    def runs_on_gpus(self) -> list[StoredRun]:
        """Return the runs that have trained on a GPU whose name is known, newest first."""
        query = _SELECT_RUNS + " WHERE gpu <> '' AND step > 0 ORDER BY created_ts DESC, num DESC"
        return [_run(row) for row in self._rows(query)]

    def note_gpu(self, run_id: str, gpu: str) -> None:
        """Remember what GPU a run is on; a name that it has stays."""
        with self._writing() as database:
            database.execute("UPDATE runs SET gpu = ? WHERE id = ? AND gpu = ''", (gpu, run_id))

    def set_config(self, run_id: str, config_toml: str) -> None:
        """Remember another config of a run: it goes on to another end."""
        with self._writing() as database:
            database.execute("UPDATE runs SET config_toml = ? WHERE id = ?", (config_toml, run_id))

    def note_downlink(self, run_id: str, bytes_per_s: float) -> None:
        """Remember how fast a run's files came here."""
        with self._writing() as database:
            database.execute("UPDATE runs SET downlink_bytes_per_s = ? WHERE id = ?", (bytes_per_s, run_id))

    def downlink_bytes_per_s(self) -> float | None:
        """Return how fast files came here from the newest run for which that was measured; None: from none."""
        rows = self._rows(
            "SELECT downlink_bytes_per_s FROM runs WHERE downlink_bytes_per_s IS NOT NULL"
            " ORDER BY created_ts DESC, num DESC LIMIT 1"
        )
        return rows[0][0] if rows else None

    def append(self, run_id: str, epoch: str, records: Sequence[Record]) -> None:
        """Store consecutive records of the journal ``epoch``, all or none; those stored already are skipped.

        Raises:
            StorageError: meanwhile another process replaced the history by one of another journal.
        """
        with self._writing() as database:
            num, known_epoch, head = self._row(run_id)
            if known_epoch != epoch:
                raise StorageError(
                    f"the stored history of run {run_id} is of another journal",
                    fix="follow it again",
                    code="store.other_history",
                )
            fresh = [record for record in records if record.seq > head]
            if not fresh:
                return
            stored = [(num, record.seq, record.ts, encode_record(record)) for record in fresh]
            database.executemany("INSERT INTO records (run, seq, ts, record) VALUES (?, ?, ?, ?)", stored)
            database.execute("UPDATE runs SET head = ? WHERE num = ?", (fresh[-1].seq, num))
            keep_quota(database, num, sum(len(record) for *_, record in stored), self._max_stored_bytes)
            self._summarise(num, fresh)

    def begin_history(self, run_id: str, epoch: str, *, reset: bool) -> None:
        """Set the journal that a run's records come from; those of another one, or all on ``reset``, are dropped."""
        with self._writing() as database:
            num, known_epoch, _ = self._row(run_id)
            if known_epoch == epoch and not reset:
                return
            database.execute("DELETE FROM records WHERE run = ?", (num,))
            database.execute("DELETE FROM costs WHERE run = ?", (num,))
            database.execute(
                "UPDATE runs SET epoch = ?, head = 0, step = 0, stored_bytes = 0 WHERE num = ?", (epoch, num)
            )

    def records(self, run_id: str, after_seq: int = 0) -> Iterator[Record]:
        """Yield the stored records after ``after_seq``, in order."""
        return map(decode_record, self.stored_records(run_id, after_seq))

    def stored_records(self, run_id: str, after_seq: int = 0) -> Iterator[bytes]:
        """Yield them as they are stored: whoever looks at many may not need all of each."""
        rows = self._rows(
            "SELECT record FROM records WHERE run = (SELECT num FROM runs WHERE id = ?) AND seq > ? ORDER BY seq",
            run_id,
            after_seq,
        )
        return (blob for (blob,) in rows)

    def last(self, run_id: str, kind: type[E]) -> E | None:
        """Return the newest event of a kind, None where there is none; no other is decoded, however many there are."""
        rows = self._rows(
            "SELECT record FROM records WHERE run = (SELECT num FROM runs WHERE id = ?) AND instr(record, ?) "
            "ORDER BY seq DESC LIMIT 8",
            run_id,
            stored_tag(kind.tag),
        )
        events = (decode_record(blob).event for (blob,) in rows)
        return next((event for event in events if isinstance(event, kind)), None)

    def costs(self, run_id: str) -> list[tuple[float, int]]:
        """Return what the run had cost over time: (``ts``, micro-dollars)."""
        return self._rows(
            "SELECT ts, spent_microusd FROM costs WHERE run = (SELECT num FROM runs WHERE id = ?) ORDER BY ts", run_id
        )

    def files(self, run_id: str) -> dict[str, LocalFile]:
        """Return the files of a run that have a name here, by artifact id, fetched or not."""
        return {row[0]: _file(row) for row in self._rows(_SELECT_FILES, run_id)}

    def file(self, run_id: str, artifact_id: str) -> LocalFile | None:
        """Return the file of one artifact; None: it has no name yet."""
        rows = self._rows(_SELECT_FILES + " AND artifact_id = ?", run_id, artifact_id)
        return _file(rows[0]) if rows else None

    def begin_file(self, run_id: str, artifact: Artifact, name: str) -> LocalFile | None:
        """Return the file of an artifact, which has its name for good: ``name`` if it had none so far.

        This version of it counts from now on. None: the name belongs to another file of the run.
        """
        with self._writing() as database:
            num, *_ = self._row(run_id)
            database.execute(
                "INSERT OR IGNORE INTO files (run, artifact_id, name) VALUES (?, ?, ?)", (num, artifact.id, name)
            )
            known = self.file(run_id, artifact.id)
            if known is None or known.is_for(artifact):
                return known
            database.execute(
                "UPDATE files SET kind = ?, sha256 = ?, size = ?, num_versions = num_versions + 1,"
                " num_bytes = num_bytes + ? WHERE run = ? AND artifact_id = ?",
                (artifact.kind, artifact.sha256, artifact.size, max(0, artifact.size), num, artifact.id),
            )
            return self.file(run_id, artifact.id)

    def add_state_bytes(self, run_id: str, num_bytes: int) -> None:
        """Count bytes of saved states that have come here; what came in vain was sent all the same."""
        with self._writing() as database:
            database.execute("UPDATE runs SET state_bytes = state_bytes + ? WHERE id = ?", (num_bytes, run_id))

    def state_bytes(self, run_id: str) -> int:
        """Return how many bytes of saved states have come here so far."""
        return sum(num_bytes for (num_bytes,) in self._rows("SELECT state_bytes FROM runs WHERE id = ?", run_id))

    def add_download(self, run_id: str, artifact_id: str, path: Path, sha256: str) -> None:
        """Remember a verified file."""
        with self._writing() as database:
            num, *_ = self._row(run_id)
            database.execute(
                "INSERT OR REPLACE INTO downloads (run, artifact_id, path, sha256) VALUES (?, ?, ?, ?)",
                (num, artifact_id, str(path), sha256),
            )

    def forget_download(self, run_id: str, artifact_id: str) -> None:
        """Forget that a file was here: the user has deleted it."""
        with self._writing() as database:
            num, *_ = self._row(run_id)
            database.execute("DELETE FROM downloads WHERE run = ? AND artifact_id = ?", (num, artifact_id))

    def note_export(self, run_id: str, artifact_id: str, path: Path) -> None:
        """Remember where the copy of a file was put."""
        with self._writing() as database:
            num, *_ = self._row(run_id)
            database.execute(
                "UPDATE downloads SET exported = ? WHERE run = ? AND artifact_id = ?", (str(path), num, artifact_id)
            )

    def note_acknowledged(self, run_id: str, artifact_ids: Iterable[str]) -> None:
        """Remember that the agent knows that these files are here."""
        with self._writing() as database:
            num, *_ = self._row(run_id)
            database.executemany(
                "UPDATE downloads SET acknowledged = 1 WHERE run = ? AND artifact_id = ?",
                [(num, artifact_id) for artifact_id in artifact_ids],
            )

    def downloads(self, run_id: str) -> dict[str, Download]:
        """Return the verified files of a run by artifact id."""
        return {row[0]: _download(row) for row in self._rows(_SELECT_DOWNLOADS, run_id)}

    def download(self, run_id: str, artifact_id: str) -> Download | None:
        """Return one verified file; None: there is none."""
        rows = self._rows(_SELECT_DOWNLOADS + " AND artifact_id = ?", run_id, artifact_id)
        return _download(rows[0]) if rows else None

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

    def _row(self, run_id: str) -> tuple[int, str, int]:
        for num, epoch, head in self._rows("SELECT num, epoch, head FROM runs WHERE id = ?", run_id):
            return num, epoch, head
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


def _download(row: tuple[Any, ...]) -> Download:
    artifact_id, path, sha256, exported, acknowledged = row
    return Download(
        artifact_id=artifact_id,
        path=Path(path),
        sha256=sha256,
        exported=Path(exported) if exported else None,
        acknowledged=bool(acknowledged),
    )


def _file(row: tuple[Any, ...]) -> LocalFile:
    fields = dict(zip(LocalFile.__dataclass_fields__, row[1:], strict=True))
    return LocalFile(**{**fields, "kind": ArtifactKind(fields["kind"]) if fields["kind"] else None})
