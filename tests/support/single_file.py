"""The inverse of how diffusers reads a checkpoint: a diffusers folder written as one file in the old layout."""

import json
import re
from collections.abc import Mapping, Sequence, Sized
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

_UNET_TOP = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_OPEN_CLIP = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm": "ln_final",
    "text_model.encoder.layers": "transformer.resblocks",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn": "attn",
}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def write_single_file(path: Path, folder: Path, *, old_text_encoder: bool = False) -> Path:
    """Write the model in ``folder`` as one checkpoint, with the odds and ends that real ones carry, and return it."""
    unet, vae = _config(folder, "unet"), _config(folder, "vae")
    tensors: dict[str, Tensor] = {}
    for part, config in (("unet", unet), ("vae", vae)):
        for name, tensor in load_file(folder / part / "diffusion_pytorch_model.safetensors").items():
            # Attention in the old VAE is made of convolutions of one pixel.
            is_pixel = part == "vae" and ".attentions." in name and tensor.dim() == 2
            tensors[ldm_name(part, name, config)] = tensor[:, :, None, None] if is_pixel else tensor
    is_sdxl = (folder / "text_encoder_2").exists()
    clip = "conditioner.embedders.0.transformer." if is_sdxl else "cond_stage_model.transformer."
    clip += "" if old_text_encoder else "text_model."
    for name, tensor in load_file(folder / "text_encoder" / "model.safetensors").items():
        tensors[f"{clip}{name.removeprefix('text_model.')}"] = tensor
    tensors[f"{clip}embeddings.position_ids"] = torch.arange(77)[None]
    if is_sdxl:
        open_clip = open_clip_names(load_file(folder / "text_encoder_2" / "model.safetensors"))
        tensors |= {f"conditioner.embedders.1.model.{name}": tensor for name, tensor in open_clip.items()}
    tensors["alphas_cumprod"] = torch.linspace(1, 0, 1000)
    tensors["model_ema.num_updates"] = torch.tensor(7)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def ldm_name(part: str, name: str, config: Mapping[str, object]) -> str:
    """Return what a checkpoint calls a tensor of the UNet or the VAE."""
    if part == "unet":
        return f"model.diffusion_model.{_unet_name(name, config)}"
    return f"first_stage_model.{_vae_name(name, config)}"


def open_clip_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a text encoder with projection as OpenCLIP names it, queries, keys and values in one."""
    written = {"text_projection": tensors["text_projection.weight"].T, "logit_scale": torch.tensor(4.6)}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        if layer.endswith("q_proj"):
            attention = layer.removesuffix("q_proj")
            parts = [tensors[f"{attention}{part}_proj.{kind}"] for part in "qkv"]
            written[f"{_in_open_clip(attention)}in_proj_{kind}"] = torch.cat(parts)
        elif not layer.endswith(("k_proj", "v_proj", "text_projection")):
            written[_in_open_clip(name)] = tensor
    return written


def _in_open_clip(name: str) -> str:
    for ours, theirs in _OPEN_CLIP.items():
        name = name.replace(ours, theirs)
    return name


def _config(folder: Path, part: str) -> dict[str, object]:
    config: dict[str, object] = json.loads((folder / part / "config.json").read_text("utf-8"))
    return config


def _unet_name(name: str, config: Mapping[str, object]) -> str:
    top, _, kind = name.rpartition(".")
    if top in _UNET_TOP:
        return f"{_UNET_TOP[top]}.{kind}"
    num_layers = int(str(config["layers_per_block"]))
    if name.startswith("mid_block."):
        _, part, index, rest = name.split(".", 3)
        return f"middle_block.{2 * int(index) if part == 'resnets' else 1}.{_inner(part, rest)}"
    side, block, part, index, rest = name.split(".", 4)
    number = int(block) * (num_layers + 1) + int(index)
    if side == "down_blocks":
        if part == "downsamplers":
            return f"input_blocks.{(int(block) + 1) * (num_layers + 1)}.0.op.{rest.removeprefix('conv.')}"
        return f"input_blocks.{number + 1}.{int(part == 'attentions')}.{_inner(part, rest)}"
    if part == "upsamplers":
        types = config["up_block_types"]
        assert isinstance(types, Sequence)
        place = 2 if types[int(block)].startswith("CrossAttn") else 1
        return f"output_blocks.{(int(block) + 1) * (num_layers + 1) - 1}.{place}.{rest}"
    return f"output_blocks.{number}.{int(part == 'attentions')}.{_inner(part, rest)}"


def _inner(part: str, rest: str) -> str:
    return _renamed(rest, _UNET_RESNET) if part == "resnets" else rest


def _renamed(rest: str, names: dict[str, str]) -> str:
    layer, _, kind = rest.rpartition(".")
    return f"{names.get(layer, layer)}.{kind}"


def _vae_name(name: str, config: Mapping[str, object]) -> str:
    types = config["up_block_types"]
    assert isinstance(types, Sized)
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
    found = re.fullmatch(r"(\w+)\.mid_block\.attentions\.0\.(.+)", name)
    if found:
        return f"{found[1]}.mid.attn_1.{_renamed(found[2], _VAE_ATTENTION)}"
    name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{len(types) - 1 - int(m[1])}.block", name)
    return re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{len(types) - 1 - int(m[1])}.upsample", name)
