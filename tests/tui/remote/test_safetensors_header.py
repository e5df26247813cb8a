import json
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from loratui.remote.safetensors_header import check_safetensors
from loratui_protocol.errors import ProtocolError
from support.files import safetensors

TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def packed(header: Any, num_bytes: int = 8) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(num_bytes)


def check(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    check_safetensors(path)


@pytest.mark.parametrize(
    "content",
    [
        safetensors(),
        packed({}, 0),
        packed({"a": TENSOR}),
        packed({"b": {**TENSOR, "data_offsets": [8, 16]}, "a": TENSOR}, 16),
        packed({"scalar": {"dtype": "F16", "shape": [], "data_offsets": [0, 2]}}, 2),
    ],
)
def test_header_that_describes_the_file_is_fine(tmp_path: Path, content: bytes) -> None:
    check(tmp_path, content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04\x95 a pickle, said to be safetensors",
        b"PK\x03\x04 a zip as torch.save writes it",
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 11_000_000) + b"{}" + bytes(11_000_000),
        packed(b"{broken"),
        packed(b"[" * 100_000),
        packed([1]),
        packed({"a": 1}),
        packed({"a": {**TENSOR, "dtype": "object"}}),
        packed({"a": {**TENSOR, "shape": [3]}}),
        packed({"a": {**TENSOR, "shape": [-2]}}),
        packed({"a": {**TENSOR, "shape": [1] * 17}}),
        packed({"a": {**TENSOR, "shape": [2**63, 0], "data_offsets": [0, 0]}}, 0),
        packed({"a": {**TENSOR, "shape": [10**4000] * 16}}),
        packed({"a": {**TENSOR, "shape": [True, 2]}}),
        packed({"a": {**TENSOR, "data_offsets": [8, 16]}}),
        packed({"a": {**TENSOR, "data_offsets": [0.0, 8.0]}}),
        packed({"a": {"dtype": "F32"}}),
        packed({"a": TENSOR, "b": TENSOR}),
        packed({"a": TENSOR}, 7),
        packed({"a": TENSOR}, 9),
        packed({"a": TENSOR, "__metadata__": {"x": 1}}),
        packed({"a": TENSOR, "__metadata__": []}),
    ],
)
def test_everything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"artifact\.not_safetensors"):
        check(tmp_path, content)


def test_shape_made_to_be_multiplied_for_hours_is_refused_at_once(tmp_path: Path) -> None:
    began_s = time.process_time()
    with pytest.raises(ProtocolError, match=r"artifact\.not_safetensors"):
        check(tmp_path, packed({"a": {**TENSOR, "shape": [10**4000 + 1] * 2_000}}))
    assert time.process_time() - began_s < 2
