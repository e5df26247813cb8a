"""What the laptop counts of a LoRA before anything is loaded is what the trainer then attaches and writes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from loratui_agent.model_path import resolve_model
from loratui_agent.train import export, lora
from loratui_agent.train.conditioning import TextEncoder
from loratui_agent.train.kinds import SD1, SDXL, Kind
from loratui_protocol.config import TrainingConfig
from loratui_protocol.lora_names import lora_names
from loratui_protocol.lora_size import (
    SD1_NETWORK,
    SDXL_NETWORK,
    TINY_NETWORK,
    LoraSize,
    Network,
    lora_layers,
    lora_size,
    network_of,
)

KINDS = [
    (SD1, SD1.configs, SD1_NETWORK),
    (SDXL, SDXL.configs, SDXL_NETWORK),
    (SD1, resolve_model("builtin:tiny"), TINY_NETWORK),
]
CONFIG = TrainingConfig(pretrained_model_name_or_path="x", train_data_dir="x", network_dim=4)


def attached(kind: Kind, configs: Path, config: TrainingConfig) -> dict[str, UNet2DConditionModel | TextEncoder]:
    """Return the models that learn, without memory for their weights."""
    trained: dict[str, UNet2DConditionModel | TextEncoder] = {}
    with torch.device("meta"):
        if config.effective_unet_lr > 0:
            unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(configs / "unet"))
            lora.add_lora(unet, lora.unet_targets(unet), config)
            trained["unet"] = unet
        for part, rate in zip(kind.text_parts, config.effective_text_encoder_lrs, strict=False):
            if rate > 0:
                made = CLIPTextConfig.from_dict(json.loads((configs / part.name / "config.json").read_text("utf-8")))
                assert part.model in (CLIPTextModel, CLIPTextModelWithProjection)
                text_encoder = part.model(made)
                lora.add_lora(text_encoder, lora.text_encoder_targets(text_encoder), config)
                trained[part.name] = text_encoder
    return trained


@pytest.mark.parametrize(("kind", "configs", "network"), KINDS, ids=["SD 1.5", "SDXL", "tiny"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"network_train_unet_only": True, "network_args": {"conv_dim": 3.0}},
        {"network_train_text_encoder_only": True},
    ],
    ids=["everything", "convolutions", "text alone"],
)
def test_what_is_counted_is_what_is_trained(kind: Kind, configs: Path, network: Network, changes: dict[str, object]):
    config = replace(CONFIG, **changes)  # type: ignore[arg-type]
    found = [
        (part, each) for part, model in attached(kind, configs, config).items() for each in lora.lora_modules(model)
    ]
    modules = [each for _, each in found]
    layers = {lora_names(network.architecture, each.part, each.name)[0]: each for each in lora_layers(network, config)}
    assert {name: (layer.taken, layer.given) for name, layer in layers.items()} == {
        kind.lora_name(part, each.name): (each.down[0].numel(), each.up.shape[0]) for part, each in found
    }
    assert network_of(configs) == network
    numbers = sum(each.down.numel() + each.up.numel() for each in modules)
    assert lora_size(network, config) == LoraSize(len(modules), numbers)


def test_the_modules_are_those_that_kohya_has():
    unet_only = replace(CONFIG, network_train_unet_only=True)
    text_only = replace(CONFIG, network_train_text_encoder_only=True)
    first_only = replace(text_only, text_encoder_lr=(1e-4, 0.0))
    assert [lora_size(each, unet_only).num_modules for each in (SD1_NETWORK, SDXL_NETWORK)] == [192, 722]
    assert [lora_size(each, text_only).num_modules for each in (SD1_NETWORK, SDXL_NETWORK)] == [72, 72 + 192]
    assert lora_size(SDXL_NETWORK, first_only).num_modules == 72


@pytest.mark.parametrize(("kind", "network", "precision"), [(SD1, SD1_NETWORK, "float"), (SDXL, SDXL_NETWORK, "fp16")])
def test_a_file_is_as_large_as_it_was_said_to_be(tmp_path: Path, kind: Kind, network: Network, precision: str):
    names = {
        kind.lora_name(part, each.name): (each.down, each.up)
        for part, model in attached(kind, kind.configs, CONFIG).items()
        for each in lora.lora_modules(model)
    }
    dtype = export.DTYPES[precision]
    tensors = {f"{name}.alpha": torch.zeros((), dtype=dtype) for name in names}
    for name, (down, up) in names.items():
        tensors[f"{name}.lora_down.weight"] = torch.zeros(down.shape, dtype=dtype)
        tensors[f"{name}.lora_up.weight"] = torch.zeros(up.shape, dtype=dtype)
    export.write_lora(tmp_path / "x.safetensors", tensors, {})
    written = (tmp_path / "x.safetensors").stat().st_size
    assert lora_size(network, CONFIG).file_bytes(precision) == pytest.approx(written, rel=0.01)
