"""What the user thinks of the LoRAs that were made: one to five stars for a version of a file."""

import time
from contextlib import closing
from pathlib import Path

from loratui.store.database import connect, transaction, translated


def rate(database_path: Path, run_id: str, artifact_id: str, sha256: str, stars: int) -> None:
    """Write down what a version of a file is worth; 0 stars take back what was said.

    Raises:
        StorageError: the file or the disk fails.
    """
    of_version = "run = (SELECT num FROM runs WHERE id = ?) AND artifact_id = ? AND sha256 = ?"
    with translated(database_path), closing(connect(database_path)) as database, transaction(database):
        database.execute(f"DELETE FROM ratings WHERE {of_version}", (run_id, artifact_id, sha256))  # noqa: S608 -- ours
        if stars:
            database.execute(
                "INSERT INTO ratings (run, artifact_id, sha256, stars, ts)"
                " SELECT num, ?, ?, ?, ? FROM runs WHERE id = ?",
                (artifact_id, sha256, stars, time.time(), run_id),
            )


def ratings(database_path: Path) -> dict[tuple[str, str, str], int]:
    """Return the stars of every version that was rated, by run, artifact id and sha256.

    Raises:
        StorageError: the file or the disk fails.
    """
    with translated(database_path), closing(connect(database_path)) as database:
        rows = database.execute(
            "SELECT id, artifact_id, sha256, stars FROM ratings JOIN runs ON runs.num = ratings.run"
        ).fetchall()
    return {(run_id, artifact_id, sha256): stars for run_id, artifact_id, sha256, stars in rows}


def ratings_of(database_path: Path, run_id: str) -> dict[str, int]:
    """Return the stars of a run's files, by artifact id; errors as in ``ratings``."""
    return {artifact: stars for (of, artifact, _), stars in ratings(database_path).items() if of == run_id}
