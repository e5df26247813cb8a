"""Checks that a file is a safetensors file and nothing else, reading its header alone."""

import json
import math
from pathlib import Path
from typing import Any

from loratui_protocol.errors import ProtocolError

MAX_HEADER_BYTES = 10_000_000
_MAX_DIMS = 16
_MAX_NUMBER = 2**63 - 1
"""Beyond these the product of a shape takes as long as a host likes."""
_BYTES_OF = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip


def check_safetensors(path: Path) -> None:
    """Return if the header describes exactly the bytes that follow it.

    Raises:
        ProtocolError: it does not: the file may be truncated, or something else under a trusted name.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        if size < 10 or not 2 <= header_size <= min(MAX_HEADER_BYTES, size - 8):
            raise _refused(path, "its header has no possible size")
        try:
            header = json.loads(file.read(header_size))
        except (ValueError, RecursionError) as error:
            raise _refused(path, "its header is no JSON") from error
    try:
        spans = sorted(_span(tensor) for name, tensor in header.items() if name != "__metadata__")
        metadata = header.get("__metadata__", {}).items()
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        raise _refused(path, "its header describes no tensors") from error
    if not all(isinstance(value, str) for _, value in metadata):
        raise _refused(path, "its metadata is no text")
    end = 0
    for first, last in spans:
        if first != end:
            raise _refused(path, "its tensors overlap or leave gaps")
        end = last
    if end != size - 8 - header_size:
        raise _refused(path, "it is shorter or longer than its header says")


def _span(tensor: dict[str, Any]) -> tuple[int, int]:
    first, last = tensor["data_offsets"]
    shape = tensor["shape"]
    if len(shape) > _MAX_DIMS:
        raise ValueError("no tensor has so many dimensions")
    if not all(type(number) is int and 0 <= number <= _MAX_NUMBER for number in (first, last, *shape)):
        raise ValueError("offsets and sizes are counts")
    if last - first != math.prod(shape) * _BYTES_OF[tensor["dtype"]]:
        raise ValueError("a tensor's bytes differ from its shape")
    return first, last


def _refused(path: Path, why: str) -> ProtocolError:
    return ProtocolError(
        f"{path.name} is no safetensors file: {why}; it was not kept",
        fix="don't trust this host: its file is not what it claims to be",
        code="artifact.not_safetensors",
    )
