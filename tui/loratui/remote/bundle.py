"""The agent as it travels: its code and all that it needs, pure Python, in one archive named by its content.

Nothing of it is imported here: only its files are found and packed.
"""

import functools
import gzip
import hashlib
import importlib.util
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loratui_protocol.errors import ExtraMissingError

OURS = ("loratui_agent", "loratui_protocol")
OTHERS = ("websockets", "msgpack", "cattrs", "attrs", "attr", "typing_extensions", "pynvml")
_LEFT_OUT = frozenset({"__pycache__", "tests"})
_NOT_NEEDED = {"websockets": frozenset({"legacy", "sync", "trio"})}
_DATA = {"loratui_agent": ("train/sd15", "train/sdxl")}
"""Folders whose every file travels: what a base model in a single file is read with."""
_NAME_CHARS = 12
_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Bundle:
    """An archive (tar.gz) of Python packages; ``name`` is the beginning of the hash of what they hold."""

    name: str
    content: bytes
    num_files: int


@functools.cache
def bundle() -> Bundle:
    """Return the bundle of this installation. The same files always give the same name and the same bytes.

    Raises:
        ExtraMissingError: a package that belongs in it is not installed.
    """
    files = _files()
    return Bundle(bundle_name(), _archive(files), len(files))


@functools.cache
def bundle_name() -> str:
    """Return the bundle's name without packing it; errors as in ``bundle``."""
    hasher = hashlib.sha256()
    for name, content in sorted(_files().items()):
        hasher.update(f"{name} {len(content)}\n".encode())
        hasher.update(content)
    return hasher.hexdigest()[:_NAME_CHARS]


@functools.cache
def _files() -> dict[str, bytes]:
    # Read once: a name must belong to the very content that travels, should an upgrade replace files meanwhile.
    return {name: path.read_bytes() for package in (*OURS, *OTHERS) for name, path in _sources(package)}


def _sources(package: str) -> Iterator[tuple[str, Path]]:
    """Yield (name in the archive, file) of a package or module."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ExtraMissingError(
            f"{package} is not installed: without it no agent can be sent to another machine",
            fix="install loratui again",
            code="extra.bundle",
        )
    if spec.submodule_search_locations is None:
        yield f"{package}.py", Path(spec.origin)
        return
    root = Path(spec.origin).parent
    left_out = _LEFT_OUT | _NOT_NEEDED.get(package, frozenset())
    data = [each for folder in _DATA.get(package, ()) for each in (root / folder).rglob("*") if each.is_file()]
    for path in (*root.rglob("*.py"), *(each for each in data if each.suffix != ".py")):
        name = path.relative_to(root)
        if left_out.isdisjoint(name.parts):
            yield f"{package}/{name.as_posix()}", path


def _archive(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    # No times, owners or modes of this machine: they would make another archive of the same content.
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=_LEVEL, mtime=0, filename="") as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()
