"""An SDXL small enough for tests: the true structure, few channels, random weights, the tokenizer of builtin:tiny."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from loratui_agent.model_path import resolve_model
from loratui_agent.train.kinds import SDXL

_WIDTHS = (16, 24)
"""Of the two text encoders."""
_PROJECTION = 24
_SIZE_WIDTH = 8


def write_tiny_sdxl(folder: Path) -> Path:
    """Write the model as a diffusers folder and return it; the same weights every time."""
    tiny = resolve_model("builtin:tiny")
    state = torch.get_rng_state()
    torch.manual_seed(0)
    _unet().save_pretrained(folder / "unet")
    _vae().save_pretrained(folder / "vae")
    vocabulary = json.loads((tiny / "tokenizer" / "vocab.json").read_text("utf-8"))
    CLIPTextModel(_text_config(_WIDTHS[0], vocabulary)).save_pretrained(folder / "text_encoder")
    CLIPTextModelWithProjection(_text_config(_WIDTHS[1], vocabulary)).save_pretrained(folder / "text_encoder_2")
    torch.set_rng_state(state)
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="leading"
    )
    scheduler.save_pretrained(folder / "scheduler")
    for name in ("tokenizer", "tokenizer_2"):
        shutil.copytree(tiny / "tokenizer", folder / name)
    _pad_as_open_clip(folder / "tokenizer_2")
    shutil.copy(SDXL.configs / "model_index.json", folder)
    return folder


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16, 16),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        # SDXL has 10 in the last, and in the middle, where the last number counts too.
        transformer_layers_per_block=(1, 2, 3),
        attention_head_dim=(1, 2, 2),
        norm_num_groups=4,
        cross_attention_dim=sum(_WIDTHS),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=_SIZE_WIDTH,
        projection_class_embeddings_input_dim=_PROJECTION + 6 * _SIZE_WIDTH,
    )


def _vae() -> AutoencoderKL:
    blocks = 4  # SDXL's has as many: its latents are an eighth of the picture a side
    return AutoencoderKL(
        block_out_channels=(8,) * blocks,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        norm_num_groups=2,
        sample_size=64,
        scaling_factor=0.13025,
    )


def _text_config(width: int, vocabulary: dict[str, int]) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=77,
        hidden_act="quick_gelu" if width == _WIDTHS[0] else "gelu",
        projection_dim=_PROJECTION,
        bos_token_id=vocabulary["<|startoftext|>"],
        eos_token_id=vocabulary["<|endoftext|>"],
        pad_token_id=vocabulary["<|endoftext|>"],
    )


def _pad_as_open_clip(folder: Path) -> None:
    for path in (folder / "tokenizer_config.json", folder / "special_tokens_map.json"):
        path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "pad_token": "!"}), "utf-8")
