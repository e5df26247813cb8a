"""kohya's names of LoRA modules: what they are called in a file, by the place that they have in the base model."""

import re

from loratui_protocol.architecture import SD1, SDXL, Architecture

UNET = "unet"
"""What pipelines call it; the others are text encoders."""
_PREFIXES = {
    # The second is what other trainers write, and every loader reads.
    (SD1, "text_encoder"): ("lora_te", "lora_te1"),
    (SDXL, "text_encoder"): ("lora_te1",),
    (SDXL, "text_encoder_2"): ("lora_te2",),
}
_SGM_LAYERS = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}


def lora_names(architecture: Architecture, part: str, name: str) -> tuple[str, ...]:
    """Return the names that a module has in files, first the one that we and sd-scripts write.

    ``part`` is the model that has it under the dotted ``name``, diffusers' or transformers'.
    """
    if part == UNET:
        names = (sgm_name(name), name) if architecture == SDXL else (name,)
        return tuple(dict.fromkeys(f"lora_unet_{each}".replace(".", "_") for each in names))
    # Newer transformers dropped ``text_model.`` from module names; every loader still expects it in the file.
    inner = name if name.startswith("text_model.") else f"text_model.{name}"
    return tuple(f"{prefix}_{inner}".replace(".", "_") for prefix in _PREFIXES[architecture, part])


def sgm_name(name: str) -> str:
    """Return the name in the UNet's first publication, which kohya's files have for SDXL: three blocks a level."""
    middle = re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.+)", name)
    if middle:
        part, index, layer = middle.groups()
        # A resnet, an attention, a resnet.
        return f"middle_block.{1 if part == 'attentions' else 2 * int(index)}.{_sgm_layer(part, layer)}"
    outer = re.fullmatch(r"(down|up)_blocks\.(\d)\.(resnets|attentions|downsamplers|upsamplers)\.(\d)\.(.+)", name)
    if outer is None:
        return name
    side, level, part, index, layer = outer.groups()
    first = 3 * int(level)
    if part == "downsamplers":
        return f"input_blocks.{first + 3}.0.op"
    if part == "upsamplers":
        return f"output_blocks.{first + 2}.2.{layer}"
    # The first input block is the convolution before all levels.
    block = f"input_blocks.{first + int(index) + 1}" if side == "down" else f"output_blocks.{first + int(index)}"
    return f"{block}.{1 if part == 'attentions' else 0}.{_sgm_layer(part, layer)}"


def _sgm_layer(part: str, layer: str) -> str:
    return _SGM_LAYERS.get(layer, layer) if part == "resnets" else layer
