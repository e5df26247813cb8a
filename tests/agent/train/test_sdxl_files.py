"""An SDXL in a single file trains as the same model in a folder does, with what is packaged for files alone."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPTextConfig

from loratui_agent.train import single_file
from loratui_agent.train.base_hash import base_hash
from loratui_agent.train.kinds import SDXL
from loratui_agent.train.models import Models, load_models
from loratui_protocol import architecture
from loratui_protocol.errors import ModelError
from loratui_protocol.single_file import check_single_file
from support.checkpoint_headers import write_header
from support.single_file import ldm_name, open_clip_names, write_single_file
from support.tiny_run import new_run, take_steps, trained
from support.tiny_sdxl import write_tiny_sdxl

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SDXL as a diffusers folder."""
    return write_tiny_sdxl(tmp_path_factory.mktemp("base") / "xl")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    """The same as a single file."""
    return write_single_file(tmp_path_factory.mktemp("model") / "xl.safetensors", base)


def parts(models: Models) -> dict[str, nn.Module]:
    assert models.vae is not None
    return {"unet": models.unet, "vae": models.vae, **models.text_encoders}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_its_weights_are_those_of_the_folder_and_its_vae_is_never_halved(file: Path, base: Path, dtype: torch.dtype):
    from_file, from_folder = load_models(str(file), dtype, configs=base), load_models(str(base), dtype)
    assert from_file.kind is from_folder.kind is SDXL
    for name, expected in parts(from_folder).items():
        given = parts(from_file)[name].state_dict()
        assert given.keys() == expected.state_dict().keys()
        wanted = torch.float32 if name == "vae" else dtype
        assert {tensor.dtype for tensor in given.values()} == {wanted}
        assert all(torch.equal(given[key], tensor) for key, tensor in expected.state_dict().items()), name


def test_its_first_steps_are_bit_for_bit_those_of_the_folder(file: Path, base: Path, tmp_path: Path):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    from_file = new_run(tmp_path / "file", base, pretrained_model_name_or_path=str(file))
    from_folder = new_run(tmp_path / "folder", pretrained_model_name_or_path=str(base))
    assert take_steps(from_file, 2) == take_steps(from_folder, 2)
    given, expected = trained(from_file), trained(from_folder)
    assert all(torch.equal(given[key], tensor) for key, tensor in expected.items())
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("prefix", "part"),
    [
        ("model.diffusion_model.label_emb.", "unet"),
        ("conditioner.embedders.0.transformer.text_model.encoder.layers.1.mlp.", "text encoder"),
        ("conditioner.embedders.1.model.transformer.resblocks.1.attn.in_proj", "text encoder 2"),
    ],
)
def test_a_weight_that_is_not_in_it_is_never_made_up(file: Path, base: Path, tmp_path: Path, prefix: str, part: str):
    tensors = load_file(file)
    del tensors[next(name for name in sorted(tensors) if name.startswith(prefix))]
    path = tmp_path / "x.safetensors"
    save_file(tensors, path)
    with pytest.raises(ModelError, match=rf"model\.incomplete.*the {part} in"):
        load_models(str(path), torch.float32, configs=base)


def test_another_second_text_encoder_is_another_base_model(base: Path, tmp_path: Path):
    other = write_tiny_sdxl(tmp_path / "xl")
    assert base_hash(other) == base_hash(base), "the same model is the same wherever it lies"
    weights = other / "text_encoder_2" / "model.safetensors"
    save_file({key: tensor + 1 for key, tensor in load_file(weights).items()}, weights, metadata={"format": "pt"})
    assert base_hash(other) != base_hash(base)


def test_the_packaged_configs_are_those_of_sdxl(tmp_path: Path):
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(SDXL.configs, subfolder="unet"))
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(SDXL.configs, subfolder="vae"))
        clip, open_clip = (
            part.model(CLIPTextConfig.from_pretrained(SDXL.configs / part.name)) for part in SDXL.text_parts
        )
    assert vae.config.scaling_factor == 0.13025
    assert sum(parameter.numel() for parameter in vae.parameters()) == 83_653_863
    first, second = architecture.SDXL.text_prefixes
    shapes = {
        ldm_name(part, name, dict(module.config)): tuple(tensor.shape)
        for part, module in (("unet", unet), ("vae", vae))
        for name, tensor in module.state_dict().items()
    }
    shapes |= {
        f"{first}text_model.{name.removeprefix('text_model.')}": tuple(tensor.shape)
        for name, tensor in clip.state_dict().items()
    }
    shapes |= {
        f"{second}{name}": tuple(tensor.shape) for name, tensor in open_clip_names(open_clip.state_dict()).items()
    }
    for name, shape in {
        "model.diffusion_model.label_emb.0.0.weight": (1280, 2816),
        "model.diffusion_model.input_blocks.8.1.transformer_blocks.9.attn2.to_k.weight": (1280, 2048),
        "model.diffusion_model.output_blocks.5.2.conv.weight": (640, 640, 3, 3),
        "model.diffusion_model.middle_block.1.transformer_blocks.9.ff.net.0.proj.weight": (10240, 1280),
        f"{second}transformer.resblocks.31.attn.in_proj_weight": (3840, 1280),
        f"{second}transformer.resblocks.31.mlp.c_fc.weight": (5120, 1280),
        f"{second}text_projection": (1280, 1280),
    }.items():
        assert shapes[name] == shape
    assert check_single_file(write_header(tmp_path / "x.safetensors", shapes)) is architecture.SDXL


def test_the_second_tokenizer_pads_as_open_clip_does():
    first, second = (single_file.load_tokenizer(SDXL.configs / part.tokenizer) for part in SDXL.text_parts)
    for tokenizer, padding in ((first, 49407), (second, 0)):
        ids = tokenizer("a photo of a cat", padding="max_length").input_ids
        assert ids == [49406, 320, 1125, 539, 320, 2368, 49407, *[padding] * 70]
