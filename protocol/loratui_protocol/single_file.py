"""A base model in a single file, the layout that model sites distribute: which kind it is, by its header alone.

Laptop and box decide by the same rule, so that what is refused is refused before gigabytes of it were sent.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui_protocol.architecture import (
    CHANNELS,
    OTHER_WIDTHS,
    SD1,
    SDXL,
    TRAINABLE,
    Architecture,
    architecture_of_folder,
)
from loratui_protocol.base_model import model_folder, parts_of
from loratui_protocol.errors import ModelError
from loratui_protocol.model_configs import SCHEDULER, check_configs, check_is_base, local_configs
from loratui_protocol.safetensors_header import Header, TensorInfo, read_header

UNET, VAE = "model.diffusion_model.", "first_stage_model."

_SUFFIX = ".safetensors"
_FIRST_CONVOLUTION = f"{UNET}input_blocks.0.0.weight"
# SDXL has none in its first block.
_FIRST_CROSS_ATTENTIONS = [f"{UNET}input_blocks.{n}.1.transformer_blocks.0.attn2.to_k.weight" for n in (1, 4)]
_OF_TRANSFORMERS = (
    ("double_layers.", "an AuraFlow model"),
    ("cap_embedder.", "a Lumina or Z-Image model"),
    ("mlp_t5.", "a Hunyuan-DiT model"),
    ("clip_txt_mapper.", "a Stable Cascade model"),
    ("distilled_guidance_layer.", "a Chroma model"),
    ("double_stream_blocks.", "a HiDream model"),
    ("single_stream_modulation.", "a Flux.2 model"),
    ("patchify_proj.", "an LTX-Video model"),
    ("blocks.0.cross_attn.q_linear.", "a PixArt or Sana model"),
    ("head.modulation", "a Wan model"),
    ("txt_in.individual_token_refiner.", "a HunyuanVideo model"),
    # Others above have these, too.
    ("adaln_single.", "a PixArt model"),
    ("t_block.", "a PixArt model"),
    ("joint_blocks.", "a Stable Diffusion 3 model"),
    ("double_blocks.", "a Flux model"),
)
"""Networks without a UNet, each by a key that no UNet has: as diffusers' and ComfyUI's loaders tell them."""
# By their first keys: each is in every file of its kind and in none that can be trained.
_OTHER_BASES = (
    ("conditioner.embedders.0.model.", "an SDXL refiner"),
    ("conditioner.embedders.0.open_clip.", "a Stable Video Diffusion model"),
    ("edm_", "an SDXL model that is trained in EDM's way (Playground 2.5, CosXL)"),
    *(
        (f"{outer}{key}", kind)
        for key, kind in _OF_TRANSFORMERS
        # As published, as in a checkpoint of several parts, and as trainers wrap it.
        for outer in ("", UNET, "model.")
    ),
    ("cond_stage_model.model.", "a Stable Diffusion 2.x model"),
)
_OF_SDXL = ("conditioner.embedders.", f"{UNET}label_emb.")
_LORA = re.compile(
    r"^(lora_(unet|te\d?|transformer)|lycoris)_|[._]lora[._](down|up|A|B)\b|\.(hada_w[12]|lokr_w[12]|oft_blocks|oft_diag)"
)
_NO_BASES = (
    (re.compile(r"^(control_model\.|controlnet_|lora_controlnet)|^input_hint_block\."), "a ControlNet"),
    (re.compile(r"^(emb_params|string_to_param|clip_[lg])\b"), "an embedding (textual inversion)"),
    (re.compile(r"motion_modules\."), "a motion module"),
    (re.compile(r"^(ip_adapter|image_proj)\."), "an IP-Adapter"),
    (re.compile(r"^(adapter\.)?body\.0\.(in_conv|block1|resnets)\."), "a T2I-Adapter"),
    (re.compile(r"^(first_stage_model\.|encoder\.conv_in\.|decoder\.conv_in\.)"), "a VAE"),
    (re.compile(r"^(down_blocks|text_model|transformer_blocks)\."), "one part of a diffusers folder"),
    (re.compile(r"^(input_blocks|middle_block)\."), "a UNet without its text encoder and VAE"),
)
_SD1_TEXT = SD1.text_prefixes[0]
_OLD_TEXT_ENCODER = re.compile(rf"^{re.escape(_SD1_TEXT)}(?=(embeddings|encoder|final_layer_norm)\.)")
_IN_UNET_AND_VAE = {
    "its UNet": (f"{UNET}time_embed.0.weight", f"{UNET}middle_block.1.proj_in.weight", f"{UNET}out.2.weight"),
    "its VAE": (f"{VAE}encoder.conv_in.weight", f"{VAE}quant_conv.weight", f"{VAE}decoder.conv_out.weight"),
}
_IN_CLIP = (
    "text_model.embeddings.token_embedding.weight",
    "text_model.embeddings.position_embedding.weight",
    "text_model.final_layer_norm.weight",
)
_IN_OPEN_CLIP = ("token_embedding.weight", "positional_embedding", "ln_final.weight", "text_projection")
_WITHIN = {
    SD1: {**_IN_UNET_AND_VAE, "its text encoder": [f"{_SD1_TEXT}{key}" for key in _IN_CLIP]},
    SDXL: {
        **_IN_UNET_AND_VAE,
        "its first text encoder": [f"{SDXL.text_prefixes[0]}{key}" for key in _IN_CLIP],
        "its second text encoder": [f"{SDXL.text_prefixes[1]}{key}" for key in _IN_OPEN_CLIP],
    },
}
_EPSILON, _V = frozenset({"epsilon", "eps"}), frozenset({"v", "v_pred", "v_prediction"})
_FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})


def local_model(path: str, *, text_width: int | None = None) -> Path:
    """Return the base model that a config names, on this machine: a folder, or a single file that was checked.

    ``text_width`` as in ``check_kind``.

    Raises:
        ModelError: there is nothing, or it is a file that can't be trained; see ``check_single_file``.
    """
    given = Path(path).expanduser()
    if not given.is_file():
        return model_folder(path)
    check_single_file(given, text_width=text_width)
    # Not resolved: behind a link the name, and with it the suffix, may be another.
    return given.absolute()


def local_architecture(path: str) -> Architecture:
    """Return the kind of a base model on this machine; errors as in ``local_model`` and ``architecture_of_folder``."""
    model = local_model(path)
    if model.is_file():
        return check_single_file(model)
    return check_folder(model)


def local_prediction(path: str) -> "Prediction":
    """Return what a base model on this machine says that it predicts; errors as in ``local_architecture``."""
    model = local_model(path)
    return prediction_of(read_header(model), path) if model.is_file() else folder_prediction(model)


def folder_prediction(model: Path) -> "Prediction":
    """Return the same of a diffusers folder."""
    return scheduler_prediction(local_configs(model).get(SCHEDULER, {}))


def scheduler_prediction(scheduler: Mapping[str, Any]) -> "Prediction":
    """Return what the config of a scheduler says; what it leaves out is as in diffusers."""
    return Prediction(
        is_v=scheduler.get("prediction_type") in _V,
        is_zero_snr=scheduler.get("rescale_betas_zero_snr") is True,
    )


def check_folder(model: Path) -> Architecture:
    """Return the kind of a diffusers folder on this machine.

    Raises:
        ModelError: it is of another kind, by its folders or by what its configs say, or lacks a part.
    """
    configs = local_configs(model)
    inside = [f"{each.name}/" if each.is_dir() else each.name for each in model.iterdir()]
    check_is_base(str(model), inside, configs)
    architecture = architecture_of_folder(parts_of(inside), str(model))
    check_configs(str(model), configs)
    return architecture


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model predicts, as its files say it: the weights alone don't show it."""

    is_v: bool
    """v (arXiv 2202.00512); else epsilon, the noise."""
    is_zero_snr: bool = False
    """Whether its last timestep is all noise (arXiv 2305.08891)."""


