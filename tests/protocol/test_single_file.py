"""Which kind of model a single file is, is told from the names and shapes in its header, and said by name."""

from pathlib import Path

import pytest

from loratui_protocol.architecture import SD1, SDXL
from loratui_protocol.errors import ModelError
from loratui_protocol.safetensors_header import read_header
from loratui_protocol.single_file import Prediction, check_single_file, local_model, prediction_of
from support import checkpoint_headers as headers
from support.checkpoint_headers import Shape, sd15, sdxl, without, write_header

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model."


def vae_alone() -> dict[str, Shape]:
    return {name: shape for name, shape in sd15().items() if name.startswith(VAE)}


def refusal(path: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        check_single_file(path)
    assert str(path) in caught.value.what
    assert caught.value.fix
    return caught.value


def test_a_checkpoint_of_stable_diffusion_1_is_taken(tmp_path: Path):
    path = write_header(tmp_path / "my model.safetensors", {**sd15(), "alphas_cumprod": (1000,)})
    assert local_model(str(path)) == path
    noted = write_header(tmp_path / "notes.safetensors", sd15(), "F32", {"modelspec.prediction_type": "epsilon"})
    assert check_single_file(noted) is SD1


def test_so_is_one_of_sdxl_and_known_as_that(tmp_path: Path):
    assert check_single_file(write_header(tmp_path / "xl.safetensors", sdxl())) is SDXL
    v = write_header(tmp_path / "v.safetensors", {**sdxl(), "v_pred": (), "ztsnr": ()})
    assert check_single_file(v) is SDXL


def test_the_names_of_older_files_are_known(tmp_path: Path):
    old = {name.replace("transformer.text_model.", "transformer."): shape for name, shape in sd15().items()}
    check_single_file(write_header(tmp_path / "x.safetensors", old))


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (sdxl(channels=9), "an inpainting model: its UNet takes 9 channels"),
        (without(sdxl(width=1280), "conditioner."), "an SDXL refiner"),
        ({**sdxl(), "edm_mean": (1, 4, 1, 1)}, "an SDXL model that is trained in EDM's way"),
        (sdxl(width=1000), "no SDXL model"),
        ({"conditioner.embedders.0.model.transformer.resblocks.9.mlp.c_proj.bias": (1280,)}, "an SDXL refiner"),
        (headers.sd2(), "a Stable Diffusion 2.x model"),
        (without(headers.sd2(), TEXT), "a Stable Diffusion 2.x model"),
        ({f"{UNET}joint_blocks.0.context_block.adaLN_modulation.1.bias": (9216,)}, "a Stable Diffusion 3 model"),
        ({"double_blocks.0.img_attn.norm.key_norm.scale": (128,)}, "a Flux model"),
        ({f"{UNET}double_blocks.0.img_attn.qkv.weight": (9216, 3072), **vae_alone()}, "a Flux model"),
        ({"distilled_guidance_layer.in_proj.bias": (5120,), "double_blocks.0.img_mlp.0.bias": (1,)}, "a Chroma model"),
        ({"t_block.1.weight": (6912, 1152), "blocks.0.cross_attn.q_linear.weight": (1152, 1152)}, "a PixArt"),
        ({"adaln_single.linear.weight": (6912, 1152), "transformer_blocks.0.ff.net.2.bias": (1152,)}, "a PixArt model"),
        ({"model.double_layers.0.attn.w1q.weight": (3072, 3072)}, "an AuraFlow model"),
        ({f"{UNET}cap_embedder.0.weight": (2304,)}, "a Lumina"),
        ({"clip_txt_mapper.weight": (2048, 1280)}, "a Stable Cascade model"),
        (sd15(channels=9), "an inpainting model: its UNet takes 9 channels"),
        (sd15(channels=8), "an InstructPix2Pix model"),
        (sd15(width=512), "no Stable Diffusion 1.x model"),
    ],
)
def test_other_base_models_are_refused_by_name(tmp_path: Path, tensors: dict[str, Shape], said: str):
    error = refusal(write_header(tmp_path / "x.safetensors", tensors))
    assert error.code == "model.unsupported"
    assert said in error.what


@pytest.mark.parametrize(
    ("more", "said", "expected"),
    [
        ({}, "", Prediction(is_v=False)),
        ({}, "epsilon", Prediction(is_v=False)),
        ({}, "v", Prediction(is_v=True)),
        ({}, "v-prediction", Prediction(is_v=True)),
        ({"v_pred": ()}, "epsilon", Prediction(is_v=True)),
        ({"v_pred": (), "ztsnr": ()}, "", Prediction(is_v=True, is_zero_snr=True)),
    ],
)
def test_what_a_file_predicts_is_read_from_it(tmp_path: Path, more: dict[str, Shape], said: str, expected: Prediction):
    metadata = {"modelspec.prediction_type": said} if said else None
    path = write_header(tmp_path / "x.safetensors", {**sd15(), **more}, metadata=metadata)
    check_single_file(path)
    assert prediction_of(read_header(path), "x") == expected


