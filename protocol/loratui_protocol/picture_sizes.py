"""Measures pictures, decodes them where asked, and says which are too small or too narrow to train well."""

import math
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import imagesize

from loratui_protocol.errors import DatasetError
from loratui_protocol.findings import Finding

_NAMES_SHOWN = 20
_MUCH_SMALLER = 1.5
_NARROWEST = 16


def picture_sizes(paths: Sequence[Path], *, verify: bool) -> list[tuple[int, int]]:
    """Return each picture's width and height in pixels, after EXIF rotation; ``verify`` decodes them all.

    Raises:
        DatasetError: one or more can't be read or have impossible proportions; all of them are named.
    """
    sizes, broken = [], []
    for path in paths:
        try:
            width, height = imagesize.get(path)
            if min(width, height) < 1:
                broken.append(f"{path} ({_why_not(path)})")
                continue
            if verify:
                _decode(path)
        except (OSError, ValueError, SyntaxError, struct.error) as error:
            broken.append(f"{path} ({type(error).__name__}: {error})"[:300])
        else:
            sizes.append((int(width), int(height)))
    if broken:
        raise _refusal("dataset.unreadable", "can't be read", broken, "replace or remove them")
    narrow = [
        f"{path} ({width}x{height})"
        for path, (width, height) in zip(paths, sizes, strict=True)
        if max(width, height) > _NARROWEST * min(width, height)
    ]
    if narrow:
        raise _refusal("dataset.too_narrow", f"are narrower than 1:{_NARROWEST}", narrow, "crop or remove them")
    return sizes


def _why_not(path: Path) -> str:
    return "the file is empty" if path.stat().st_size == 0 else "no picture of a kind that is read"


def _decode(path: Path) -> None:
    # Only this needs Pillow: sizes must be had on a box that has nothing installed yet.
    from PIL import Image

    try:
        with Image.open(path) as picture:
            picture.load()
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error


def _refusal(code: str, what: str, named: list[str], fix: str) -> DatasetError:
    shown = "".join(f"\n  {name}" for name in named[:_NAMES_SHOWN])
    more = f"\n  and {len(named) - _NAMES_SHOWN} more" if len(named) > _NAMES_SHOWN else ""
    return DatasetError(f"{len(named)} pictures {what}:{shown}{more}", fix=fix, code=code)


def size_findings(
    paths: Sequence[Path], sizes: Sequence[tuple[int, int]], resolution: tuple[int, int] | None
) -> Iterator[Finding]:
    """Yield a warning if pictures are much smaller than the resolution (None: they are never enlarged)."""
    if resolution is None:
        return
    area = resolution[0] * resolution[1]
    factors = [math.sqrt(area / (width * height)) for width, height in sizes]
    worst = max(range(len(factors)), key=factors.__getitem__)
    if factors[worst] >= _MUCH_SMALLER:
        count = sum(factor >= _MUCH_SMALLER for factor in factors)
        width, height = sizes[worst]
        yield Finding(
            code="dataset.small_pictures",
            severity="warning",
            what=f"{count} of {len(sizes)} pictures are much smaller than {resolution[0]}x{resolution[1]}; "
            f"{paths[worst].name} ({width}x{height}) is enlarged {factors[worst]:.1f} times",
            fix="use larger pictures, a lower resolution, or bucket_no_upscale = true",
            path=str(paths[worst]),
        )
