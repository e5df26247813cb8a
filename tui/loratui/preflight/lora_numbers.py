"""What a LoRA's numbers amount to: the norm of what each module adds, exactly, and what is no number at all.

The file is mapped, and a few MB of it are widened at a time: what is held doesn't grow with the file. No product of two
matrices as large as a layer's weight is held whole.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loratui.preflight.lora_keys import LoraModule
from loratui_protocol.safetensors_header import Header, read_scalars, read_spans

_CHUNK = 1 << 20
"""Numbers that are widened at once."""
_MOST_RANK = 2048
"""Beyond it what is counted with would take more than the matrices themselves."""
_MOST_WHOLE = 1 << 25
"""Numbers of a matrix that has to be widened whole: those of a LoHa of rank 128 have fewer."""
_RAW: Mapping[str, Any] = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "F8_E5M2": "u1",
    "F8_E4M3": "u1",
}
"""numpy's types for the file's bytes; of the last three it has none."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a module, at weight 1."""

    norm: float | None
    """Frobenius norm of what it adds to its layer's weight; None: not measured, NaN: it holds what is no number."""
    is_sound: bool
    """It holds neither NaN nor infinity."""
    rank: int | None
    alpha: float | None
    """None: the file says none, and loaders take the rank."""
    is_up_zero: bool = False
    """The matrix that a training begins with as zeros is zeros still."""
    is_broken: bool = False
    """Its matrices don't fit each other, or one is missing."""


def measure(path: Path, header: Header, modules: tuple[LoraModule, ...]) -> list[Measured]:
    """Return what each module amounts to.

    Raises:
        ModelError: the file changes while it is read.
    """
    if not modules:
        return []
    file = _File(path, header)
    return [_measured(file, module) for module in modules]


