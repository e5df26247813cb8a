"""The LoRA sits on the modules that kohya trains, no more and no fewer."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from loratui_agent.train import lora
from loratui_agent.train.kinds import SD1
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


def sd15_names() -> set[str]:
    """Return the modules that sd-scripts writes for Stable Diffusion 1.5, from its own account of the structure."""
    blocks = [f"down_blocks_{level}_attentions_{n}" for level in (0, 1, 2) for n in (0, 1)]
    blocks += ["mid_block_attentions_0"]
    blocks += [f"up_blocks_{level}_attentions_{n}" for level in (1, 2, 3) for n in (0, 1, 2)]
    layers = [f"{attention}_{to}" for attention in ("attn1", "attn2") for to in ("to_q", "to_k", "to_v", "to_out_0")]
    layers += ["ff_net_0_proj", "ff_net_2"]
    inner = ["proj_in", "proj_out", *(f"transformer_blocks_0_{layer}" for layer in layers)]
    in_text = [f"self_attn_{name}_proj" for name in ("q", "k", "v", "out")] + ["mlp_fc1", "mlp_fc2"]
    return {f"lora_unet_{block}_{name}" for block in blocks for name in inner} | {
        f"lora_te_text_model_encoder_layers_{n}_{name}" for n in range(12) for name in in_text
    }


def test_on_the_real_structure_of_sd15_the_modules_and_their_names_are_kohyas():
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(SD1.configs, subfolder="unet"))
        text_encoder = CLIPTextModel(CLIPTextConfig.from_pretrained(SD1.configs / "text_encoder"))
    assert sum(parameter.numel() for parameter in unet.parameters()) == 859_520_964
    targets = {"unet": lora.unet_targets(unet), "text_encoder": lora.text_encoder_targets(text_encoder)}
    assert {part: len(names) for part, names in targets.items()} == {"unet": 192, "text_encoder": 72}
    written = {SD1.lora_name(part, name) for part, names in targets.items() for name in names}
    assert written == sd15_names()
    ends = ("lora_down.weight", "lora_up.weight")
    tensors = {f"{name}.{end}": torch.ones(1, 1) for name in written for end in ends}
    read, _ = StableDiffusionPipeline.lora_state_dict(
        tensors | {f"{name}.alpha": torch.tensor(1.0) for name in written}
    )
    assert len(read) == len(tensors)
    found = Counter(name.split(".")[0] for name in read)
    assert found == {"unet": 2 * 192, "text_encoder": 2 * 72}, "diffusers finds them all"


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


LOCON = replace(CONFIG, network_args={"conv_dim": 3.0, "conv_alpha": 1.5})


def test_on_sd15_conv_dim_adds_the_convolutions_of_all_blocks_with_a_rank_of_their_own():
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8)
    narrow, wide = lora.convolution_targets(unet)
    # 22 resnets with two convolutions and a projection of the time, 14 shortcuts, 3 ways down and 3 up.
    assert (len(narrow), len(wide)) == (22 + 14, 44 + 6)
    assert "down_blocks.0.downsamplers.0.conv" in wide
    assert {"mid_block.resnets.0.time_emb_proj", "up_blocks.3.resnets.2.conv_shortcut"} <= set(narrow)


def test_convolutions_have_their_own_rank_and_alpha():
    unet = small_unet()
    _, wide = lora.convolution_targets(unet)
    lora.add_lora(unet, lora.unet_targets(unet), LOCON)
    for module in lora.lora_modules(unet):
        rank, alpha = (3, 1.5) if module.name in wide else (4, 2.0)
        assert (module.down.shape[0], module.up.shape[1], module.alpha) == (rank, rank, alpha), module.name
    assert {module.name for module in lora.lora_modules(unet)} > set(wide)


def learned_unet(config: TrainingConfig) -> UNet2DConditionModel:
    unet = small_unet()
    lora.add_lora(unet, lora.unet_targets(unet), config)
    with torch.no_grad():
        for parameter in lora.trainable_parameters(unet):
            parameter.normal_()
    return unet


def test_the_norm_of_a_delta_is_that_of_what_is_added_to_the_weight():
    unet = learned_unet(LOCON)
    for module in lora.lora_modules(unet):
        layer = unet.get_submodule(module.name)
        delta = layer.get_delta_weight(lora.ADAPTER)
        assert module.delta_norm().item() == pytest.approx(delta.norm().item(), rel=1e-4), module.name


def test_too_large_deltas_are_scaled_down_and_others_left_alone():
    unet = learned_unet(LOCON)
    before = {module.name: (module.delta_norm(), module.down.clone()) for module in lora.lora_modules(unet)}
    most = float(torch.stack([norm for norm, _ in before.values()]).median())
    lora.scale_norms(unet, most)
    for module in lora.lora_modules(unet):
        norm, down = before[module.name]
        assert module.delta_norm().item() == pytest.approx(min(most, norm.item()), rel=1e-4)
        assert torch.equal(module.down, down) == (norm <= most).item()
