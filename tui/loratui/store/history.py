"""Looks at single things in the histories of runs; of all else that is stored nothing is decoded."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loratui.domain.series import Series
from loratui.store.database import connect, translated
from loratui.store.picked import picked_events, picked_records
from loratui_protocol.messages import Done, JobState, Step

if TYPE_CHECKING:
    from loratui.store.store import StoredRun

_NUM_LOOKED_AT = 50
"""Of the runs that are done: the newest."""
_LAST = 200
"""Records among which the end of a run is looked for."""
_RECORDS = "FROM records WHERE run = (SELECT num FROM runs WHERE id = ?)"


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the database for one look.

    Raises:
        StorageError: the file or the disk fails.
    """
    with translated(path), closing(connect(path)) as database:
        yield database


def losses(path: Path, run_id: str) -> Series:
    """Return the loss of a run at every step that is stored."""
    series = Series()
    for _, step in picked_events(path, run_id, Step):
        series.append(step.step, step.loss)
    return series


@dataclass(frozen=True, slots=True)
class Glance:
    """What a list says of a run beside its own row: when it was last heard, and whether its LoRA is not here."""

    heard_ts: float | None = None
    is_lacking: bool = False


def glances(path: Path, runs: "Sequence[StoredRun]") -> dict[str, Glance]:
    """Return when each run that is not over was last heard, and which of the newest that are done lack their LoRA."""
    with _reading(path) as database:
        seen = {run.id: Glance(heard_ts=_heard_ts(database, run.id)) for run in runs if not run.state.is_final}
        done = [run for run in runs if run.state is JobState.DONE][:_NUM_LOOKED_AT]
        return seen | {run.id: Glance(is_lacking=_is_lacking(path, database, run)) for run in done}


def _heard_ts(database: sqlite3.Connection, run_id: str) -> float | None:
    row = database.execute(f"SELECT ts {_RECORDS} ORDER BY seq DESC LIMIT 1", (run_id,)).fetchone()
    return None if row is None else row[0]


def _is_lacking(path: Path, database: sqlite3.Connection, run: "StoredRun") -> bool:
    ends = picked_records(path, run.id, after_seq=run.head - _LAST, only=(Done.tag,))
    made = [record.event.artifact_id for record in ends if isinstance(record.event, Done)]
    query = "SELECT 1 FROM downloads WHERE run = (SELECT num FROM runs WHERE id = ?) AND artifact_id = ?"
    return bool(made) and database.execute(query, (run.id, made[-1])).fetchone() is None
