"""What a person was told at length once, and need not read again."""

import time
from contextlib import closing
from pathlib import Path

from loratui.store.database import connect, translated


def was_told(database_path: Path, what: str) -> bool:
    """Return whether it was explained here before.

    Raises:
        StorageError: the file or the disk fails.
    """
    with translated(database_path), closing(connect(database_path)) as database:
        return database.execute("SELECT 1 FROM told WHERE what = ?", (what,)).fetchone() is not None


def note_told(database_path: Path, what: str) -> None:
    """Write down that it was.

    Raises:
        StorageError: the file or the disk fails.
    """
    with translated(database_path), closing(connect(database_path)) as database:
        database.execute("INSERT OR IGNORE INTO told (what, ts) VALUES (?, ?)", (what, time.time()))
