"""A file's header is read strictly: what is cut off, damaged or something else is named, and no weight is read."""

import contextlib
import io
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loratui_protocol import safetensors_header
from loratui_protocol.errors import ModelError
from loratui_protocol.safetensors_header import TensorInfo, read_header, read_scalars
from support.checkpoint_headers import header_bytes, write_header

SMALL = {"a": (2, 3), "b": (0,), "c": ()}


def code_of(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_header(path)
    assert str(path) in caught.value.what
    assert caught.value.fix
    return caught.value.code


def with_header(path: Path, header: object, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_names_types_and_shapes_are_read(tmp_path: Path):
    header = read_header(write_header(tmp_path / "x.safetensors", SMALL, "F32", {"note": "1"}))
    assert header.tensors == {"a": TensorInfo("F32", (2, 3)), "b": TensorInfo("F32", (0,)), "c": TensorInfo("F32", ())}
    assert header.metadata == {"note": "1"}


def test_a_file_that_is_cut_off_anywhere_says_so(tmp_path: Path):
    whole = write_header(tmp_path / "whole.safetensors", SMALL).read_bytes()
    num_header_bytes = len(header_bytes(SMALL))
    path = tmp_path / "x.safetensors"
    for length in (num_header_bytes // 2, num_header_bytes, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert code_of(path) == "model.truncated"


def test_pickles_are_named_as_such_whatever_they_are_called(tmp_path: Path):
    path = tmp_path / "x.safetensors"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
    for content in (packed.getvalue(), b"\x80\x02}q\x00" + bytes(100), b"\x80\x04\x95" + bytes(100)):
        path.write_bytes(content)
        assert code_of(path) == "model.pickle"
    for suffix in (".ckpt", ".PT", ".bin"):
        assert code_of(write_header(tmp_path / f"x{suffix}", SMALL)) == "model.pickle"


def test_a_header_whose_length_looks_like_a_pickle_is_no_pickle(tmp_path: Path):
    spare = 0x0280 - len(json.dumps({"__metadata__": {"note": ""}}))
    path = with_header(tmp_path / "x.safetensors", {"__metadata__": {"note": "n" * spare}})
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert read_header(path).tensors == {}


@pytest.mark.parametrize(
    "content",
    [b"", b"short", b"<!DOCTYPE html><html>Log in</html>", b"version https://git-lfs.github.com/spec/v1\n", bytes(99)],
    ids=["empty", "short", "web-page", "git-lfs", "zeros"],
)
def test_what_is_no_safetensors_file_is_said(tmp_path: Path, content: bytes):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    assert code_of(path) == "model.format"


@pytest.mark.parametrize(
    ("header", "num_data_bytes"),
    [
        (b"{no json", 0),
        (b'{"a":' * 100_000, 0),
        ({"a": 7}, 0),
        ({"a": {"dtype": "F16", "shape": [1]}}, 2),
        ({"a": {"dtype": "F16", "shape": [-1], "data_offsets": [0, 2]}}, 2),
        ({"a": {"dtype": "F16", "shape": [True], "data_offsets": [0, 2]}}, 2),
        ({"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 2]}}, 2),
        ({"a": {"dtype": "F16", "shape": [1], "data_offsets": [2, 4]}}, 4),
        ({"a": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}}, 3),
        ({"__metadata__": {"note": 1}}, 0),
        ({"a": {"dtype": "F16", "shape": [10**400] * 9, "data_offsets": [0, 2]}}, 2),
        ({"a": {"dtype": "F16", "shape": [1] * 17, "data_offsets": [0, 2]}}, 2),
        (
            b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}',
            1,
        ),
        (b'{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}', 1),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(tmp_path: Path, header: object, num_data_bytes: int):
    assert code_of(with_header(tmp_path / "x.safetensors", header, bytes(num_data_bytes))) == "model.format"


def test_numbers_of_any_length_are_not_multiplied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(safetensors_header, "math", None)
    entry = {"dtype": "F16", "shape": [10**400] * 9, "data_offsets": [0, 2]}
    assert code_of(with_header(tmp_path / "x.safetensors", {"a": entry}, bytes(2))) == "model.format"


def test_notes_that_look_like_a_tensor_are_none(tmp_path: Path):
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    path = with_header(tmp_path / "x.safetensors", {"__metadata__": {"dtype": "F32"}, "a": entry}, bytes(4))
    assert read_header(path).metadata == {"dtype": "F32"}
    assert read_scalars(path) == {"a": 0.0}


def test_a_header_that_says_it_is_huge_is_not_read(tmp_path: Path):
    path = tmp_path / "x.safetensors"
    path.write_bytes((1 << 62).to_bytes(8, "little") + b"{}")
    assert code_of(path) == "model.format"


def test_a_file_that_is_not_there_is_an_error_of_ours(tmp_path: Path):
    assert code_of(tmp_path / "x.safetensors") == "model.unreadable"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=st.binary(max_size=60), data=st.binary(max_size=20), framed=st.booleans())
def test_no_bytes_do_more_than_being_refused(tmp_path: Path, header: bytes, data: bytes, framed: bool):
    path = tmp_path / "x.safetensors"
    path.write_bytes((len(header) + 1).to_bytes(8, "little") + b"{" + header + data if framed else header + data)
    with contextlib.suppress(ModelError):
        read_header(path)
