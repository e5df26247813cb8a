"""The kinds of base models that can be trained, and how a diffusers folder of one is told from those that can't."""

from collections.abc import Collection
from dataclasses import dataclass

from loratui_protocol.errors import ModelError


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A kind of base model, as its files show it."""

    name: str
    parts: tuple[str, ...]
    """Its folders in the diffusers layout."""
    text_prefixes: tuple[str, ...]
    """What the tensors of each of its text encoders begin with in a single file."""
    text_width: int
    """Width of the hidden states that its UNet is conditioned on."""


SD1 = Architecture(
    name="Stable Diffusion 1.x",
    parts=("unet", "vae", "text_encoder", "tokenizer", "scheduler"),
    text_prefixes=("cond_stage_model.transformer.",),
    text_width=768,
)
SDXL = Architecture(
    name="SDXL",
    parts=(*SD1.parts, "text_encoder_2", "tokenizer_2"),
    # The first is CLIP's in transformers' names, the second OpenCLIP's in its own.
    text_prefixes=("conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."),
    text_width=2048,
)
ALL_PARTS = SDXL.parts
"""Folders that a model of any kind may have."""
TRAINABLE = "Stable Diffusion 1.x and SDXL are what can be trained in this version"
OTHER_WIDTHS = {1024: "a Stable Diffusion 2.x model", 1280: "an SDXL refiner"}
"""What a UNet that takes text of another width is."""
CHANNELS = {9: "an inpainting model", 8: "an InstructPix2Pix model", 7: "an upscaler", 5: "a depth-to-image model"}
"""What a UNet that takes so many is; a plain one takes the 4 of a latent."""
OTHER_PARTS = {
    "text_encoder_3": "a Stable Diffusion 3 model",
    "transformer": "a model with a transformer in place of a UNet (Flux and others)",
}
"""Folders that are never read: a model that has them is refused for it."""


def architecture_of_folder(parts: Collection[str], name: str) -> Architecture:
    """Return the kind of a model in the diffusers layout by the folders it has; ``name`` is the model's, for errors.

    Raises:
        ModelError: it is of another kind (``model.unsupported``) or lacks a part (``model.incomplete``).
    """
    other = next((kind for part, kind in OTHER_PARTS.items() if part in parts), None)
    if "text_encoder_2" in parts and "text_encoder" not in parts:
        other = other or "an SDXL refiner"
    if other:
        raise ModelError(f"{name} is {other}", fix=TRAINABLE, code="model.unsupported")
    architecture = SDXL if "text_encoder_2" in parts else SD1
    missing = [part for part in architecture.parts if part not in parts]
    if missing:
        raise ModelError(
            f"{name} is no {architecture.name} in diffusers' layout: it lacks {', '.join(missing)}",
            fix=f"give a model that has model_index.json and the folders {', '.join(architecture.parts)}",
            code="model.incomplete",
        )
    return architecture
