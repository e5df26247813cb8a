"""The norm of what a module adds is that of the whole product, which is never made."""

import math
from pathlib import Path

import numpy as np
import pytest

from loratui.preflight import lora_numbers
from loratui.preflight.lora_keys import keys_of
from loratui.preflight.lora_numbers import Measured, measure
from loratui_protocol.safetensors_header import read_header
from support.lora_files import write_file

NAME = "lora_unet_mid_block_attentions_0_proj_in"
ROUNDING = {"F32": 1e-6, "F16": 1e-3, "BF16": 1e-2}
RANDOM = np.random.default_rng(5)


def normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def measured(folder: Path, dtype: str = "F32", **roles: np.ndarray) -> Measured:
    """Return what is measured of a file with one module."""
    tensors = {f"{NAME}.{role.replace('__', '.')}": value for role, value in roles.items()}
    path = write_file(folder / "a.safetensors", tensors, dtype=dtype)
    header = read_header(path)
    [module] = measure(path, header, keys_of(header).modules)
    return module


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_a_loras_norm_is_that_of_its_product(tmp_path: Path, dtype: str):
    down, up = normal(4, 40), normal(30, 4)
    found = measured(tmp_path, dtype, lora_down__weight=down, lora_up__weight=up, alpha=np.array(2.0))
    assert found.norm == pytest.approx(np.linalg.norm(up @ down) * 2 / 4, rel=ROUNDING[dtype])
    assert (found.rank, found.alpha, found.is_sound, found.is_up_zero) == (4, 2.0, True, False)


def test_where_a_matrix_is_read_in_parts_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lora_numbers, "_CHUNK", 32)
    down, up = normal(4, 41), normal(29, 4)
    found = measured(tmp_path, lora_down__weight=down, lora_up__weight=up)
    assert found.norm == pytest.approx(np.linalg.norm(up @ down), rel=1e-6)


def test_a_convolution_with_a_third_matrix_is_summed_over_its_kernel(tmp_path: Path):
    down, mid, up = normal(3, 8, 1, 1), normal(3, 3, 3, 3), normal(10, 3, 1, 1)
    whole = np.einsum("oa,abhw,bi->oihw", up[:, :, 0, 0], mid, down[:, :, 0, 0])
    found = measured(tmp_path, lora_down__weight=down, lora_mid__weight=mid, lora_up__weight=up)
    assert found.norm == pytest.approx(np.linalg.norm(whole), rel=1e-6)


def test_a_small_loha_that_stands_for_a_product_of_minutes_is_not_measured(tmp_path: Path):
    a, b = normal(8192, 1), normal(1, 8192)
    found = measured(tmp_path, hada_w1_a=a, hada_w1_b=b, hada_w2_a=a, hada_w2_b=b)
    assert found.norm is None


def test_a_loha_is_a_product_number_by_number(tmp_path: Path):
    a, b, c, d = normal(20, 3), normal(3, 12), normal(20, 3), normal(3, 12)
    found = measured(tmp_path, hada_w1_a=a, hada_w1_b=b, hada_w2_a=c, hada_w2_b=d, alpha=np.array(1.5))
    assert found.norm == pytest.approx(np.linalg.norm((a @ b) * (c @ d)) / 2, rel=1e-6)


def test_a_loha_with_kernels_of_its_own_is_not_measured(tmp_path: Path):
    parts = {"hada_w1_a": normal(3, 20), "hada_w1_b": normal(3, 12), "hada_w2_a": normal(3, 20)}
    found = measured(tmp_path, **parts, hada_w2_b=normal(3, 12), hada_t1=normal(3, 3, 3, 3), hada_t2=normal(3, 3, 3, 3))
    assert (found.norm, found.is_broken) == (None, False)


def test_a_lokr_is_a_kronecker_product(tmp_path: Path):
    w1, a, b = normal(4, 6), normal(10, 2), normal(2, 5)
    found = measured(tmp_path, lokr_w1=w1, lokr_w2_a=a, lokr_w2_b=b, alpha=np.array(1.0))
    assert found.norm == pytest.approx(np.linalg.norm(np.kron(w1, a @ b)) / 2, rel=1e-6)


def test_a_lokr_of_two_whole_factors_heeds_no_alpha(tmp_path: Path):
    w1, w2 = normal(4, 6), normal(3, 5)
    found = measured(tmp_path, lokr_w1=w1, lokr_w2=w2, alpha=np.array(1.0))
    assert found.norm == pytest.approx(np.linalg.norm(np.kron(w1, w2)), rel=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_is_noticed(tmp_path: Path, bad: float):
    up = normal(30, 4)
    up[7, 1] = bad
    found = measured(tmp_path, lora_down__weight=normal(4, 40), lora_up__weight=up)
    assert not found.is_sound
    assert found.norm is not None
    assert math.isnan(found.norm)


def test_an_up_matrix_of_zeros_is_one_that_learned_nothing(tmp_path: Path):
    found = measured(tmp_path, lora_down__weight=normal(4, 40), lora_up__weight=np.zeros((30, 4), np.float32))
    assert (found.norm, found.is_up_zero) == (0.0, True)


def test_matrices_that_do_not_fit_are_broken(tmp_path: Path):
    assert measured(tmp_path, lora_down__weight=normal(4, 40), lora_up__weight=normal(30, 5)).is_broken
    assert measured(tmp_path, lora_down__weight=normal(4, 40)).is_broken
    assert measured(tmp_path, lora_down__weight=normal(4), lora_up__weight=normal(30, 4)).is_broken


def test_eight_bits_mean_what_the_formats_say():
    e4m3 = lora_numbers._widened(np.array([0x38, 0xB8, 0x7E, 0x01, 0x7F], np.uint8), "F8_E4M3")
    assert e4m3[:4].tolist() == [1.0, -1.0, 448.0, 2.0**-9]
    assert math.isnan(e4m3[4])
    assert lora_numbers._widened(np.array([0x3C, 0xC0], np.uint8), "F8_E5M2").tolist() == [1.0, -2.0]
