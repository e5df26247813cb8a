"""What a file is by its first bytes, whatever its name says: for those that can't be read as a picture."""

import re
import shlex
from pathlib import Path

from loratui_protocol.dataset_folders import jpeg_command

HEAD_BYTES = 512
"""Enough for every mark below, a web page's comments before its first tag aside."""
READ = ("PNG", "JPEG", "WEBP", "BMP")
"""The formats that training reads, as Pillow names them."""
MODERN = ("HEIC", "AVIF", "JPEG XL")
"""Pictures that phones and browsers save and that training doesn't read."""

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"BM", "BMP"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_PAGE = re.compile(rb"^[\s\xef\xbb\xbf]*<(!doctype|html|head|body|\?xml|svg|!--)", re.IGNORECASE)


def kind_of(head: bytes) -> str:
    """Return the kind that the first bytes of a file show: a format, or words for it; nothing if they show none."""
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, 40, 4))}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        return "HEIC" if brands.intersection(_HEIC_BRANDS) else "a video"
    if _PAGE.match(head):
        return "SVG" if b"<svg" in head.lower() else "a web page"
    return ""


def fix_for(kind: str, path: Path) -> str:
    """Return what to do with a file of a kind that training doesn't read."""
    if kind == "a web page":
        return "the download went wrong: download it again, or remove it"
    if kind == "a Git LFS pointer":
        return "run git lfs pull"
    elsewhere = f"magick {shlex.quote(str(path))} {shlex.quote(str(path.with_suffix('.jpg')))}"
    return f"save it as JPEG or PNG (macOS: {jpeg_command(path)}; elsewhere: {elsewhere})"
