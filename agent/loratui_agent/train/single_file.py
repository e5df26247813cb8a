"""Load the parts of a single-file Stable Diffusion 1.x checkpoint, offline, beside configs that it does not carry."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors import safe_open
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from loratui_agent.train.clip_vocabulary import PACKED_MERGES, unpack_vocabulary
from loratui_protocol.errors import ModelError
from loratui_protocol.single_file import TEXT_ENCODER, UNET, VAE, current_name

PACKAGED_CONFIGS = Path(__file__).parent / "sd15"
"""A diffusers folder of Stable Diffusion 1.5 without weights."""

_STUMBLES = (AttributeError, KeyError, NotImplementedError, TypeError)
"""What diffusers' renaming ends with where a weight that it goes by is not there."""


def text_width(configs: Path) -> int:
    """Return the width of the hidden states that the UNet of ``configs`` is conditioned on."""
    unet: dict[str, int] = UNet2DConditionModel.load_config(configs, subfolder="unet", local_files_only=True)
    return unet["cross_attention_dim"]


def load_unet(file: Path, configs: Path, dtype: torch.dtype) -> UNet2DConditionModel:
    """Return the UNet in ``file`` with the shape that ``configs`` gives; errors as in ``load_models``."""
    return _converted(UNet2DConditionModel, file, UNET, configs, "unet", dtype)


def load_vae(file: Path, configs: Path) -> AutoencoderKL:
    """Return the VAE in ``file``, in float32."""
    return _converted(AutoencoderKL, file, VAE, configs, "vae", torch.float32)


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
        raise _incomplete(file, "text_encoder", lacking[0])
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


def _converted(kind: Any, file: Path, prefix: str, configs: Path, part: str, dtype: torch.dtype) -> Any:
    """Return a part that diffusers knows how to rename."""
    try:
        with _quiet_loading():
            module = kind.from_single_file(
                _read(file, prefix), config=str(configs), subfolder=part, torch_dtype=dtype, local_files_only=True
            )
    except _STUMBLES as error:
        raise _incomplete(file, part, str(error)) from error
    # diffusers leaves parameters empty whose weights it does not find, and says nothing.
    empty = next((name for name, parameter in module.named_parameters() if parameter.is_meta), None)
    if empty:
        raise _incomplete(file, part, empty)
    # All is on one device, and to be moved like any other module.
    vars(module).pop("hf_device_map", None)
    return module


@contextlib.contextmanager
def _quiet_loading() -> Iterator[None]:
    """Silence a warning that names no module and asks for what was done."""
    verbosity = diffusers.utils.logging.get_verbosity()
    diffusers.utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        diffusers.utils.logging.set_verbosity(verbosity)


def _incomplete(file: Path, part: str, what: str) -> ModelError:
    return ModelError(
        f"the {part.replace('_', ' ')} in {file} lacks weights: {what[:200]}",
        fix="download the base model again",
        code="model.incomplete",
    )
