"""Opening the SQLite file: schema, migrations, and SQLite's errors said in our words."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loratui_protocol.errors import StorageError

BUSY_TIMEOUT_S = 5.0

_MIGRATIONS = (
    """
    CREATE TABLE runs (
        num INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        target TEXT NOT NULL,
        created_ts REAL NOT NULL,
        config_toml TEXT NOT NULL,
        home TEXT NOT NULL,
        price_microusd_per_h INTEGER NOT NULL,
        max_runtime_s REAL,
        evaluate_concept TEXT NOT NULL,
        epoch TEXT NOT NULL DEFAULT '',
        head INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL DEFAULT 'queued',
        step INTEGER NOT NULL DEFAULT 0,
        total INTEGER NOT NULL DEFAULT 0,
        spent_microusd INTEGER NOT NULL DEFAULT 0,
        ended_ts REAL
    );
    CREATE TABLE records (
        run INTEGER NOT NULL REFERENCES runs (num) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        ts REAL NOT NULL,
        record BLOB NOT NULL,
        PRIMARY KEY (run, seq)
    ) WITHOUT ROWID;
    CREATE TABLE costs (
        run INTEGER NOT NULL REFERENCES runs (num) ON DELETE CASCADE,
        ts REAL NOT NULL,
        spent_microusd INTEGER NOT NULL,
        price_microusd_per_h INTEGER NOT NULL,
        PRIMARY KEY (run, ts)
    ) WITHOUT ROWID;
    CREATE TABLE downloads (
        run INTEGER NOT NULL REFERENCES runs (num) ON DELETE CASCADE,
        artifact_id TEXT NOT NULL,
        path TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        exported TEXT,
        acknowledged INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (run, artifact_id)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE runs ADD COLUMN supply TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN on_done TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN keep_s REAL;
    ALTER TABLE runs ADD COLUMN accepted TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN is_ours INTEGER NOT NULL DEFAULT 1;
    """,
    # Files that were fetched before keep their names: the last part of their path, after a slash of either kind.
    # A stored record is a log line where its first bytes hold how an event of that kind begins.
    """
    CREATE TABLE files (
        run INTEGER NOT NULL REFERENCES runs (num) ON DELETE CASCADE,
        artifact_id TEXT NOT NULL,
        name TEXT NOT NULL COLLATE NOCASE,
        kind TEXT NOT NULL DEFAULT '',
        sha256 TEXT NOT NULL DEFAULT '',
        size INTEGER NOT NULL DEFAULT 0,
        num_versions INTEGER NOT NULL DEFAULT 0,
        num_bytes INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (run, artifact_id),
        UNIQUE (run, name)
    ) WITHOUT ROWID;
    INSERT OR IGNORE INTO files (run, artifact_id, name)
        SELECT run, artifact_id, replace(path, rtrim(path, replace(replace(path, '/', ''), '\\', '')), '')
        FROM downloads;
    ALTER TABLE runs ADD COLUMN stored_bytes INTEGER NOT NULL DEFAULT 0;
    UPDATE runs SET stored_bytes =
        (SELECT coalesce(sum(length(record)), 0) FROM records WHERE records.run = runs.num);
    CREATE INDEX log_records ON records (run, seq) WHERE instr(substr(record, 1, 48), X'A174A36C6F67') > 0;
    """,
    """
    CREATE TABLE rentals (
        num INTEGER PRIMARY KEY,
        label TEXT NOT NULL UNIQUE,
        provider TEXT NOT NULL,
        account_id TEXT NOT NULL,
        instance_id TEXT NOT NULL DEFAULT '',
        offer TEXT NOT NULL,
        machine TEXT NOT NULL DEFAULT '',
        public_key TEXT NOT NULL,
        run_ids TEXT NOT NULL DEFAULT '',
        state TEXT NOT NULL,
        why TEXT NOT NULL DEFAULT '',
        price_microusd_per_h INTEGER NOT NULL,
        cap_microusd INTEGER,
        deadline_ts REAL,
        created_ts REAL NOT NULL,
        ready_ts REAL,
        ended_ts REAL,
        proven_gone INTEGER NOT NULL DEFAULT 0,
        is_tidy INTEGER NOT NULL DEFAULT 0,
        ssh_user TEXT NOT NULL DEFAULT '',
        ssh_host TEXT NOT NULL DEFAULT '',
        ssh_port INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE charges (
        num INTEGER PRIMARY KEY,
        rental INTEGER NOT NULL REFERENCES rentals (num) ON DELETE CASCADE,
        phase TEXT NOT NULL,
        from_ts REAL NOT NULL,
        to_ts REAL,
        microusd_per_h INTEGER NOT NULL,
        microusd INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX charges_of ON charges (rental, num);
    CREATE TABLE bad_hosts (
        provider TEXT NOT NULL,
        machine TEXT NOT NULL,
        why TEXT NOT NULL,
        ts REAL NOT NULL,
        PRIMARY KEY (provider, machine)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE rentals ADD COLUMN stops_for TEXT NOT NULL DEFAULT '';
    ALTER TABLE rentals ADD COLUMN save_s REAL NOT NULL DEFAULT 0;
    ALTER TABLE rentals ADD COLUMN created_up_s REAL;
    ALTER TABLE rentals ADD COLUMN keep_s REAL;
    ALTER TABLE rentals ADD COLUMN armed TEXT NOT NULL DEFAULT '';
    ALTER TABLE rentals ADD COLUMN estimated_microusd INTEGER;
    ALTER TABLE rentals ADD COLUMN uplink_bytes_per_s REAL;
    """,
    """
    ALTER TABLE runs ADD COLUMN resumed_from TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN state_dir TEXT NOT NULL DEFAULT '';
    """,
    # Of a run on a rented machine the offer has said what GPU it was on.
    """
    ALTER TABLE runs ADD COLUMN gpu TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN downlink_bytes_per_s REAL;
    UPDATE runs SET gpu = coalesce(
        (SELECT CASE WHEN json_valid(offer) THEN json_extract(offer, '$.gpu_name') END FROM rentals
         WHERE runs.target = rentals.provider || ':' || rentals.label), '');
    """,
    """
    ALTER TABLE rentals ADD COLUMN model_bytes INTEGER;
    """,
    """
    ALTER TABLE runs ADD COLUMN state_bytes INTEGER NOT NULL DEFAULT 0;
    """,
    """
    ALTER TABLE runs ADD COLUMN rights TEXT NOT NULL DEFAULT '';
    CREATE TABLE rights (
        num INTEGER PRIMARY KEY,
        dataset TEXT NOT NULL,
        base TEXT NOT NULL,
        may_train INTEGER NOT NULL,
        license TEXT NOT NULL,
        author TEXT NOT NULL,
        ts REAL NOT NULL
    );
    CREATE INDEX rights_of ON rights (dataset, base, num);
    """,
    # Of a version of a file: one that is written anew has yet to be judged.
    """
    CREATE TABLE ratings (
        run INTEGER NOT NULL REFERENCES runs (num) ON DELETE CASCADE,
        artifact_id TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        stars INTEGER NOT NULL,
        ts REAL NOT NULL,
        PRIMARY KEY (run, artifact_id, sha256)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE told (
        what TEXT PRIMARY KEY,
        ts REAL NOT NULL
    ) WITHOUT ROWID;
    """,
)


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection to the database at ``path``, made or brought up to date as needed.

    Raises:
        StorageError: the file is damaged, of a newer version, or can't be written. Nothing of it is changed then.
    """
    with translated(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            _prepare(database, path)
        except BaseException:
            database.close()
            raise
    return database


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors, and the disk's, into ``StorageError``."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "full" in str(error):
            raise StorageError(
                f"the disk of {path} is full; the run goes on, nothing stored so far is lost",
                fix="free some space: what is missing is fetched from the agent again",
            ) from error
        if "locked" in str(error):
            raise StorageError(f"another process holds {path}", fix="try again", code="store.busy") from error
        raise StorageError(
            f"{path} can't be used: {error}", fix="check that the folder exists and is yours", code="store.unusable"
        ) from error
    except sqlite3.DatabaseError as error:
        raise StorageError(
            f"{path} is damaged ({error}); it was left as it is",
            fix=f"move it away (mv {path} {path}.damaged): runs whose agent still has them are fetched again by "
            "`loratui attach`, downloaded files stay in the runs folder",
            code="store.damaged",
        ) from error
    except OSError as error:
        raise StorageError(
            f"{path} can't be made: {error.strerror}",
            fix="set LORATUI_STATE_DIR to a folder of yours that can be written",
            code="store.unusable",
        ) from error


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Do everything inside or nothing; other processes wait, and see it whole."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    [version] = database.execute("PRAGMA user_version").fetchone()
    if version > len(_MIGRATIONS):
        raise StorageError(
            f"{path} was written by a newer loratui",
            fix="upgrade loratui, or set LORATUI_STATE_DIR to another folder",
            code="store.newer",
        )
    # Write-ahead log: readers never wait for the writer. A kill loses nothing that was committed; a power cut may
    # lose the last commits, which the agent's journal still has.
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("PRAGMA foreign_keys = ON")
    if version < len(_MIGRATIONS):
        _migrate(database)


def _migrate(database: sqlite3.Connection) -> None:
    with transaction(database):
        # Looked up again under the lock: another process may have just done it.
        [version] = database.execute("PRAGMA user_version").fetchone()
        for statements in _MIGRATIONS[version:]:
            for statement in statements.split(";"):
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")
