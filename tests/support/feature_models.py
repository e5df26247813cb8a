"""Feature models as transformers saves them, as small as they come: random, and so the same for whoever asks."""

from pathlib import Path

import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTokenizer,
    Dinov2Config,
    Dinov2Model,
    ViTConfig,
    ViTModel,
)

from loratui_agent.model_path import BUILTIN_MODELS

SIDE_PX = 32


def files_in(folder: Path) -> dict[str, bytes]:
    """Return what a folder has, as a hub has it."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_dino(folder: Path) -> Path:
    """Write a Dinov2 model into a folder, and return that."""
    torch.manual_seed(5)
    config = Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=SIDE_PX, patch_size=8
    )
    Dinov2Model(config).save_pretrained(folder)
    return folder


def write_first_dino(folder: Path) -> Path:
    """Write a model as the first DINO's is, without a pooling layer, into a folder, and return that."""
    torch.manual_seed(7)
    size = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ViTModel(ViTConfig(**size, image_size=SIDE_PX, patch_size=8), add_pooling_layer=False).save_pretrained(folder)
    return folder


def write_clip(folder: Path) -> Path:
    """Write a CLIP model, with the tokenizer of the built-in base model, into a folder, and return that."""
    torch.manual_seed(6)
    tokenizer = CLIPTokenizer.from_pretrained(BUILTIN_MODELS["tiny"] / "tokenizer", local_files_only=True)
    ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    size = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={"vocab_size": len(tokenizer), **size, **ends},
        vision_config={"image_size": SIDE_PX, "patch_size": 8, **size},
        projection_dim=16,
    )
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
