"""The journal of one job: an append-only file that holds every event, whole or not at all.

    header   4 magic, 8 epoch, 8 boot mark, 4 CRC-32 of those
    record   4 length, 4 CRC-32 of what follows, the record as ``codec.encode_record`` makes it

The epoch names the history. When a record that someone may have seen is gone (a torn tail, a damaged byte, a crash of
the whole machine) the file gets a new epoch, and every client reads it afresh.
"""

import os
import secrets
import struct
import zlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loratui_agent.disk_wait import disk_wait
from loratui_agent.files import disk_full_error
from loratui_protocol.codec import MAX_RECORD_BYTES

_HEADER = struct.Struct("<4s8s8sI")
_FRAME = struct.Struct("<II")
_MAGIC = b"LRJ1"
_INDEX_EVERY = 256
MAX_BATCH_RECORDS = 256
MAX_BATCH_BYTES = 64 << 10


@dataclass(slots=True)
class Cursor:
    """A reader's place: everything up to ``seq`` is read, the next record starts at ``offset``."""

    seq: int
    offset: int


class Journal:
    """One process writes, any number of cursors read. Memory grows by eight bytes per 256 records."""

    def __init__(self, path: Path, boot: bytes, visit: Callable[[bytes], None]) -> None:
        """Open or make the journal, repair its tail and show every stored record to ``visit``, in order."""
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._index = array("Q")
        self.head = 0
        self.is_dirty = False
        self._end = _HEADER.size
        epoch = self._read_epoch(boot)
        self._scan(visit)
        size = os.fstat(self._descriptor).st_size
        if epoch is None or size != self._end:
            epoch = secrets.token_bytes(8)
            self._write_header(epoch, boot)
        self.epoch = epoch.hex()

    def append(self, stored: bytes) -> None:
        """Add a record that ``codec.encode_record`` made, with ``head`` + 1 as its sequence number.

        Raises:
            StorageError: the disk is full; the journal is as before.
        """
        framed = _FRAME.pack(len(stored), zlib.crc32(stored)) + stored
        try:
            with disk_wait():
                written = os.pwrite(self._descriptor, framed, self._end)
                if written < len(framed):
                    os.pwrite(self._descriptor, framed[written:], self._end + written)
        except OSError as error:
            os.ftruncate(self._descriptor, self._end)
            full = disk_full_error(error, self._path)
            if full is not None:
                raise full from error
            raise
        self._accept(len(framed))
        self.is_dirty = True

    def sync(self) -> None:
        """Wait until everything appended would survive a crash of the machine. May run in a thread."""
        self.is_dirty = False
        with disk_wait():
            os.fsync(self._descriptor)

    def cursor(self, after_seq: int) -> Cursor:
        """Return a cursor whose next record is ``after_seq`` + 1; ``after_seq`` is at most ``head``."""
        if after_seq == self.head:
            return Cursor(after_seq, self._end)
        block = after_seq // _INDEX_EVERY
        cursor = Cursor(block * _INDEX_EVERY, self._index[block])
        if after_seq > cursor.seq:
            self._read(cursor, after_seq - cursor.seq, _INDEX_EVERY * MAX_RECORD_BYTES)
        return cursor

    def read(self, cursor: Cursor) -> list[bytes]:
        """Return the next stored records, one batch at most, and move the cursor behind them; empty at the end."""
        return self._read(cursor, MAX_BATCH_RECORDS, MAX_BATCH_BYTES)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _read(self, cursor: Cursor, max_records: int, max_bytes: int) -> list[bytes]:
        batch: list[bytes] = []
        taken = 0
        window, base = b"", cursor.offset
        while len(batch) < max_records and cursor.offset < self._end:
            start = cursor.offset - base
            if start + _FRAME.size > len(window):
                window, base, start = self._window(cursor.offset, MAX_BATCH_BYTES), cursor.offset, 0
            length, _ = _FRAME.unpack_from(window, start)
            if batch and taken + length > max_bytes:
                break
            if start + _FRAME.size + length > len(window):
                window, base, start = self._window(cursor.offset, _FRAME.size + length), cursor.offset, 0
            begin = start + _FRAME.size
            batch.append(window[begin : begin + length])
            taken += length
            cursor.seq += 1
            cursor.offset += _FRAME.size + length
        return batch

    def _window(self, offset: int, size: int) -> bytes:
        return os.pread(self._descriptor, min(max(size, MAX_BATCH_BYTES), self._end - offset), offset)

    def _accept(self, framed_bytes: int) -> None:
        if self.head % _INDEX_EVERY == 0:
            self._index.append(self._end)
        self.head += 1
        self._end += framed_bytes

    def _read_epoch(self, boot: bytes) -> bytes | None:
        """Return the epoch, None when the header is missing, damaged or of an earlier boot."""
        header = os.pread(self._descriptor, _HEADER.size, 0)
        if len(header) < _HEADER.size:
            return None
        magic, epoch, written_at_boot, crc = _HEADER.unpack(header)
        if magic != _MAGIC or crc != zlib.crc32(header[:-4]) or written_at_boot != boot:
            return None
        return bytes(epoch)

    def _write_header(self, epoch: bytes, boot: bytes) -> None:
        os.ftruncate(self._descriptor, self._end)
        header = _MAGIC + epoch + boot
        os.pwrite(self._descriptor, header + zlib.crc32(header).to_bytes(4, "little"), 0)
        os.fsync(self._descriptor)

    def _scan(self, visit: Callable[[bytes], None]) -> None:
        """Accept records up to the first that is torn or damaged."""
        with self._path.open("rb") as file:
            file.seek(self._end)
            while len(prefix := file.read(_FRAME.size)) == _FRAME.size:
                length, crc = _FRAME.unpack(prefix)
                # Length 0 is what a file system leaves after a crash: zeros, whose CRC would be right.
                if not 0 < length <= MAX_RECORD_BYTES:
                    return
                stored = file.read(length)
                if len(stored) < length or zlib.crc32(stored) != crc:
                    return
                self._accept(_FRAME.size + length)
                visit(stored)
