"""Reads a judgement's zip, which another machine wrote: its document, and pictures by the names of their cells alone.

Nothing is unpacked. Members are stored as they are, so none can grow, and every size is known before it is read.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from loratui_protocol.errors import ProtocolError, StorageError
from loratui_protocol.judging.grid import Cell
from loratui_protocol.judging.judgement import DOCUMENT, MAX_DOCUMENT_BYTES, MAX_PICTURES, Judgement, parse_judgement

MAX_ZIP_BYTES = 4 << 30
MAX_PICTURE_BYTES = 8 << 20
_END = struct.Struct("<4s4H2LH")
"""The last bytes of a zip without a comment: where its directory is, and how large."""
_LOCATOR_BYTES = 20
_DIRECTORY_BYTES = 128
"""Of the directory for each member: more than our names take."""
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    KeyError,
)


@dataclass(frozen=True, slots=True, eq=False)
class JudgementZip:
    """An open zip and what its document says. Each one is itself alone, so that its pictures can be kept by it."""

    judgement: Judgement
    _archive: zipfile.ZipFile

    def picture(self, cell: Cell) -> bytes | None:
        """Return what the zip has for a picture's bytes, None where it has none that may be read."""
        try:
            return _read(self._archive, f"{cell.name}.jpg", MAX_PICTURE_BYTES)
        except (*_DAMAGED, OSError):
            return None


@dataclass(frozen=True, slots=True)
class ZippedPicture:
    """A picture in an open zip."""

    judged: JudgementZip
    cell: Cell

    def read(self) -> bytes | None:
        """Return its bytes, None where it can't be read, or the zip is closed by now."""
        return self.judged.picture(self.cell)


@contextmanager
def open_judgement(path: Path) -> Iterator[JudgementZip]:
    """Open a judgement's zip for the block.

    Raises:
        ProtocolError: it is none, or larger than any.
        StorageError: it can't be read here.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            _refuse_what_we_never_write(path, file)
            archive = stack.enter_context(zipfile.ZipFile(file))
            judgement = parse_judgement(_read(archive, DOCUMENT, MAX_DOCUMENT_BYTES))
        except _DAMAGED as error:
            raise _refused("it is no zip of ours") from error
        except OSError as error:
            raise StorageError(
                f"the judgement {path} can't be read: {error.strerror}",
                fix="fetch it again: loratui download",
                code="judgement.unread",
            ) from error
        yield JudgementZip(judgement, archive)


def _read(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED or not member.file_size == member.compress_size <= most:
        raise zipfile.BadZipFile(f"{name} is not stored as it is, or too large")
    with archive.open(member) as file:
        return file.read(most)


def _refuse_what_we_never_write(path: Path, file: BinaryIO) -> None:
    """Refuse a zip whose directory is larger than ours would be: it is read whole before anything else is known.

    Raises:
        ProtocolError: it is another kind of zip than the box writes.
    """
    size = path.stat().st_size
    if size > MAX_ZIP_BYTES:
        raise _refused(f"it has {size} bytes")
    file.seek(max(0, size - _LOCATOR_BYTES - _END.size))
    tail = file.read()
    file.seek(0)
    if len(tail) < _END.size:
        raise _refused("it is no zip")
    signature, *_, directory_bytes, _offset, comment_bytes = _END.unpack(tail[-_END.size :])
    is_large = directory_bytes > _DIRECTORY_BYTES * (MAX_PICTURES + 1)
    # A locator leads to a second directory, of sizes that only archives beyond 4 GB need.
    if signature != b"PK\x05\x06" or comment_bytes or is_large or tail.startswith(b"PK\x06\x07"):
        raise _refused("it is another kind of zip than a judgement")


def _refused(why: str) -> ProtocolError:
    return ProtocolError(
        f"the judgement can't be read: {why}", fix="try the files out again: loratui test", code="judgement.damaged"
    )
