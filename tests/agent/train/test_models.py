"""A base model's folder that holds something else under the names of weights."""

import shutil
from pathlib import Path

import pytest
import torch

from loratui_agent.model_path import resolve_model
from loratui_agent.train.models import load_models
from loratui_protocol.errors import ModelError
from support.pickles import detonate, live_pickles

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("kind", ["raw", "zip"])
@pytest.mark.parametrize(
    "weights",
    [
        "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.bin",
        "vae/diffusion_pytorch_model.bin",
        "text_encoder/model.safetensors",
        "text_encoder/pytorch_model.bin",
    ],
)
def test_live_code_in_the_place_of_weights_is_refused_and_never_runs(tmp_path: Path, weights: str, kind: str) -> None:
    marker = tmp_path / "it-ran"
    model = tmp_path / "model"
    shutil.copytree(resolve_model("builtin:tiny"), model)
    for path in (model / weights).parent.glob("*.safetensors"):
        path.unlink()
    (model / weights).write_bytes(live_pickles(marker)[kind])
    with pytest.raises(ModelError) as refused:
        load_models(str(model), torch.float32)
    assert refused.value.code == "model.incomplete"
    assert not marker.exists()
    detonate(model / weights)
    assert marker.exists(), "the file is what it should be: live"
