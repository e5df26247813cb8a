"""A tagger of a few hundred bytes, made like SmilingWolf's: NHWC in BGR from 0 to 255 goes in, probabilities come out.

It looks at the average colour alone. ONNX files are protobuf, of which so little is needed that it is written here.
"""

import struct
from collections.abc import Sequence
from pathlib import Path

SIDE_PX = 8
ROWS = (
    ("general", 9, (0.0, 0.0, 0.0), 9.0),
    # Logits of blue, green and red, and what is added.
    ("red_background", 0, (-1 / 64, -1 / 64, 1 / 32), -2.0),
    ("green_background", 0, (-1 / 64, 1 / 32, -1 / 64), -2.0),
    ("blue_background", 0, (1 / 32, -1 / 64, -1 / 64), -2.0),
    (">_<", 0, (-1 / 64, -1 / 64, 1 / 32), -5.0),
    ("little_red_riding_hood", 4, (-1 / 128, -1 / 128, 1 / 64), -2.0),
)
"""Name and category of each tag, and how its probability depends on the average colour."""
_FLOAT, _INT, _INTS = 1, 2, 7


def write_tagger(folder: Path, rows: Sequence[tuple[str, int, tuple[float, ...], float]] = ROWS) -> Path:
    """Write the model and its list of tags into a folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(tagger(rows))
    lines = [f"{number},{name},{category},100" for number, (name, category, _, _) in enumerate(rows)]
    (folder / "selected_tags.csv").write_text("\n".join(["tag_id,name,category,count", *lines, ""]), "utf-8")
    return folder


def tagger(rows: Sequence[tuple[str, int, tuple[float, ...], float]] = ROWS, *, last: str = "Sigmoid") -> bytes:
    """Return the model; ``last`` is what is done to the logits."""
    weights = [row[2][channel] for channel in range(3) for row in rows]
    nodes = (
        _node("ReduceMean", ["input"], "mean", _attribute_ints("axes", [1, 2]), _attribute_int("keepdims", 0)),
        _node("Gemm", ["mean", "weights", "added"], "logits"),
        _node(last, ["logits"], "output"),
    )
    graph = b"".join(
        (
            *(_field(1, node) for node in nodes),
            _field(2, b"tagger"),
            _field(5, _tensor("weights", [3, len(rows)], weights)),
            _field(5, _tensor("added", [len(rows)], [row[3] for row in rows])),
            _field(11, _value("input", ["batch", SIDE_PX, SIDE_PX, 3])),
            _field(12, _value("output", ["batch", len(rows)])),
        )
    )
    return _number(1, 8) + _field(7, graph) + _field(8, _field(1, b"") + _number(2, 13))


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _node(kind: str, inputs: list[str], output: str, *attributes: bytes) -> bytes:
    named = b"".join(_field(1, name.encode()) for name in inputs) + _field(2, output.encode())
    return named + _field(4, kind.encode()) + b"".join(_field(5, each) for each in attributes)


def _attribute_int(name: str, value: int) -> bytes:
    return _field(1, name.encode()) + _number(3, value) + _number(20, _INT)


def _attribute_ints(name: str, values: list[int]) -> bytes:
    return _field(1, name.encode()) + b"".join(_number(8, value) for value in values) + _number(20, _INTS)


def _tensor(name: str, shape: list[int], values: list[float]) -> bytes:
    content = struct.pack(f"<{len(values)}f", *values)
    return (
        b"".join(_number(1, size) for size in shape)
        + _number(2, _FLOAT)
        + _field(8, name.encode())
        + _field(9, content)
    )


def _value(name: str, shape: list[int | str]) -> bytes:
    sizes = (_number(1, size) if isinstance(size, int) else _field(2, size.encode()) for size in shape)
    tensor = _number(1, _FLOAT) + _field(2, b"".join(_field(1, size) for size in sizes))
    return _field(1, name.encode()) + _field(2, _field(1, tensor))