def check_single_file(path: Path, *, text_width: int | None = None) -> Architecture:
    """Return what the file is a whole checkpoint of. No weight is read; ``text_width`` as in ``check_kind``.

    Raises:
        ModelError: it is another kind of base model (``model.unsupported``), no base model (``model.not_base``), lacks
            a part (``model.incomplete``), or is no readable safetensors file; codes as in ``read_header``.
    """
    header = read_header(path)
    if path.suffix.lower() != _SUFFIX:
        raise ModelError(
            f"{path} is not named as a safetensors file", fix=f"let its name end in {_SUFFIX}", code="model.format"
        )
    return check_kind(header, str(path), text_width=text_width)


def check_kind(header: Header, name: str, *, text_width: int | None = None) -> Architecture:
    """Return the kind of base model that the tensors are; ``name`` is the file's, for the error.

    ``text_width`` is that of a model which is smaller than those of its kind; None: as all of them.

    Raises:
        ModelError: they are no model that can be trained; see ``check_single_file``.
    """
    tensors = {current_name(key): tensor for key, tensor in header.tensors.items()}
    if any(_LORA.search(key) for key in tensors):
        # First: one for another kind of model has that kind's names.
        raise ModelError(
            f"{name} is a LoRA, not a base model", fix="give the base model that it is for", code="model.not_base"
        )
    other = next((kind for prefix, kind in _OTHER_BASES if _has(tensors, prefix)), None)
    if other:
        raise ModelError(f"{name} is {other}", fix=TRAINABLE, code="model.unsupported")
    if not _has(tensors, UNET) or _has(tensors, "control_model."):
        raise _no_base(tensors, name)
    architecture = SDXL if any(_has(tensors, prefix) for prefix in _OF_SDXL) else SD1
    _check_unet(tensors, name, architecture, text_width or architecture.text_width)
    prediction_of(header, name)
    for part, keys in _WITHIN[architecture].items():
        missing = [key for key in keys if key not in tensors]
        if missing:
            raise ModelError(
                f"{name} lacks {part}: {missing[0]} is not in it",
                fix=f"download the version of the model that has {part} in it, or give a diffusers folder",
                code="model.incomplete",
            )
    read = _weights(tensors, architecture)
    packed = next((key for key, tensor in read if tensor.dtype not in _FLOATS), None)
    if packed:
        raise ModelError(
            f"{name} is quantised: {packed} is {tensors[packed].dtype}",
            fix="download the fp16 or fp32 version of the model",
            code="model.unsupported",
        )
    return architecture


