"""A base model's folder that holds another kind of model, or something else under the names of weights."""

import json
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


@pytest.mark.parametrize(
    ("part", "changes", "said"),
    [
        ("unet/config.json", {"in_channels": 9}, "an inpainting model"),
        ("unet/config.json", {"cross_attention_dim": 1024}, "a Stable Diffusion 2.x model"),
        ("unet/config.json", {"cross_attention_dim": 1280}, "an SDXL refiner"),
        ("scheduler/scheduler_config.json", {"_class_name": "EDMDPMSolverMultistepScheduler"}, "EDM's way"),
        ("text_encoder_3/config.json", {}, "a Stable Diffusion 3 model"),
        ("transformer/config.json", {}, "a model with a transformer in place of a UNet"),
    ],
)
def test_another_kind_of_model_is_refused_by_name(tmp_path: Path, part: str, changes: dict[str, object], said: str):
    model = tmp_path / "model"
    shutil.copytree(resolve_model("builtin:tiny"), model)
    path = model / part
    path.parent.mkdir(exist_ok=True)
    config = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**config, **changes}), "utf-8")
    with pytest.raises(ModelError, match=said) as refused:
        load_models(str(model), torch.float32)
    assert refused.value.code == "model.unsupported"
