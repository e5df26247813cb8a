"""The LoRA sits on the modules that kohya trains, no more and no fewer."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from loratui_agent.train import lora
from loratui_protocol.config import TrainingConfig

pytestmark = pytest.mark.torch

CONFIG = TrainingConfig(pretrained_model_name_or_path="x", train_data_dir="x", network_dim=4, network_alpha=2.0)


def small_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=2,
        norm_num_groups=4,
    )


def test_sd15_has_192_modules_in_the_unet_and_72_in_the_text_encoder():
    with torch.device("meta"):
        # The defaults of the classes, with these sizes, are Stable Diffusion 1.5.
        unet = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8)
        text_encoder = CLIPTextModel(CLIPTextConfig(hidden_size=768, num_hidden_layers=12, num_attention_heads=12))
    assert len(lora.unet_targets(unet)) == 192
    assert len(lora.text_encoder_targets(text_encoder)) == 72


def test_a_fresh_lora_changes_nothing():
    unet = small_unet().eval()
    inputs = (torch.randn(1, 4, 8, 8), torch.tensor([5]), torch.randn(1, 7, 8))
    before = unet(*inputs).sample
    lora.add_lora(unet, lora.unet_targets(unet), CONFIG)
    assert torch.equal(unet(*inputs).sample, before)


def test_only_the_lora_is_trainable_and_in_float32():
    unet = small_unet().to(torch.bfloat16).requires_grad_(requires_grad=False)
    lora.add_lora(unet, lora.unet_targets(unet), CONFIG)
    trainable = [p for p in unet.parameters() if p.requires_grad]
    assert {p.dtype for p in trainable} == {torch.float32}
    assert sum(p.numel() for p in trainable) == sum(p.numel() for p in lora.trainable_parameters(unet))


def test_alpha_is_what_the_config_says_not_the_rank():
    unet = small_unet()
    lora.add_lora(unet, lora.unet_targets(unet), CONFIG)
    assert {module.alpha for module in lora.lora_modules(unet)} == {2.0}
