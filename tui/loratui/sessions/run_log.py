"""The whole log of a run, read from the store page by page, in the words of the run screen; threads call this."""

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from loratui.domain.log_line import LogLine
from loratui.domain.run import RunView
from loratui.store.picked import picked_records, stored_head
from loratui_protocol.messages import Cost, Metrics, Record, Step, Validation

LEVELS = ("INFO", "WARNING", "ERROR")
"""What may be asked for at least; the first means every line."""
PAGE_LINES = 500
_MOST_CHARS = 4_000
"""Of one line: more would make a page of them large."""
_SILENT = (Step.tag, Metrics.tag, Cost.tag)
"""Most of all records, and none is a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLine(LogLine):
    """A line and the record that it comes from."""

    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """Neighbouring lines, the oldest first, and the records that were read for them, whether or not they say something.

    ``is_end``: beyond them, in the direction of reading, there was nothing more.
    """

    lines: Sequence[StoredLine]
    first_seq: int
    last_seq: int
    is_end: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLog:
    """The log of one run, of lines that are at least of a level."""

    database: Path
    run_id: str
    least: str = LEVELS[0]
    holding: str = ""
    """What log lines must have in them; those that surely lack it are not decoded."""

    def newest(self) -> LogPage:
        """Return the last page.

        Raises:
            StorageError: the file or the disk fails; as with all that follows.
        """
        return self.before(2**62)

    def before(self, seq: int) -> LogPage:
        """Return the lines before a record."""
        lines: list[StoredLine] = []
        first, last = seq, min(seq - 1, stored_head(self.database, self.run_id))
        while True:
            records = self._records(before_seq=first, newest_first=True)[::-1]
            if records:
                first = records[0].seq
                lines[:0] = self._lines(records)
            if len(records) < PAGE_LINES or len(lines) >= PAGE_LINES // 2:
                return LogPage(lines=lines, first_seq=first, last_seq=last, is_end=len(records) < PAGE_LINES)

    def after(self, seq: int) -> LogPage:
        """Return the lines after a record."""
        lines: list[StoredLine] = []
        # What is no line must not be read again each time: the end is where the records end.
        last, head = seq, stored_head(self.database, self.run_id)
        while True:
            records = self._records(after_seq=last)
            is_end = len(records) < PAGE_LINES
            if records:
                last = records[-1].seq
                lines += self._lines(records)
            if is_end or len(lines) >= PAGE_LINES // 2:
                last = max(last, head) if is_end else last
                return LogPage(lines=lines, first_seq=seq + 1, last_seq=last, is_end=is_end)

    def find(self, words: str, seq: int, *, newer: bool, is_wanted: Callable[[], bool] = lambda: True) -> int | None:
        """Return the record of the next line that has ``words`` in it, in any case of letters; it goes round once.

        None: there is none, or nobody wants to know any more.
        """
        wanted = words.casefold()
        log = replace(self, holding=words) if words.isascii() else self
        at, is_round = seq, False
        while is_wanted():
            page = log.after(at) if newer else log.before(at)
            for line in page.lines if newer else reversed(page.lines):
                if is_round and (line.seq > seq if newer else line.seq < seq):
                    return None
                if wanted in line.text.casefold():
                    return line.seq
            at = page.last_seq if newer else page.first_seq
            if page.is_end and is_round:
                return None
            if page.is_end:
                at, is_round = (0 if newer else 2**62), True
        return None

    def _records(
        self, *, after_seq: int = 0, before_seq: int | None = None, newest_first: bool = False
    ) -> list[Record]:
        reading = picked_records(
            self.database,
            self.run_id,
            after_seq=after_seq,
            before_seq=before_seq,
            without=_SILENT,
            without_levels=("DEBUG", *LEVELS[: LEVELS.index(self.least)]) if self.least != LEVELS[0] else (),
            holding=self.holding,
            newest_first=newest_first,
        )
        with closing(reading):
            return list(islice(reading, PAGE_LINES))

    def _lines(self, records: Sequence[Record]) -> list[StoredLine]:
        """Return what a view of the run would note of these records."""
        view = RunView(run_id=self.run_id, name="", target="")
        if any(isinstance(record.event, Validation) for record in records):
            # A verdict is about all looks so far.
            with closing(
                picked_records(self.database, self.run_id, before_seq=records[0].seq, only=(Validation.tag,))
            ) as earlier:
                for record in earlier:
                    view.apply(record)
        lines = []
        for record in records:
            view.log.clear()
            view.apply(record)
            lines += [
                StoredLine(seq=record.seq, ts=line.ts, level=line.level, text=line.text[:_MOST_CHARS])
                for line in view.log
                if _rank(line.level) >= _rank(self.least) or self.least == LEVELS[0]
            ]
        return lines


def _rank(level: str) -> int:
    return logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
