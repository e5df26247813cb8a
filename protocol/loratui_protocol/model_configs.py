"""What the small files of a diffusers folder say of a model, by which it is refused though its folders are right.

Laptop and box decide by the same rule, as with single files.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from loratui_protocol.architecture import CHANNELS, OTHER_WIDTHS, TRAINABLE
from loratui_protocol.errors import ModelError

_INDEX, _UNET, SCHEDULER = "model_index.json", "unet/config.json", "scheduler/scheduler_config.json"
_ALONE = "config.json"
"""Of a part that is published by itself."""
TELLING = (_INDEX, _ALONE, _UNET, SCHEDULER)
"""The files that are looked into."""
_PARTS_ALONE = {
    "AutoencoderKL": "a VAE",
    "ControlNet": "a ControlNet",
    "MotionAdapter": "a motion module",
    "T2IAdapter": "a T2I-Adapter",
    "UNet2DConditionModel": "a UNet without its text encoder and VAE",
}
_LORA, _SAFE = "pytorch_lora_weights.safetensors", ".safetensors"
_PIPELINES = {
    "AltDiffusion": "an AltDiffusion model",
    "AuraFlow": "an AuraFlow model",
    "Chroma": "a Chroma model",
    "Flux": "a Flux model",
    "HunyuanDiT": "a Hunyuan-DiT model",
    "IF": "a DeepFloyd IF model",
    "Kandinsky": "a Kandinsky model",
    "Kolors": "a Kolors model",
    "Lumina": "a Lumina model",
    "PixArt": "a PixArt model",
    "QwenImage": "a Qwen-Image model",
    "Sana": "a Sana model",
    "StableCascade": "a Stable Cascade model",
    "StableDiffusion3": "a Stable Diffusion 3 model",
    "StableDiffusionControlNet": "a model with a ControlNet in it",
    "StableDiffusionXLControlNet": "a model with a ControlNet in it",
    "StableUnCLIP": "a Stable UnCLIP model",
    "StableVideoDiffusion": "a Stable Video Diffusion model",
    "UnCLIP": "an UnCLIP model",
    "Wuerstchen": "a Wuerstchen model",
    "ZImage": "a Z-Image model",
}
"""What the names of their pipelines begin with; those that can be trained begin with none of these."""
_PREDICTIONS = ("epsilon", "v_prediction")


def local_configs(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the telling files of a folder that are there, by name.

    Raises:
        ModelError: one can't be read (``model.incomplete``).
    """
    found = {}
    for name in TELLING:
        if (path := folder / name).is_file():
            try:
                content = json.loads(path.read_text("utf-8"))
            except (OSError, ValueError, RecursionError) as error:
                raise unreadable(str(path)) from error
            if not isinstance(content, dict):
                raise unreadable(str(path))
            found[name] = content
    return found


def check_is_base(name: str, names: Collection[str], configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Return if a folder with these files, by their relative names, may be a base model's in the diffusers layout.

    ``name`` is the folder's, or the hub id, for errors.

    Raises:
        ModelError: it is something else (``model.not_base``), another kind of model by its pipeline
            (``model.unsupported``), or a model in another layout (``model.incomplete``).
    """
    if other := _of_pipeline(configs):
        raise ModelError(f"{name} is {other}", fix=TRAINABLE, code="model.unsupported")
    if _INDEX in names or any(each.startswith("unet/") for each in names):
        return
    alone = str(configs.get(_ALONE, {}).get("_class_name", ""))
    part = next((kind for begin, kind in _PARTS_ALONE.items() if alone.startswith(begin)), "")
    if part or _LORA in names:
        raise ModelError(
            f"{name} is {part or 'a LoRA'}, not a base model",
            fix="give the base model that it is for",
            code="model.not_base",
        )
    single = sorted(each for each in names if each.endswith(_SAFE) and "/" not in each)
    if single:
        raise ModelError(
            f"{name} has no folders as diffusers has them, but {single[0]}",
            fix="give the path of that file, or its https address (on Hugging Face …/resolve/main/<file>)",
            code="model.incomplete",
        )


def check_configs(name: str, configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Return if the telling files of a model, by their names, are those of one that can be trained.

    ``name`` is the model's, for errors. What a file leaves out is as in diffusers: the usual.

    Raises:
        ModelError: they are another kind's (``model.unsupported``).
    """
    unet, scheduler = configs.get(_UNET, {}), configs.get(SCHEDULER, {})
    other = _of_unet(unet)
    if str(scheduler.get("_class_name")).startswith("EDM"):
        other = "a model that is trained in EDM's way (Playground 2.5, CosXL)"
    if str(scheduler.get("_class_name")).startswith("FlowMatch"):
        other = "a model that is trained by flow matching"
    if other:
        raise ModelError(f"{name} is {other}", fix=TRAINABLE, code="model.unsupported")
    channels = unet.get("in_channels", 4)
    if channels != 4:
        kind = CHANNELS.get(channels, "no plain model") if isinstance(channels, int) else "no plain model"
        raise ModelError(
            f"{name} is {kind}: its UNet takes {channels} channels, not 4",
            fix="train on the plain model; the LoRA works on the other one too",
            code="model.unsupported",
        )
    prediction = scheduler.get("prediction_type", "epsilon")
    if prediction not in _PREDICTIONS:
        raise ModelError(
            f"{name} predicts {prediction}, neither epsilon nor v",
            fix="models that predict one of those are what can be trained",
            code="model.unsupported",
        )


def unreadable(what: str) -> ModelError:
    """Return the error about a telling file that tells nothing."""
    return ModelError(f"{what} is no config", fix="download the model again", code="model.incomplete")


def _of_pipeline(configs: Mapping[str, Mapping[str, Any]]) -> str:
    pipeline = str(configs.get(_INDEX, {}).get("_class_name", ""))
    # The longest that fits: StableDiffusion3 and StableDiffusionXLControlNet begin alike.
    fitting = [begin for begin in _PIPELINES if pipeline.startswith(begin)]
    return _PIPELINES[max(fitting, key=len)] if fitting else ""


def _of_unet(unet: Mapping[str, Any]) -> str:
    if unet.get("_class_name", "UNet2DConditionModel") != "UNet2DConditionModel":
        return f"a model with another UNet ({str(unet['_class_name'])[:60]})"
    width = unet.get("cross_attention_dim")
    if isinstance(width, int) and width in OTHER_WIDTHS:
        return OTHER_WIDTHS[width]
    if unet.get("addition_embed_type") not in (None, "text_time") or unet.get("encoder_hid_dim_type") is not None:
        return "a model that is told more than text (Kandinsky, Kolors and others)"
    return ""