def test_a_file_that_predicts_something_else_is_refused(tmp_path: Path):
    path = write_header(tmp_path / "x.safetensors", sd15(), metadata={"modelspec.prediction_type": "sample"})
    error = refusal(path)
    assert (error.code, "neither epsilon nor v" in error.what) == ("model.unsupported", True)


def test_quantised_weights_are_refused(tmp_path: Path):
    error = refusal(write_header(tmp_path / "x.safetensors", sd15(), "I8"))
    assert (error.code, "quantised" in error.what) == ("model.unsupported", True)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (headers.kohya_lora(), "a LoRA"),
        ({"double_blocks.0.img_attn.proj.lora_A.weight": (16, 3072)}, "a LoRA"),
        ({"lora_transformer_single_blocks_0_linear1.lora_down.weight": (16, 3072)}, "a LoRA"),
        ({"lycoris_down_blocks_0_attn1_to_q.lokr_w1": (8, 8)}, "a LoRA"),
        ({"lora_controlnet": (), "input_blocks.1.0.in_layers.2.up": (320, 8)}, "a ControlNet"),
        ({"controlnet_cond_embedding.conv_in.bias": (16,), "down_blocks.0.resnets.0.bias": (320,)}, "a ControlNet"),
        ({"adapter.body.0.block1.bias": (320,)}, "a T2I-Adapter"),
        ({"image_proj.proj.weight": (3072, 1024), "ip_adapter.1.to_k_ip.weight": (320, 768)}, "an IP-Adapter"),
        ({"down_blocks.0.motion_modules.0.temporal_transformer.norm.bias": (320,)}, "a motion module"),
        ({"input_blocks.0.0.weight": (320, 4, 3, 3)}, "a UNet without its text encoder and VAE"),
        ({"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k.lora_A.weight": (4, 320)}, "a LoRA"),
        ({"unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_k.lora.down.weight": (4, 1280)}, "a LoRA"),
        ({"lora_te_text_model_encoder_layers_0_mlp_fc1.hada_w1_a": (3072, 8)}, "a LoRA"),
        ({"control_model.time_embed.0.weight": (1280, 320)}, "a ControlNet"),
        ({**sd15(), "control_model.time_embed.0.weight": (1280, 320)}, "a ControlNet"),
        ({"emb_params": (8, 768)}, "an embedding"),
        ({"encoder.conv_in.weight": (128, 3, 3, 3)}, "a VAE"),
        ({"down_blocks.0.attentions.0.norm.weight": (320,)}, "one part of a diffusers folder"),
        ({"something": (1,)}, "no Stable Diffusion checkpoint"),
        ({}, "no Stable Diffusion checkpoint"),
    ],
)
def test_files_that_are_no_base_model_are_refused_by_name(tmp_path: Path, tensors: dict[str, Shape], said: str):
    error = refusal(write_header(tmp_path / "x.safetensors", tensors))
    assert error.code == "model.not_base"
    assert said in error.what


@pytest.mark.parametrize(
    ("whole", "prefix", "part"),
    [
        (sd15(), VAE, "VAE"),
        (sd15(), TEXT, "text encoder"),
        (sd15(), f"{UNET}out.", "UNet"),
        (sdxl(), VAE, "VAE"),
        (sdxl(), "conditioner.", "first text encoder"),
        (sdxl(), "conditioner.embedders.1.", "second text encoder"),
    ],
)
def test_a_checkpoint_without_one_of_its_parts_says_which(
    tmp_path: Path, whole: dict[str, Shape], prefix: str, part: str
):
    error = refusal(write_header(tmp_path / "x.safetensors", without(whole, prefix)))
    assert error.code == "model.incomplete"
    assert f"lacks its {part}" in error.what


def test_a_file_is_only_taken_under_its_own_suffix_and_a_missing_one_is_named(tmp_path: Path):
    assert refusal(write_header(tmp_path / "x.gguf", sd15())).code == "model.format"
    assert refusal(write_header(tmp_path / "x.ckpt", sd15())).code == "model.pickle"
    with pytest.raises(ModelError, match=r"model\.missing"):
        local_model(str(tmp_path / "nowhere.safetensors"))


def test_a_link_keeps_the_name_it_is_known_by(tmp_path: Path):
    blob = write_header(tmp_path / ("0" * 64), sd15())
    link = tmp_path / "x.safetensors"
    link.symlink_to(blob)
    assert local_model(str(link)) == link
