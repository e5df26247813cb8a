"""Load the base model's parts, frozen and in the right type, and say which kind of model it is."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from safetensors import SafetensorError
from transformers import CLIPTextModel, CLIPTokenizer

from loratui_agent.model_path import resolve_model
from loratui_protocol.errors import ModelError

_PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")


@dataclass(slots=True)
class Models:
    """The parts of a Stable Diffusion 1.x pipeline. A part is None once its phase has freed it."""

    folder: Path
    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel | None
    vae: AutoencoderKL | None
    unet: UNet2DConditionModel
    noise_scheduler: DDPMScheduler
    vae_scaling_factor: float


def load_models(name_or_path: str, dtype: torch.dtype) -> Models:
    """Load a diffusers folder without any network access; VAE in float32, since in fp16 some overflow.

    Raises:
        ModelError: the folder is missing, incomplete, or not an epsilon-predicting Stable Diffusion 1.x.
    """
    folder = resolve_model(name_or_path)
    _refuse_other_kinds(folder)
    try:
        models = _load(folder, dtype)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(
            f"{folder} can't be loaded: {error}", fix="download the base model again", code="model.incomplete"
        ) from error
    for module in (models.text_encoder, models.vae, models.unet):
        assert module is not None
        module.requires_grad_(requires_grad=False)
    return models


def _load(folder: Path, dtype: torch.dtype) -> Models:
    text_encoder, loading = CLIPTextModel.from_pretrained(
        folder / "text_encoder", dtype=dtype, local_files_only=True, output_loading_info=True
    )
    if loading["missing_keys"] or loading["mismatched_keys"]:
        # transformers only logs this and goes on with random weights.
        raise ModelError(
            f"the text encoder in {folder} lacks weights: {sorted(loading['missing_keys'])[:3]}",
            fix="download the base model again",
            code="model.incomplete",
        )
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32, local_files_only=True)
    return Models(
        folder=folder,
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
        text_encoder=text_encoder,
        vae=vae,
        unet=UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=dtype, local_files_only=True),
        noise_scheduler=DDPMScheduler.from_pretrained(folder / "scheduler", local_files_only=True),
        vae_scaling_factor=vae.config.scaling_factor,
    )


def _refuse_other_kinds(folder: Path) -> None:
    """Raise for everything that would load, train and give a useless file."""
    missing = [part for part in _PARTS if not (folder / part).is_dir()]
    if missing:
        raise ModelError(
            f"{folder} is no Stable Diffusion 1.x folder: it lacks {', '.join(missing)}",
            fix="give a diffusers folder (model_index.json, unet/, vae/, text_encoder/, tokenizer/, scheduler/)",
            code="model.incomplete",
        )
    if (folder / "text_encoder_2").exists():
        raise ModelError(
            f"{folder} is an SDXL model", fix="SD 1.x is what can be trained in this version", code="model.unsupported"
        )
    unet = _read_json(folder / "unet" / "config.json")
    if unet.get("in_channels") != 4:
        raise ModelError(
            f"{folder} is an inpainting model: its UNet takes {unet.get('in_channels')} channels, not 4",
            fix="train on the plain model; the LoRA works on the inpainting one too",
            code="model.unsupported",
        )
    prediction = _read_json(folder / "scheduler" / "scheduler_config.json").get("prediction_type", "epsilon")
    if prediction != "epsilon":
        raise ModelError(
            f"{folder} predicts {prediction}, not epsilon",
            fix="epsilon-predicting SD 1.x is what can be trained in this version",
            code="model.unsupported",
        )


def _read_json(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} can't be read ({error})", fix="download the base model again", code="model.incomplete"
        ) from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is no config", fix="download the base model again", code="model.incomplete")
    return content
