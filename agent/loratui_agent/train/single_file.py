"""Load the parts of a single-file Stable Diffusion 1.x checkpoint, offline, beside configs that it does not carry."""

import shutil
import tempfile
from pathlib import Path
from typing import TypeVar

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors import safe_open
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from loratui_agent.train.clip_vocabulary import PACKED_MERGES, unpack_vocabulary
from loratui_protocol.errors import ModelError
from loratui_protocol.single_file import TEXT_ENCODER, UNET, VAE, current_name

PACKAGED_CONFIGS = Path(__file__).parent / "sd15"
"""A diffusers folder of Stable Diffusion 1.5 without weights."""

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def text_width(configs: Path) -> int:
    """Return the width of the hidden states that the UNet of ``configs`` is conditioned on."""
    width: int = UNet2DConditionModel.load_config(configs, subfolder="unet", local_files_only=True)[
        "cross_attention_dim"
    ]
    return width


def load_unet(file: Path, configs: Path, dtype: torch.dtype) -> UNet2DConditionModel:
    """Return the UNet in ``file`` with the shape that ``configs`` gives; errors as in ``load_models``."""
    tensors = _read(file, UNET)
    try:
        unet = UNet2DConditionModel.from_single_file(
            tensors, config=str(configs), subfolder="unet", torch_dtype=dtype, local_files_only=True
        )
    except (KeyError, NotImplementedError) as error:
        raise _incomplete(file, "UNet", str(error)) from error
    return _whole(unet, file, "UNet")


def load_vae(file: Path, configs: Path) -> AutoencoderKL:
    """Return the VAE in ``file``, in float32."""
    tensors = _read(file, VAE)
    try:
        vae = AutoencoderKL.from_single_file(
            tensors, config=str(configs), subfolder="vae", torch_dtype=torch.float32, local_files_only=True
        )
    except (KeyError, NotImplementedError) as error:
        raise _incomplete(file, "VAE", str(error)) from error
    return _whole(vae, file, "VAE")


def load_text_encoder(file: Path, configs: Path, dtype: torch.dtype) -> CLIPTextModel:
    """Return the text encoder in ``file``. diffusers loads one only within a whole pipeline, in one type for all."""
    tensors = {
        current_name(name).removeprefix(TEXT_ENCODER): tensor
        for name, tensor in _read(file, TEXT_ENCODER).items()
        if not name.endswith(".position_ids")  # counts from 0 to 76, and is made anew
    }
    config = CLIPTextConfig.from_pretrained(configs / "text_encoder", local_files_only=True)
    text_encoder, loading = CLIPTextModel.from_pretrained(
        None, config=config, state_dict=tensors, dtype=dtype, output_loading_info=True
    )
    lacking = sorted(map(str, (*loading["missing_keys"], *loading["mismatched_keys"])))
    if lacking:
        # transformers only logs this and goes on with random weights.
        raise _incomplete(file, "text encoder", lacking[0])
    return text_encoder


def load_tokenizer(configs: Path) -> CLIPTokenizer:
    """Return the tokenizer; the packaged one is unpacked for as long as reading it takes."""
    folder = configs / "tokenizer"
    packed = folder / PACKED_MERGES
    if not packed.exists():
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    with tempfile.TemporaryDirectory(prefix="loratui-tokenizer-") as name:
        unpacked = Path(name)
        for path in folder.glob("*.json"):
            shutil.copyfile(path, unpacked / path.name)
        unpack_vocabulary(packed, unpacked)
        return CLIPTokenizer.from_pretrained(unpacked, local_files_only=True)


def _read(file: Path, prefix: str) -> dict[str, Tensor]:
    """Return the tensors of one part only: the others would take memory while it is loaded."""
    with safe_open(file, framework="pt") as content:
        return {name: content.get_tensor(name) for name in content.keys() if name.startswith(prefix)}  # noqa: SIM118


def _whole(module: ModuleT, file: Path, part: str) -> ModuleT:
    """Return the module if it got all of its weights: diffusers leaves the others empty and says nothing."""
    # All is on one device, and to be moved like any other module.
    vars(module).pop("hf_device_map", None)
    for name, tensor in module.named_parameters():
        if tensor.is_meta:
            raise _incomplete(file, part, name)
    return module


def _incomplete(file: Path, part: str, what: str) -> ModelError:
    return ModelError(
        f"the {part} in {file} lacks weights: {what[:200]}",
        fix="download the base model again",
        code="model.incomplete",
    )
