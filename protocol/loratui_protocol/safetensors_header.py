"""The header of a safetensors file: which tensors it holds, read strictly and without touching their bytes."""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui_protocol.errors import ModelError
from loratui_protocol.harmless import MAX_INT

MAX_HEADER_BYTES = 64 << 20
"""The format allows 100 MB; a checkpoint's header has 0.3 MB, and merges carry a few MB of notes."""
PICKLED_SUFFIXES = frozenset({".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle"})
LENGTH_BYTES = 8
"""In front of the header, its length."""
_NUM_BITS = {
    **dict.fromkeys(("F64", "I64", "U64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "I8", "U8", "BOOL"), 8),
}
_SCALARS = {"F64": "<d", "F32": "<f", "F16": "<e", "BF16": "<f", "I64": "<q", "I32": "<i"}
_MOST_AXES = 16
_AGAIN = "download the file again"


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor of the file; ``dtype`` is the format's own word ("F16")."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """What a safetensors file says of itself."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]


def read_header(path: Path) -> Header:
    """Return the header of the file, whose size must be exactly what the header says.

    Raises:
        ModelError: it can't be read (``model.unreadable``), holds pickled data (``model.pickle``), is cut off
            (``model.truncated``) or is no safetensors file (``model.format``).
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            start = file.read(64)
            if path.suffix.lower() in PICKLED_SUFFIXES:
                raise _called_pickle(path, start, size)
            length = header_length(path, start, size)
            file.seek(LENGTH_BYTES)
            text = file.read(length)
    except OSError as error:
        raise ModelError(
            f"{path} can't be read ({error})", fix="check the file's permissions", code="model.unreadable"
        ) from error
    return parse_header(path, text, size - LENGTH_BYTES - length)


def read_scalars(path: Path) -> dict[str, float]:
    """Return every tensor of one element of a file whose header ``read_header`` has found to be sound.

    Raises:
        ModelError: the file can't be read, or is no such file any more.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            content = json.loads(file.read(min(length, MAX_HEADER_BYTES)))
            content.pop("__metadata__", None)
            found = {}
            for name, entry in content.items():
                dtype = entry.get("dtype")
                if dtype in _SCALARS and math.prod(entry["shape"]) == 1:
                    file.seek(LENGTH_BYTES + length + entry["data_offsets"][0])
                    found[name] = _number(dtype, file.read(_NUM_BITS[dtype] // 8))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise _damaged(path, "it changes while it is read") from error
    return found


def read_spans(path: Path) -> dict[str, tuple[int, int]]:
    """Return where in the file each tensor's bytes begin and end; ``read_header`` has found its header to be sound.

    Raises:
        ModelError: the file can't be read, or is no such file any more.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            content = json.loads(file.read(min(length, MAX_HEADER_BYTES)))
        content.pop("__metadata__", None)
        first = LENGTH_BYTES + length
        return {
            name: (first + entry["data_offsets"][0], first + entry["data_offsets"][1])
            for name, entry in content.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise _damaged(path, "it changes while it is read") from error


def _number(dtype: str, content: bytes) -> float:
    # bfloat16 is the upper half of a float.
    return float(struct.unpack(_SCALARS[dtype], bytes(2) + content if dtype == "BF16" else content)[0])


def header_length(name: Path | str, start: bytes, size: int) -> int:
    """Return how long the header is, from the first bytes (64 are enough) of a file of this size.

    Raises:
        ModelError: it is something else, or cut off; codes as in ``read_header``. ``name`` is for the error.
    """
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if len(start) < LENGTH_BYTES + 2 or start[LENGTH_BYTES : LENGTH_BYTES + 1] != b"{":
        raise _no_safetensors(name, start, size)
    if length > MAX_HEADER_BYTES:
        raise _damaged(name, f"its header would have {length} bytes")
    if LENGTH_BYTES + length > size:
        raise _truncated(name, size, LENGTH_BYTES + length)
    return length


def parse_header(path: Path | str, text: bytes, num_data_bytes: int | None) -> Header:
    """Return what a header says of the bytes that follow it; None: nobody says how many these are.

    Raises:
        ModelError: it is damaged, or they are too few (``model.truncated``). ``path`` is the file's, for the error.
    """
    try:
        content = json.loads(text, object_pairs_hook=_once)
    except _TwiceError as error:
        raise _damaged(path, f"its header says twice what {str(error)[:80]!r} is") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "its header is no JSON") from error
    if not isinstance(content, dict):
        raise _damaged(path, "its header is no table")
    metadata = content.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _damaged(path, "its notes are not text")
    tensors: dict[str, TensorInfo] = {}
    spans: list[tuple[int, int]] = []
    for name, entry in content.items():
        tensors[name], span = _tensor(path, name, entry)
        spans.append(span)
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            raise _damaged(path, "its tensors overlap or leave gaps")
        end = stop
    if num_data_bytes is not None and end > num_data_bytes:
        raise _truncated(path, num_data_bytes, end)
    if num_data_bytes is not None and end < num_data_bytes:
        raise _damaged(path, f"{num_data_bytes - end} bytes at its end belong to no tensor")
    return Header(tensors, metadata)


class _TwiceError(ValueError):
    """A name that a table has twice: which of both counts would be up to the reader."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))
    return table


def _tensor(path: Path | str, name: str, entry: Any) -> tuple[TensorInfo, tuple[int, int]]:
    """Return a tensor and where its bytes lie."""
    try:
        dtype, shape, (start, stop) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise _damaged(path, f"it does not say what {name[:80]!r} is") from error
    numbers = (start, stop, *shape)
    # Before anything is multiplied: of numbers of any length that takes minutes.
    if len(shape) > _MOST_AXES or any(type(number) is not int or not 0 <= number <= MAX_INT for number in numbers):
        raise _damaged(path, f"it does not say what {name[:80]!r} is")
    if not isinstance(dtype, str) or stop < start:
        raise _damaged(path, f"it does not say what {name[:80]!r} is")
    # Types that are new to this list are for the library that loads the file to judge.
    if dtype in _NUM_BITS and math.prod(shape) * _NUM_BITS[dtype] != (stop - start) * 8:
        raise _damaged(path, f"{name[:80]!r} has another size than its shape")
    return TensorInfo(dtype, shape), (start, stop)


def _no_safetensors(path: Path | str, start: bytes, size: int) -> ModelError:
    """Say what the file is instead, as far as its first bytes tell."""
    # A zip archive, or a pickle of protocol 2 to 5: what torch writes.
    if start.startswith(b"PK\x03\x04") or (start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")):
        return _pickled(path)
    if start.lstrip()[:1] == b"<":
        return ModelError(
            f"{path} is a web page, not a model: the site wanted a login or said that there is nothing",
            fix="log in to the site in a browser, download the file there, and give its path",
            code="model.format",
        )
    if start.startswith(b"version https://git-lfs"):
        return ModelError(
            f"{path} is a pointer of git-lfs, not the model itself", fix="run git lfs pull", code="model.format"
        )
    what = "is empty" if not size else "is no safetensors file"
    return ModelError(f"{path} {what}", fix=_AGAIN, code="model.format")


def _pickled(path: Path | str) -> ModelError:
    return ModelError(
        f"{path} is a pickle: loading one runs whatever code is in it, so it is never loaded",
        fix="download the .safetensors version of the model",
        code="model.pickle",
    )


def _called_pickle(path: Path, start: bytes, size: int) -> ModelError:
    """Say what a file is that has a pickle's name: other programs go by that."""
    try:
        header_length(path, start, size)
    except ModelError:
        return _pickled(path)
    return ModelError(
        f"{path} has the name of a pickle, and other programs would load it as one; it is a safetensors file",
        fix=f"rename it to {path.with_suffix('.safetensors').name}",
        code="model.pickle",
    )


def _truncated(path: Path | str, size: int, wanted: int) -> ModelError:
    return ModelError(
        f"{path} is cut off: {size:,} bytes are there of {wanted:,}",
        fix=f"{_AGAIN}: the download did not end",
        code="model.truncated",
    )


def _damaged(path: Path | str, why: str) -> ModelError:
    return ModelError(f"{path} is a damaged safetensors file: {why}", fix=_AGAIN, code="model.format")
