"""Looks at single things in the histories of runs; of all else that is stored nothing is decoded."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from loratui.domain.series import Series
from loratui.store.database import connect, translated
from loratui_protocol.codec import decode_record
from loratui_protocol.messages import Record, Step

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
    with _reading(path) as database:
        for record in _of_kind(database, run_id, Step.tag):
            if isinstance(record.event, Step):
                series.append(record.event.step, record.event.loss)
    return series


def _of_kind(database: sqlite3.Connection, run_id: str, tag: str) -> Iterator[Record]:
    """Yield the records that hold a tag, in order; a number or a text of another record may look the same."""
    stored = b"\xa1t" + bytes([0xA0 | len(tag)]) + tag.encode()
    rows = database.execute(f"SELECT record {_RECORDS} AND instr(record, ?) ORDER BY seq", (run_id, stored))
    for (blob,) in rows:
        yield decode_record(blob)