def prediction_of(header: Header, name: str) -> Prediction:
    """Return what a single file says that it predicts: by keys of its own, else by its metadata.

    Raises:
        ModelError: it names neither epsilon nor v.
    """
    said = header.metadata.get("modelspec.prediction_type", "epsilon").lower().replace("-", "_")
    if "v_pred" not in header.tensors and said not in _EPSILON | _V:
        raise ModelError(
            f"{name} predicts {said}, neither epsilon nor v",
            fix="models that predict one of those are what can be trained",
            code="model.unsupported",
        )
    return Prediction(is_v="v_pred" in header.tensors or said in _V, is_zero_snr="ztsnr" in header.tensors)


def current_name(key: str) -> str:
    """Return a key as today's files have it: old ones name the text encoder's tensors without ``text_model``."""
    return _OLD_TEXT_ENCODER.sub(f"{_SD1_TEXT}text_model.", key)


def _check_unet(tensors: Mapping[str, TensorInfo], name: str, architecture: Architecture, text_width: int) -> None:
    convolution = tensors.get(_FIRST_CONVOLUTION)
    attention = next((tensors[key] for key in _FIRST_CROSS_ATTENTIONS if key in tensors), None)
    if convolution is None or attention is None or len(convolution.shape) != 4 or len(attention.shape) != 2:
        raise ModelError(f"{name} is no {architecture.name} model", fix=TRAINABLE, code="model.unsupported")
    width, channels = attention.shape[1], convolution.shape[1]
    if width != text_width:
        kind = OTHER_WIDTHS.get(width, f"no {architecture.name} model")
        raise ModelError(
            f"{name} is {kind}: its UNet takes text of width {width}, not {text_width}",
            fix=TRAINABLE,
            code="model.unsupported",
        )
    if channels != 4:
        kind = CHANNELS.get(channels, "no plain model")
        raise ModelError(
            f"{name} is {kind}: its UNet takes {channels} channels, not 4",
            fix="train on the plain model; the LoRA works on the other one too",
            code="model.unsupported",
        )


def _no_base(tensors: Mapping[str, TensorInfo], name: str) -> ModelError:
    kind = next((kind for pattern, kind in _NO_BASES if any(map(pattern.search, tensors))), None)
    return ModelError(
        f"{name} is {kind}, not a base model" if kind else f"{name} is no Stable Diffusion checkpoint",
        fix="give a whole checkpoint (UNet, VAE and text encoder in one file), or a diffusers folder",
        code="model.not_base",
    )


def _weights(tensors: Mapping[str, TensorInfo], architecture: Architecture) -> list[tuple[str, TensorInfo]]:
    """Return what training reads: some files carry counters and tables beside it."""
    return [
        (key, tensor)
        for key, tensor in tensors.items()
        if key.startswith((UNET, VAE, *architecture.text_prefixes)) and not key.endswith(".position_ids")
    ]


def _has(tensors: Mapping[str, TensorInfo], prefix: str) -> bool:
    return any(key.startswith(prefix) for key in tensors)
