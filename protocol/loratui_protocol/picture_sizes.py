"""Measures pictures as they are seen, decodes them where asked, and says which are too small or narrow to train well.

Pillow does the measuring, as it does in the trainer: size readers that don't decode overlook the rotation that PNG and
WebP files may carry, and a picture placed by the wrong size would be stretched.
"""

import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loratui_protocol.errors import DatasetError
from loratui_protocol.findings import Finding, plural, with_paths

_NAMES_SHOWN = 20
_SMALLER, _MUCH_SMALLER = 1.02, 1.5
"""Times a side is enlarged: below the first it can't be seen, from the second on it is."""
_NARROWEST = 16
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
"""What the files may be, whatever their names say."""
_ORIENTATION = 0x0112
_LYING = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
_PNG_METADATA = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file that can't be trained on; ``code`` is that of the refusal."""

    path: Path
    why: str
    code: str


def picture_sizes(paths: Iterable[Path], *, verify: bool) -> tuple[dict[Path, tuple[int, int]], list[Unusable]]:
    """Return each picture's width and height in pixels, after EXIF rotation, and which ones can't be trained on.

    ``verify`` decodes them all.
    """
    sizes: dict[Path, tuple[int, int]] = {}
    unusable = []
    for path in paths:
        try:
            width, height = _size(path, verify=verify)
        except damage() as error:
            unusable.append(Unusable(path, _why(path, error), "dataset.unreadable"))
            continue
        if max(width, height) > _NARROWEST * min(width, height):
            unusable.append(Unusable(path, f"{width}x{height}", "dataset.too_narrow"))
        else:
            sizes[path] = width, height
    return sizes, unusable


def damage() -> tuple[type[Exception], ...]:
    """Return what Pillow raises on damaged files, found by damaging files of every kind."""
    # Here, not above: only who has pictures needs Pillow, and its import takes 50 ms.
    from PIL.Image import DecompressionBombError

    return OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, DecompressionBombError


def refuse(unusable: Sequence[Unusable]) -> None:
    """Name all of the first kind of what can't be trained on, if there is any.

    Raises:
        DatasetError: there is.
    """
    for code, what, fix in (
        ("dataset.unreadable", "can't be read", "replace or remove them"),
        ("dataset.too_narrow", f"are narrower than 1:{_NARROWEST}", "crop or remove them"),
    ):
        named = [f"{each.path} ({each.why})" for each in unusable if each.code == code]
        if named:
            raise _refusal(code, what, named, fix)


def _size(path: Path, *, verify: bool) -> tuple[int, int]:
    from PIL import Image

    with Image.open(path, formats=_FORMATS) as picture:
        if verify:
            picture.load()
        width, height = picture.size
        # Pillow decodes a whole PNG to look for metadata at its end, so that is done only where there is some.
        may_lie = picture.format != "PNG" or any(mark in path.read_bytes() for mark in _PNG_METADATA)
        if may_lie and picture.getexif().get(_ORIENTATION) in _LYING:
            return height, width
        return width, height


def _why(path: Path, error: Exception) -> str:
    if path.stat().st_size == 0:
        return "the file is empty"
    return f"{type(error).__name__}: {error}".replace(str(path), path.name)[:200]


def _refusal(code: str, what: str, named: list[str], fix: str) -> DatasetError:
    shown = "".join(f"\n  {name}" for name in named[:_NAMES_SHOWN])
    more = f"\n  and {len(named) - _NAMES_SHOWN} more" if len(named) > _NAMES_SHOWN else ""
    return DatasetError(f"{plural(len(named), 'picture')} {what}:{shown}{more}", fix=fix, code=code)


def size_findings(
    paths: Sequence[Path], names: Sequence[str], sizes: Sequence[tuple[int, int]], resolution: tuple[int, int] | None
) -> Iterator[Finding]:
    """Yield how many pictures are smaller than the resolution, a warning if much (None: they are never enlarged)."""
    if resolution is None or not sizes:
        return
    area = resolution[0] * resolution[1]
    factors = [math.sqrt(area / (width * height)) for width, height in sizes]
    smaller = sum(factor >= _SMALLER for factor in factors)
    if not smaller:
        return
    much = sum(factor >= _MUCH_SMALLER for factor in factors)
    how_many = f", {much} of them much" if much else ""
    worst = max(range(len(factors)), key=factors.__getitem__)
    width, height = sizes[worst]
    found = Finding(
        code="dataset.small_pictures",
        severity="warning" if much else "info",
        what=f"{smaller} of {len(sizes)} pictures are smaller than {resolution[0]}x{resolution[1]}{how_many}; "
        f"{paths[worst].name} ({width}x{height}) is enlarged {factors[worst]:.{1 if much else 2}f} times",
        fix="use larger pictures, a lower resolution, or bucket_no_upscale = true",
        path=str(paths[worst]),
    )
    yield with_paths(found, [name for name, factor in zip(names, factors, strict=True) if factor >= _SMALLER])
