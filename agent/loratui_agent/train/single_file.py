"""Load the parts of a single-file checkpoint, offline, beside configs that it does not carry."""

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
from transformers import CLIPTextConfig, CLIPTokenizer

from loratui_agent.train.clip_vocabulary import PACKED_MERGES, unpack_vocabulary
from loratui_agent.train.conditioning import TextEncoder
from loratui_agent.train.kinds import SD1, TextPart
from loratui_protocol.errors import ModelError
from loratui_protocol.single_file import UNET, VAE, current_name

_MERGES = SD1.configs / "tokenizer" / PACKED_MERGES
"""CLIP's, which every tokenizer here has."""

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


def load_text_encoder(part: TextPart, file: Path, configs: Path, dtype: torch.dtype) -> TextEncoder:
    """Return a text encoder in ``file``. diffusers loads one only within a whole pipeline, in one type for all."""
    config = CLIPTextConfig.from_pretrained(configs / part.name, local_files_only=True)
    text_encoder, loading = part.model.from_pretrained(
        None,
        config=config,
        state_dict=part.convert(_read(file, part.prefix), part.prefix),
        dtype=dtype,
        output_loading_info=True,
    )
    lacking = sorted(map(str, (*loading["missing_keys"], *loading["mismatched_keys"])))
    if lacking:
        # transformers only logs this and goes on with random weights.
        raise _incomplete(file, part.name, lacking[0])
    loaded: TextEncoder = text_encoder
    return loaded


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """Return the tokenizer; a packaged one is unpacked for as long as reading it takes."""
    if (folder / "vocab.json").exists():
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    with tempfile.TemporaryDirectory(prefix="loratui-tokenizer-") as name:
        unpacked = Path(name)
        for path in folder.glob("*.json"):
            shutil.copyfile(path, unpacked / path.name)
        unpack_vocabulary(_MERGES, unpacked)
        return CLIPTokenizer.from_pretrained(unpacked, local_files_only=True)


def _read(file: Path, prefix: str) -> dict[str, Tensor]:
    """Return the tensors of one part only: the others would take memory while it is loaded."""
    with safe_open(file, framework="pt") as content:
        names = {current_name(name): name for name in content.keys()}  # noqa: SIM118
        return {current: content.get_tensor(name) for current, name in names.items() if current.startswith(prefix)}


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
