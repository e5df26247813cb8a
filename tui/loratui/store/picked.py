"""Reads some of a run's records and decodes no others: those of some kinds, in either direction, as long as asked."""

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from loratui.store.database import connect, translated
from loratui.store.record_tags import packed, stored_tag
from loratui_protocol.codec import decode_record
from loratui_protocol.messages import Artifact, Log, Record, Step, Withdrawn

E = TypeVar("E", Artifact, Step, Withdrawn)
_BEGINNING = 48
"""In so many bytes of a stored record its kind is named."""
_AHEAD = 96
"""And in so many the level of a log line."""


def picked_records(
    database_path: Path,
    run_id: str,
    *,
    after_seq: int = 0,
    before_seq: int | None = None,
    only: Sequence[str] = (),
    without: Sequence[str] = (),
    without_levels: Sequence[str] = (),
    holding: str = "",
    newest_first: bool = False,
) -> Generator[Record]:
    """Yield records between two sequence numbers, neither of them included; whoever has enough closes the generator.

    ``only`` and ``without`` are tags of events, ``without_levels`` levels of log lines.
    Of log lines only those are wanted that have ``holding``, ASCII, somewhere, in any case of letters.

    Raises:
        StorageError: the file or the disk fails.
    """
    query = "SELECT record FROM records WHERE run = (SELECT num FROM runs WHERE id = ?) AND seq > ?"
    values: list[object] = [run_id, after_seq]
    if before_seq is not None:
        query += " AND seq < ?"
        values.append(before_seq)
    if only:
        query += f" AND ({' OR '.join([_found(_BEGINNING)] * len(only))})"
        values += [stored_tag(tag) for tag in only]
    for tag in without:
        query += f" AND NOT {_found(_BEGINNING)}"
        values.append(stored_tag(tag))
    for level in without_levels:
        query += f" AND NOT {_found(_AHEAD)}"
        values.append(packed("level") + packed(level))
    if holding:
        query += f" AND (NOT {_found(_BEGINNING)} OR instr(lower(CAST(record AS TEXT)), ?) > 0)"
        values += [stored_tag(Log.tag), holding.lower()]
    query += f" ORDER BY seq {'DESC' if newest_first else 'ASC'}"
    with translated(database_path), closing(connect(database_path)) as database:
        for (blob,) in database.execute(query, values):
            yield decode_record(blob)


def picked_events(database_path: Path, run_id: str, kind: type[E]) -> list[tuple[int, E]]:
    """Return the stored events of a kind with their numbers.

    Raises:
        StorageError: the file or the disk fails.
    """
    records = picked_records(database_path, run_id, only=(kind.tag,))
    return [(record.seq, record.event) for record in records if isinstance(record.event, kind)]


def stored_head(database_path: Path, run_id: str) -> int:
    """Return the sequence number of a run's last record; 0 where there is none.

    Raises:
        StorageError: the file or the disk fails.
    """
    with translated(database_path), closing(connect(database_path)) as database:
        row = database.execute("SELECT head FROM runs WHERE id = ?", (run_id,)).fetchone()
    return row[0] if row else 0


def _found(num_bytes: int) -> str:
    return f"instr(substr(record, 1, {num_bytes}), ?) > 0"
