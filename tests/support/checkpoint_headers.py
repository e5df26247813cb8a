"""Safetensors files with the names and shapes of real ones, and holes on the disk instead of weights."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

Shape = tuple[int, ...]
_NUM_BYTES = {"F32": 4, "F16": 2, "I8": 1, "I64": 8}
_UNET, _VAE, _TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."


def header_bytes(tensors: Mapping[str, Shape], dtype: str = "F16", metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the length and the header of a file that holds these tensors."""
    entries: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, shape in tensors.items():
        start, end = end, end + math.prod(shape) * _NUM_BYTES[dtype]
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


def write_header(
    path: Path, tensors: Mapping[str, Shape], dtype: str = "F16", metadata: Mapping[str, str] | None = None
) -> Path:
    """Write a file of the full size that takes no room, and return it."""
    path.write_bytes(header_bytes(tensors, dtype, metadata))
    with path.open("r+b") as file:
        size = sum(math.prod(shape) for shape in tensors.values()) * _NUM_BYTES[dtype]
        file.truncate(path.stat().st_size + size)
    return path


def sd15(*, channels: int = 4, width: int = 768) -> dict[str, Shape]:
    """Return what a Stable Diffusion 1.x checkpoint is known by."""
    return {
        f"{_UNET}input_blocks.0.0.weight": (320, channels, 3, 3),
        f"{_UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, width),
        f"{_UNET}middle_block.1.proj_in.weight": (1280, 1280, 1, 1),
        f"{_UNET}out.2.weight": (4, 320, 3, 3),
        f"{_UNET}time_embed.0.weight": (1280, 320),
        f"{_VAE}encoder.conv_in.weight": (128, 3, 3, 3),
        f"{_VAE}decoder.conv_out.weight": (3, 128, 3, 3),
        f"{_VAE}quant_conv.weight": (8, 8, 1, 1),
        f"{_TEXT}embeddings.position_embedding.weight": (77, 768),
        f"{_TEXT}embeddings.token_embedding.weight": (49408, 768),
        f"{_TEXT}final_layer_norm.weight": (768,),
    }


def without(tensors: Mapping[str, Shape], prefix: str) -> dict[str, Shape]:
    """Return the tensors whose names begin otherwise."""
    return {name: shape for name, shape in tensors.items() if not name.startswith(prefix)}


def sd2() -> dict[str, Shape]:
    """Return what a Stable Diffusion 2.x checkpoint is known by: OpenCLIP's text encoder."""
    return {
        **without(sd15(width=1024), "cond_stage_model."),
        "cond_stage_model.model.token_embedding.weight": (49408, 1024),
        "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight": (3072, 1024),
    }


def sdxl(*, channels: int = 4, width: int = 2048) -> dict[str, Shape]:
    """Return what an SDXL checkpoint is known by: two text encoders and sizes as a condition."""
    clip, open_clip = "conditioner.embedders.0.transformer.text_model.", "conditioner.embedders.1.model."
    return {
        **{name: shape for name, shape in sd15().items() if name.startswith(_VAE)},
        f"{_UNET}input_blocks.0.0.weight": (320, channels, 3, 3),
        f"{_UNET}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, width),
        f"{_UNET}label_emb.0.0.weight": (1280, 2816),
        f"{_UNET}middle_block.1.proj_in.weight": (1280, 1280),
        f"{_UNET}out.2.weight": (4, 320, 3, 3),
        f"{_UNET}time_embed.0.weight": (1280, 320),
        f"{clip}embeddings.position_embedding.weight": (77, 768),
        f"{clip}embeddings.token_embedding.weight": (49408, 768),
        f"{clip}final_layer_norm.weight": (768,),
        f"{open_clip}ln_final.weight": (1280,),
        f"{open_clip}positional_embedding": (77, 1280),
        f"{open_clip}text_projection": (1280, 1280),
        f"{open_clip}token_embedding.weight": (49408, 1280),
        f"{open_clip}transformer.resblocks.9.mlp.c_proj.bias": (1280,),
    }


def kohya_lora() -> dict[str, Shape]:
    """Return a LoRA in the layout that this project writes too."""
    module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    return {
        f"{module}.alpha": (),
        f"{module}.lora_down.weight": (8, 320),
        f"{module}.lora_up.weight": (320, 8),
    }
