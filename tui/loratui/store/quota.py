"""Keeps what one run may fill of this machine's disk within bounds: an agent may be anyone's, and say anything.

Where a run's records outgrow the quota the oldest log lines go; the agent's journal, and its log, still have them.
"""

import sqlite3

from loratui_protocol.errors import ProtocolError

MAX_STORED_BYTES = 64 << 20
"""Of one run's records. A run of 100 000 steps takes 20 MB."""
_LOG = b"\xa1t\xa3log"
"""How the event of a log line begins in a stored record; its first bytes hold that of every kind."""
_HEAD_BYTES = 48
_AT_ONCE = 2_000


class Quota:
    """The stored bytes of each run, as far as this process has looked."""

    def __init__(self, max_bytes: int = MAX_STORED_BYTES) -> None:
        self._max_bytes = max_bytes
        self._stored: dict[int, int] = {}

    def forget(self, run: int) -> None:
        """Look again when it is next asked for."""
        self._stored.pop(run, None)

    def keep(self, database: sqlite3.Connection, run: int, added: int) -> None:
        """Make room, after ``added`` bytes were stored for the run ``run``. Inside the transaction that stored them.

        Raises:
            ProtocolError: there is no log line left that could go.
        """
        self._stored[run] = self._stored[run] + added if run in self._stored else _measured(database, run)
        if self._stored[run] <= self._max_bytes:
            return
        # Another process may store the same run: what it stored was counted here, too.
        self._stored[run] = _measured(database, run)
        while self._stored[run] > self._max_bytes:
            going = database.execute(
                "SELECT run, seq, length(record) FROM records WHERE run = ?"
                " AND instr(substr(record, 1, ?), ?) > 0 ORDER BY seq LIMIT ?",
                (run, _HEAD_BYTES, _LOG, _AT_ONCE),
            ).fetchall()
            if not going:
                self.forget(run)
                raise ProtocolError(
                    f"the agent says more about this run than {self._max_bytes >> 20} MiB; no more of it is kept here",
                    fix="don't trust this host; end the run there, or follow it from its host",
                    code="agent.flood",
                )
            database.executemany("DELETE FROM records WHERE run = ? AND seq = ?", [row[:2] for row in going])
            self._stored[run] -= sum(size for _, _, size in going)


def _measured(database: sqlite3.Connection, run: int) -> int:
    [(stored,)] = database.execute("SELECT coalesce(sum(length(record)), 0) FROM records WHERE run = ?", (run,))
    return int(stored)
