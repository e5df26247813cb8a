"""A diffusers folder whose parts are right is still refused for what its configs say, by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from loratui_protocol.architecture import SD1, SDXL, Architecture
from loratui_protocol.errors import ModelError
from loratui_protocol.single_file import local_architecture

PIPELINES = {SD1: "StableDiffusionPipeline", SDXL: "StableDiffusionXLPipeline"}


def folder(path: Path, architecture: Architecture, **configs: Any) -> Path:
    """Write the configs of a model of this kind, with these changes."""
    for part in architecture.parts:
        (path / part).mkdir(parents=True)
    usual = {"_class_name": "UNet2DConditionModel", "in_channels": 4, "cross_attention_dim": architecture.text_width}
    unet = {**usual, **configs.get("unet", {})}
    scheduler = {"_class_name": "PNDMScheduler", **configs.get("scheduler", {})}
    index = {"_class_name": PIPELINES[architecture], **configs.get("index", {})}
    for name, content in (("unet/config", unet), ("scheduler/scheduler_config", scheduler), ("model_index", index)):
        (path / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return path


def refusal(path: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        local_architecture(str(path))
    assert str(path) in caught.value.what
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize("architecture", [SD1, SDXL], ids=lambda each: each.name)
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_model_that_can_be_trained_is_known_by_its_folder(
    tmp_path: Path, architecture: Architecture, prediction: str
):
    path = folder(tmp_path / "x", architecture, scheduler={"prediction_type": prediction})
    assert local_architecture(str(path)) is architecture


@pytest.mark.parametrize(
    ("architecture", "configs", "said"),
    [
        (SD1, {"unet": {"cross_attention_dim": 1024}}, "a Stable Diffusion 2.x model"),
        (SD1, {"unet": {"in_channels": 9}}, "an inpainting model: its UNet takes 9 channels"),
        (SDXL, {"unet": {"in_channels": 9}}, "an inpainting model"),
        (SD1, {"unet": {"in_channels": 8}}, "an InstructPix2Pix model"),
        (SD1, {"unet": {"in_channels": 3}}, "no plain model"),
        (SD1, {"unet": {"_class_name": "UNetSpatioTemporalConditionModel"}}, "a model with another UNet"),
        (SD1, {"unet": {"encoder_hid_dim_type": "text_proj"}}, "a model that is told more than text"),
        (SDXL, {"unet": {"addition_embed_type": "text_image"}}, "a model that is told more than text"),
        (SDXL, {"scheduler": {"_class_name": "EDMDPMSolverMultistepScheduler"}}, "trained in EDM's way"),
        (SD1, {"scheduler": {"_class_name": "FlowMatchEulerDiscreteScheduler"}}, "trained by flow matching"),
        (SD1, {"scheduler": {"prediction_type": "sample"}}, "predicts sample, neither epsilon nor v"),
        (SD1, {"index": {"_class_name": "KolorsPipeline"}}, "a Kolors model"),
        (SD1, {"index": {"_class_name": "StableDiffusion3Pipeline"}}, "a Stable Diffusion 3 model"),
        (SDXL, {"index": {"_class_name": "StableDiffusionXLControlNetPipeline"}}, "a model with a ControlNet in it"),
    ],
)
def test_a_model_of_another_kind_is_refused_by_name(
    tmp_path: Path, architecture: Architecture, configs: dict[str, Any], said: str
):
    error = refusal(folder(tmp_path / "x", architecture, **configs))
    assert (error.code, said in error.what) == ("model.unsupported", True), error


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [("FluxPipeline", "a Flux model"), ("PixArtAlphaPipeline", "a PixArt model"), ("SanaPipeline", "a Sana model")],
)
def test_one_with_a_transformer_is_called_what_its_pipeline_is_called(tmp_path: Path, pipeline: str, said: str):
    path = folder(tmp_path / "x", SD1, index={"_class_name": pipeline})
    (path / "unet").rename(path / "transformer")
    assert said in refusal(path).what


@pytest.mark.parametrize(
    ("files", "code", "said"),
    [
        ({"config.json": '{"_class_name": "ControlNetModel"}'}, "model.not_base", "a ControlNet, not a base model"),
        ({"config.json": '{"_class_name": "AutoencoderKL"}'}, "model.not_base", "a VAE, not a base model"),
        ({"pytorch_lora_weights.safetensors": ""}, "model.not_base", "a LoRA, not a base model"),
        ({"mymix_v3.safetensors": ""}, "model.incomplete", "has no folders as diffusers has them, but mymix_v3"),
        ({"model_index.json": "[]"}, "model.incomplete", "is no config"),
        ({"README.md": ""}, "model.incomplete", "it lacks unet"),
    ],
)
def test_a_folder_that_is_no_base_model_is_called_what_it_is(
    tmp_path: Path, files: dict[str, str], code: str, said: str
):
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    error = refusal(tmp_path)
    assert (error.code, said in error.what) == (code, True), error
