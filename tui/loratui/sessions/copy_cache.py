"""Copies of pictures on this machine's disk, named by what they were made of: made once, bounded, never half there."""

import contextlib
import hashlib
import io
import os
import struct
import tempfile
import threading
import time
import zlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from loratui_protocol.buckets import Placement, as_it_is
from loratui_protocol.originals import Original
from loratui_protocol.picture_pixels import mask_pixels, picture_pixels

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES = 4 << 30
KEPT_S = 24 * 3600.0
"""What was used later than this stays, however much there is: an upload may be under way."""
_VERSION = 1
_LIKE_JPEG = ("JPEG", "MPO")
_FEW_PIXELS = 2
"""Times the bucket's: without loss a JPEG of fewer pixels becomes larger."""
_MAX_SIDE = 16383
"""Pixels a side that WebP can have."""
_MOST_WORKERS = 4
_LARGE_PIXELS = 40_000_000
"""Pictures of more are taken one at a time: each holds up to 15 bytes a pixel."""


class Kept(StrEnum):
    """What of a file a copy has."""

    PICTURE = "picture"
    OPAQUE_PICTURE = "opaque picture"
    """There is no copy where any of it is transparent: that is its mask."""
    MASK = "mask"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A copy that would do instead of the file at ``path``; ``width`` and ``height`` are its picture's, as seen."""

    path: Path
    width: int
    height: int
    placement: Placement
    kept: Kept


@dataclass(frozen=True, slots=True)
class Copy:
    """A file that holds what is trained of another one."""

    path: Path
    size: int
    original: Original


def num_workers() -> int:
    """Return how many copies are worth making at once."""
    return min(_MOST_WORKERS, os.cpu_count() or 1)


class CopyCache:
    """A folder of copies. Several threads and processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, which need not exist."""
        self._folder = folder
        self._large = threading.Lock()

    def copy(self, wanted: Wanted) -> Copy | None:
        """Return the copy, made if need be; None where there is no smaller one that is as good as the file."""
        from PIL.Image import DecompressionBombError

        try:
            content = wanted.path.read_bytes()
            sha256 = hashlib.sha256(content).hexdigest()
            path = self._folder / f"{_key(sha256, wanted)}.webp"
            if not path.exists():
                self._keep(path, content, wanted)
            facts = path.stat()
            # When it was used last; when it was made must stay, an upload looks at that.
            os.utime(path, ns=(time.time_ns(), facts.st_mtime_ns))
        # What Pillow raises on damaged files, and a full disk: then the original travels, and the trainer has its say.
        except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, DecompressionBombError):
            return None
        original = Original(sha256, wanted.width, wanted.height)
        return Copy(path, facts.st_size, original) if facts.st_size else None

    def _keep(self, path: Path, content: bytes, wanted: Wanted) -> None:
        """Put there what ``_encoded`` returns; nothing is put there as an empty file, not to be tried again."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._folder, suffix=".tmp")
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                with self._large if _num_pixels(content) > _LARGE_PIXELS else contextlib.nullcontext():
                    file.write(_encoded(content, wanted))
                file.flush()
                os.fsync(file.fileno())
            if not path.exists():
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def prune(self) -> None:
        """Remove what was used longest ago until the rest is within bounds, and what a killed process left."""
        now_s, files = time.time(), list[tuple[float, int, Path]]()
        for path in self._folder.glob("*"):
            try:
                facts = path.stat()
            except OSError:
                continue
            files.append((facts.st_atime, facts.st_size, path))
        total = sum(size for _, size, _ in files)
        for used_s, size, path in sorted(files):
            if now_s - used_s < KEPT_S or (total <= MAX_BYTES and path.suffix != ".tmp"):
                continue
            with contextlib.suppress(OSError):
                path.unlink()
            total -= size


def _key(sha256: str, wanted: Wanted) -> str:
    from PIL import __version__, features

    placed = wanted.placement
    # Other versions may decode or scale otherwise in the last bit.
    made_by = (_VERSION, __version__, features.version("libjpeg_turbo"), features.version("webp"))
    facts = repr((sha256, wanted.kept.value, placed.resized, placed.crop, made_by))
    return hashlib.sha256(facts.encode()).hexdigest()


def _encoded(content: bytes, wanted: Wanted) -> bytes:
    """Return the copy; empty where it would not be smaller, or not have the very pixels that are trained."""
    from PIL import Image

    bucket = wanted.placement.bucket
    with Image.open(io.BytesIO(content)) as opened:
        is_like_jpeg = opened.format in _LIKE_JPEG
    is_mask = wanted.kept is Kept.MASK
    if not is_mask and is_like_jpeg and _num_pixels(content) < _FEW_PIXELS * bucket.width * bucket.height:
        return b""
    if max(bucket) > _MAX_SIDE or (wanted.kept is Kept.OPAQUE_PICTURE and not _is_opaque(content, wanted.placement)):
        return b""
    pixels = _pixels(io.BytesIO(content), wanted.placement, wanted.kept)
    target = io.BytesIO()
    # Measured: more effort takes several times as long and saves a hundredth.
    pixels.save(target, "WEBP", lossless=True, method=2, quality=0)
    copy = target.getvalue()
    if not is_mask and len(copy) >= len(content):
        return b""
    # As the trainer on the other machine will read it.
    again = _pixels(io.BytesIO(copy), as_it_is(bucket), wanted.kept)
    return copy if (again.size, again.tobytes()) == (pixels.size, pixels.tobytes()) else b""


def _num_pixels(content: bytes) -> int:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as opened:
        return opened.width * opened.height


def _pixels(source: BinaryIO, placement: Placement, kept: Kept) -> "Image":
    if kept is Kept.MASK:
        return mask_pixels(source, placement, alpha=False)
    return picture_pixels(source, placement)


def _is_opaque(content: bytes, placement: Placement) -> bool:
    return mask_pixels(io.BytesIO(content), placement, alpha=True).getextrema() == (255, 255)