class _File:
    """A mapped file: its tensors as arrays of raw numbers, nothing copied."""

    def __init__(self, path: Path, header: Header) -> None:
        self.tensors = header.tensors
        self.scalars = read_scalars(path)
        self._spans = read_spans(path)
        self._bytes = np.memmap(path, np.uint8, "r")

    def raw(self, key: str) -> NDArray[Any]:
        (start, stop), info = self._spans[key], self.tensors[key]
        raw: NDArray[Any] = self._bytes[start:stop].view(_RAW[info.dtype]).reshape(info.shape)
        return raw

    def chunks(self, key: str) -> Iterator[Matrix]:
        flat = self.raw(key).reshape(-1)
        for first in range(0, flat.size, _CHUNK):
            yield _widened(flat[first : first + _CHUNK], self.tensors[key].dtype)

    def is_readable(self, key: str) -> bool:
        return self.tensors[key].dtype in _RAW

    def is_zero(self, key: str) -> bool:
        return not any(chunk.any() for chunk in self.chunks(key))

    def is_finite(self, key: str) -> bool:
        return all(np.isfinite(chunk).all() for chunk in self.chunks(key))

    def whole(self, key: str) -> Matrix:
        """Return a tensor as a matrix, its first axis against all others."""
        raw = self.raw(key)
        return _widened(raw.reshape(raw.shape[0], -1), self.tensors[key].dtype)

    def outer(self, key: str) -> Matrix:
        """Return M M^T of a tensor whose first axis is short."""
        raw, dtype = self.raw(key), self.tensors[key].dtype
        matrix = raw.reshape(raw.shape[0], -1)
        step = max(1, _CHUNK // max(1, matrix.shape[0]))
        total = np.zeros((matrix.shape[0], matrix.shape[0]))
        for first in range(0, matrix.shape[1], step):
            part = _widened(matrix[:, first : first + step], dtype)
            total += part @ part.T
        return total

    def inner(self, key: str) -> Matrix:
        """Return M^T M of a tensor whose second axis is short."""
        raw, dtype = self.raw(key), self.tensors[key].dtype
        matrix = raw.reshape(raw.shape[0], -1)
        step = max(1, _CHUNK // max(1, matrix.shape[1]))
        total = np.zeros((matrix.shape[1], matrix.shape[1]))
        for first in range(0, matrix.shape[0], step):
            part = _widened(matrix[first : first + step], dtype)
            total += part.T @ part
        return total

    def squared(self, key: str) -> float:
        return float(sum(np.vdot(chunk, chunk) for chunk in self.chunks(key)))


def _widened(raw: NDArray[Any], dtype: str) -> Matrix:
    if dtype == "BF16":  # the upper half of a float
        return (raw.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    if dtype == "F8_E5M2":  # the upper half of a half
        return (raw.astype(np.uint16) << 8).view(np.float16).astype(np.float64)
    if dtype == "F8_E4M3":
        return np.asarray(_E4M3[raw], np.float64)
    return raw.astype(np.float64)


def _e4m3() -> Matrix:
    """Return what each byte stands for: a sign, four bits of exponent, three of fraction, and no infinity."""
    number = np.arange(256)
    sign, exponent, fraction = np.where(number < 128, 1.0, -1.0), (number >> 3) & 15, (number & 7) / 8
    value = np.where(exponent > 0, (1 + fraction) * 2.0 ** (exponent - 7.0), fraction * 2.0**-6)
    value[(number & 127) == 127] = np.nan
    return np.asarray(sign * value, np.float64)


_E4M3 = _e4m3()


def _measured(file: _File, module: LoraModule) -> Measured:
    keys = module.tensors
    alpha = file.scalars.get(keys["alpha"]) if "alpha" in keys else None
    numbers = {role: key for role, key in keys.items() if role != "alpha"}
    rank = _rank(file, keys)
    if not all(file.is_readable(key) for key in numbers.values()):
        return Measured(None, True, rank, alpha)
    is_sound = all(file.is_finite(key) for key in numbers.values()) and (alpha is None or bool(np.isfinite(alpha)))
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            squared = _squared(file, keys)
        except (KeyError, ValueError, IndexError):
            return Measured(None, is_sound, rank, alpha, is_broken=True)
        scale = alpha / rank if alpha is not None and rank else 1.0
        norm = None if squared is None else float(np.sqrt(max(squared, 0.0)) * abs(scale))
    begun = next((role for role in ("up", "hada_w2_a", "lokr_w2", "lokr_w2_b", "diff") if role in keys), None)
    is_up_zero = begun is not None and file.is_zero(keys[begun])
    return Measured(norm if is_sound else float("nan"), is_sound, rank, alpha, is_up_zero)


def _rank(file: _File, keys: Mapping[str, str]) -> int | None:
    """Return what alpha is divided by; None: it has no effect."""
    for role, axis in (("down", 0), ("hada_w1_b", 0), ("lokr_w2_b", 0), ("lokr_w1_b", 0)):
        shape = file.tensors[keys[role]].shape if role in keys else ()
        if len(shape) > axis and shape[axis]:
            return shape[axis]
    return None


def _squared(file: _File, keys: Mapping[str, str]) -> float | None:
    """Return the squared norm before alpha; None: it can't be measured from the file alone, or not in small memory.

    Raises:
        KeyError, ValueError, IndexError: a matrix is missing, or two don't fit.
    """
    if "up" in keys or "down" in keys:
        return _product(file, keys["up"], keys["down"], keys.get("mid"))
    if any(role.startswith("hada_") for role in keys):
        return None if "hada_t1" in keys or "hada_t2" in keys else _hadamard(file, keys)
    if any(role.startswith("lokr_") for role in keys):
        parts = [_kronecker(file, keys, which) for which in ("lokr_w1", "lokr_w2")]
        return None if parts[0] is None or parts[1] is None else parts[0] * parts[1]
    whole = next((role for role in ("diff", "w_norm", "diff_b", "b_norm") if role in keys), None)
    # What OFT turns is the base model's weight, which is not here.
    return file.squared(keys[whole]) if whole else None


def _product(file: _File, up: str, down: str, mid: str | None, *, is_up_turned: bool = False) -> float | None:
    """Return |U D|^2 = tr(U^T U D D^T): two matrices of rank x rank in place of one as large as the layer's."""
    shapes = file.tensors[up].shape, file.tensors[down].shape
    if len(shapes[0]) < 2 or len(shapes[1]) < 2:
        raise ValueError("a module's matrices have two axes")
    if shapes[1][0] > _MOST_RANK or shapes[0][0 if is_up_turned else 1] > _MOST_RANK:
        return None
    of_up, of_down = file.outer(up) if is_up_turned else file.inner(up), file.outer(down)
    if mid is None:
        return float((of_up * of_down).sum())
    raw = file.raw(mid)
    if raw.size > _MOST_WHOLE:
        return None
    middle = _widened(raw.reshape(*raw.shape[:2], -1), file.tensors[mid].dtype)
    # Once for each place of the kernel.
    return float(sum((of_up * (each @ of_down @ each.T)).sum() for each in np.moveaxis(middle, 2, 0)))


def _hadamard(file: _File, keys: Mapping[str, str]) -> float | None:
    """Return |(A B) o (C D)|^2, some rows at a time."""
    names = [keys[f"hada_w{which}"] for which in ("1_a", "1_b", "2_a", "2_b")]
    if any(file.raw(name).size > _MOST_WHOLE for name in names):
        return None
    a, b, c, d = map(file.whole, names)
    if a.shape[0] != c.shape[0] or b.shape[1] != d.shape[1]:
        raise ValueError("the four matrices don't fit each other")
    # A small file may stand for a product that takes minutes.
    if a.shape[0] * b.shape[1] > _MOST_WHOLE or max(a.shape[1], c.shape[1]) > _MOST_RANK:
        return None
    step = max(1, _CHUNK // max(1, b.shape[1]))
    total = 0.0
    for first in range(0, a.shape[0], step):
        rows = slice(first, first + step)
        part = (a[rows] @ b) * (c[rows] @ d)
        total += float(np.vdot(part, part))
    return total


def _kronecker(file: _File, keys: Mapping[str, str], which: str) -> float | None:
    """Return the squared norm of one factor: that of a Kronecker product is the product of both."""
    if which in keys:
        return file.squared(keys[which])
    mid = keys.get("lokr_t2") if which == "lokr_w2" else None
    # With a third matrix LyCORIS keeps the first one turned.
    return _product(file, keys[f"{which}_a"], keys[f"{which}_b"], mid, is_up_turned=mid is not None)
