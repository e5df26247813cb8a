"""What people have answered when they were asked whether they may train on their pictures: kept, and never changed."""

from contextlib import closing
from dataclasses import astuple, dataclass
from pathlib import Path

from loratui.store.database import connect, transaction, translated


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsAnswer:
    """An answer for a dataset and a base model."""

    dataset: str
    """Its folders, absolute, one a line."""
    base: str
    may_train: bool
    license: str
    """Of the base model, as far as it was known; empty: nobody knows."""
    author: str
    ts: float


_COLUMNS = "dataset, base, may_train, license, author, ts"


def note_answer(database_path: Path, answer: RightsAnswer) -> None:
    """Write an answer down, behind those that were given before.

    Raises:
        StorageError: the file or the disk fails.
    """
    with translated(database_path), closing(connect(database_path)) as database, transaction(database):
        database.execute(f"INSERT INTO rights ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", astuple(answer))  # noqa: S608 -- ours


def last_answer(database_path: Path, dataset: str, base: str) -> RightsAnswer | None:
    """Return what was answered last; None: nobody was asked.

    Raises:
        StorageError: the file or the disk fails.
    """
    if not database_path.exists():
        return None
    with translated(database_path), closing(connect(database_path)) as database:
        row = database.execute(
            f"SELECT {_COLUMNS} FROM rights WHERE dataset = ? AND base = ? ORDER BY num DESC LIMIT 1",  # noqa: S608 -- ours
            (dataset, base),
        ).fetchone()
    if row is None:
        return None
    fields = dict(zip(RightsAnswer.__dataclass_fields__, row, strict=True))
    return RightsAnswer(**{**fields, "may_train": bool(fields["may_train"])})
