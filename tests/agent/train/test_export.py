"""The file is what kohya, A1111, ComfyUI and diffusers expect, and does what was trained."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors import safe_open
from torch import nn

from loratui_agent.train import export, lora
from loratui_agent.train.models import Models, load_models
from loratui_agent.train.sampling import load_pipeline
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import JobError

pytestmark = pytest.mark.torch

CONFIG = TrainingConfig(
    pretrained_model_name_or_path="builtin:tiny", train_data_dir="x", network_dim=8, network_alpha=2.0
)


@pytest.fixture
def models() -> Models:
    """The built-in model with a LoRA that has learned something."""
    return learned(load_models("builtin:tiny", torch.float32), CONFIG)


def learned(models: Models, config: TrainingConfig) -> Models:
    lora.add_lora(models.unet, lora.unet_targets(models.unet), config)
    for text_encoder in models.text_encoders.values():
        lora.add_lora(text_encoder, lora.text_encoder_targets(text_encoder), config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in (p for each in learning(models).values() for p in lora.trainable_parameters(each)):
            parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
    return models


def learning(models: Models) -> dict[str, nn.Module]:
    return {"unet": models.unet, **models.text_encoders}


def tensors(models: Models, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    return export.kohya_state_dict(models.kind, learning(models), dtype)


def test_keys_are_kohyas_three_a_module(models: Models):
    keys = set(tensors(models))
    for module in (
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0",
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_ff_net_0_proj",
        "lora_unet_mid_block_attentions_0_proj_in",
        "lora_te_text_model_encoder_layers_0_self_attn_out_proj",
        "lora_te_text_model_encoder_layers_1_mlp_fc2",
    ):
        assert {f"{module}.alpha", f"{module}.lora_down.weight", f"{module}.lora_up.weight"} <= keys
    assert len(keys) == 3 * (120 + 12)


def test_convolutions_are_written_with_their_own_alpha_and_load(tmp_path: Path):
    config = replace(CONFIG, network_args={"conv_dim": 4.0, "conv_alpha": 1.0})
    models = learned(load_models("builtin:tiny", torch.float32), config)
    written = tensors(models)
    name = "lora_unet_down_blocks_0_resnets_0_conv1"
    assert written[f"{name}.lora_down.weight"].shape[0::2] == (4, 3)
    assert written[f"{name}.lora_up.weight"].shape[1:] == (4, 1, 1)
    assert written[f"{name}.alpha"] == 1.0
    path = tmp_path / "locon.safetensors"
    export.write_lora(path, written, {})
    found = export.read_back(path, models, precision="float")
    assert found.unet_difference < 1e-3


def test_alpha_and_shapes_are_true(models: Models):
    written = tensors(models)
    assert {value.item() for key, value in written.items() if key.endswith(".alpha")} == {2.0}
    assert {value.shape[0] for key, value in written.items() if key.endswith("lora_down.weight")} == {8}
    assert written["lora_unet_mid_block_attentions_0_proj_in.lora_down.weight"].dim() == 4


@pytest.mark.parametrize("precision", ["float", "fp16", "bf16"])
def test_the_file_does_what_the_training_model_does(models: Models, tmp_path: Path, precision: str):
    path = tmp_path / "x.safetensors"
    export.write_lora(path, tensors(models, export.DTYPES[precision]), {"ss_v2": "False"})
    result = export.read_back(path, models, precision=precision)
    assert result.unet_difference < {"float": 1e-4, "fp16": 5e-3, "bf16": 5e-2}[precision]
    assert result.text_encoder_difference < {"float": 1e-4, "fp16": 5e-3, "bf16": 5e-2}[precision]


def test_a_fresh_pipeline_with_the_file_gives_the_training_models_output(models: Models, tmp_path: Path):
    path = tmp_path / "x.safetensors"
    export.write_lora(path, tensors(models), {})
    pipeline: StableDiffusionPipeline = load_pipeline(models.path)
    pipeline.load_lora_weights(path)
    latents, hidden = torch.randn(1, 4, 16, 16), torch.randn(1, 77, 64)
    with torch.no_grad():
        expected = models.unet.eval()(latents, torch.tensor([400]), hidden).sample
        given = pipeline.unet(latents, torch.tensor([400]), hidden).sample
    assert torch.allclose(given, expected, atol=1e-5)


def test_reading_back_leaves_the_training_weights_and_adapters_alone(models: Models, tmp_path: Path):
    before = tensors(models)
    export.write_lora(tmp_path / "x.safetensors", before, {})
    export.read_back(tmp_path / "x.safetensors", models, precision="float")
    after = tensors(models)
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert models.unet.active_adapters() == [lora.ADAPTER]
    assert all(p.requires_grad for p in lora.trainable_parameters(models.unet))


@pytest.mark.parametrize("part", ["lora_unet", "lora_te"])
def test_a_file_that_does_something_else_is_refused_and_removed(models: Models, tmp_path: Path, part: str):
    wrong = {k: v * 2 if k.startswith(part) and k.endswith("alpha") else v for k, v in tensors(models).items()}
    path = tmp_path / "x.safetensors"
    export.write_lora(path, wrong, {})
    with pytest.raises(JobError, match=r"export\.mismatch"):
        export.read_back(path, models, precision="float")
    assert not path.exists()


@pytest.mark.parametrize("part", ["lora_unet", "lora_te"])
def test_a_file_that_gives_nan_is_refused_whichever_part_it_is_in(models: Models, tmp_path: Path, part: str):
    wrong = {k: v * torch.nan if k.startswith(part) else v for k, v in tensors(models).items()}
    path = tmp_path / "x.safetensors"
    export.write_lora(path, wrong, {})
    with pytest.raises(JobError, match=r"export\.mismatch"):
        export.read_back(path, models, precision="float")
    assert not path.exists()


def test_a_base_model_in_bf16_is_left_as_it_was(tmp_path: Path):
    models = load_models("builtin:tiny", torch.bfloat16)
    lora.add_lora(models.unet, lora.unet_targets(models.unet), CONFIG)
    before = {name: parameter.detach().clone() for name, parameter in models.unet.named_parameters()}
    export.write_lora(
        tmp_path / "x.safetensors", export.kohya_state_dict(models.kind, {"unet": models.unet}, torch.float16), {}
    )
    export.read_back(tmp_path / "x.safetensors", models, precision="fp16")
    after = dict(models.unet.named_parameters())
    assert after.keys() == before.keys()
    assert all(after[name].dtype == before[name].dtype for name in before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_the_same_weights_give_the_same_bytes(models: Models, tmp_path: Path):
    for name in ("a", "b"):
        export.write_lora(tmp_path / name, tensors(models, torch.float16), {"ss_v2": "False", "ss_seed": "1"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_header_carries_the_metadata_and_the_tensors_hash(models: Models, tmp_path: Path):
    written = tensors(models)
    export.write_lora(tmp_path / "x", written, {"ss_network_dim": "8"})
    with safe_open(tmp_path / "x", "pt") as file:
        metadata = file.metadata()
    assert metadata["ss_network_dim"] == "8"
    content = (tmp_path / "x").read_bytes()
    behind_the_header = content[8 + int.from_bytes(content[:8], "little") :]
    assert metadata["modelspec.hash_sha256"] == f"0x{hashlib.sha256(behind_the_header).hexdigest()}"
