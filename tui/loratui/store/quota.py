"""Keeps what one run may fill of this machine's disk within bounds: an agent may be anyone's, and say anything.

Where a run's records outgrow the quota the oldest log lines go; the agent's journal, and its log, still have them.
"""

import sqlite3

from loratui_protocol.errors import ProtocolError

MAX_STORED_BYTES = 64 << 20
"""Of one run's records. A run of 100 000 steps takes 20 MB."""
_AT_ONCE = 2_000


def keep_quota(database: sqlite3.Connection, run: int, added: int, max_bytes: int) -> None:
    """Make room, after ``added`` bytes were stored for the run ``run``. Inside the transaction that stored them.

    Raises:
        ProtocolError: there is no log line left that could go.
    """
    [(before,)] = database.execute("SELECT stored_bytes FROM runs WHERE num = ?", (run,))
    stored = before + added
    while stored > max_bytes:
        # In the words of the index log_records: else each batch of a host that floods has everything read again.
        going = database.execute(
            "SELECT run, seq, length(record) FROM records INDEXED BY log_records WHERE run = ?"
            " AND instr(substr(record, 1, 48), X'A174A36C6F67') > 0 ORDER BY seq LIMIT ?",
            (run, _AT_ONCE),
        ).fetchall()
        if not going:
            raise ProtocolError(
                f"the agent says more about this run than {max_bytes >> 20} MiB; no more of it is kept here",
                fix="don't trust this host; end the run there, or follow it from its host",
                code="agent.flood",
            )
        database.executemany("DELETE FROM records WHERE run = ? AND seq = ?", [row[:2] for row in going])
        stored -= sum(size for _, _, size in going)
    database.execute("UPDATE runs SET stored_bytes = ? WHERE num = ?", (stored, run))
