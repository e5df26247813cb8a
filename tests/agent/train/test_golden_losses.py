"""A training goes as it always went: a change of what is learned is seen, and is then meant."""

import json
from pathlib import Path

import pytest

from support.golden_losses import CURVES, FILE, curve, write_inputs

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

_TOLERANCE = 1e-4
"""One thread or two, SSE4, AVX2 or AVX-512: they differ by 2e-6 at most. A learning rate 5 % higher is 5e-3 off."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("name", CURVES)
def test_losses_and_gradient_norms_are_as_they_were(inputs: Path, name: str):
    expected = json.loads(FILE.read_text("utf-8"))[name]
    given = curve(inputs, name)
    assert len(given) == len(expected)
    off = [
        f"step {step}: {what} {now:.7g} was {was:.7g}"
        for step, (one, other) in enumerate(zip(given, expected, strict=True), 1)
        for what, now, was in zip(("loss", "gradient norm"), one, other, strict=True)
        if abs(now - was) > _TOLERANCE * abs(was)
    ]
    assert not off, f"what {name} learns has changed; if that is meant, see support.golden_losses: {'; '.join(off[:4])}"
