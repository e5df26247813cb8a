"""A base model in a single file trains as the same model in a folder does, bit for bit."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import nn

from loratui_agent.model_path import resolve_model
from loratui_agent.train import single_file
from loratui_agent.train.base_hash import base_hash
from loratui_agent.train.clip_vocabulary import PACKED_MERGES, unpack_vocabulary
from loratui_agent.train.kinds import SD1
from loratui_agent.train.metadata import file_metadata
from loratui_agent.train.models import Models, load_models
from loratui_agent.train.sampling import generate, load_pipeline
from loratui_protocol.errors import ModelError
from loratui_protocol.single_file import check_single_file
from support.checkpoint_headers import write_header
from support.single_file import ldm_name, write_single_file
from support.tiny_run import new_run, take_steps, trained

pytestmark = pytest.mark.torch

TINY = resolve_model("builtin:tiny")
PACKAGED = SD1.configs


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model as a single file."""
    return write_single_file(tmp_path_factory.mktemp("model") / "tiny v1.safetensors", TINY)


def parts(models: Models) -> dict[str, nn.Module]:
    assert models.vae is not None
    return {"unet": models.unet, "vae": models.vae, **models.text_encoders}


def assert_same_weights(one: Models, other: Models) -> None:
    for name, part in parts(other).items():
        expected, given = part.state_dict(), parts(one)[name].state_dict()
        assert given.keys() == expected.keys()
        assert all(given[key].dtype == tensor.dtype for key, tensor in expected.items()), name
        assert all(torch.equal(given[key], tensor) for key, tensor in expected.items()), name
        assert not any(parameter.requires_grad for parameter in parts(one)[name].parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_its_weights_are_those_of_the_folder(file: Path, dtype: torch.dtype):
    assert_same_weights(load_models(str(file), dtype, configs=TINY), load_models(str(TINY), dtype))


def test_so_are_those_of_a_file_with_the_names_of_older_ones(tmp_path: Path):
    old = write_single_file(tmp_path / "old.safetensors", TINY, old_text_encoder=True)
    assert_same_weights(load_models(str(old), torch.float32, configs=TINY), load_models(str(TINY), torch.float32))


@pytest.mark.usefixtures("one_thread")
def test_its_first_steps_are_bit_for_bit_those_of_the_folder(file: Path, tmp_path: Path):
    from_file = new_run(tmp_path / "file", TINY, pretrained_model_name_or_path=str(file))
    from_folder = new_run(tmp_path / "folder", pretrained_model_name_or_path=str(TINY))
    assert take_steps(from_file) == take_steps(from_folder)
    assert all(torch.equal(trained(from_file)[key], tensor) for key, tensor in trained(from_folder).items())


@pytest.mark.usefixtures("one_thread")
def test_a_fresh_pipeline_draws_the_same_picture_from_both(file: Path):
    def picture(path: Path) -> bytes:
        pipeline = load_pipeline(path, configs=TINY)
        [made] = generate(pipeline, ["a red circle"], [1], size_px=(64, 64), num_inference_steps=3)
        return made.tobytes()

    assert picture(file) == picture(TINY)


def test_the_lora_names_the_file_and_its_hashes_as_sd_scripts_does(file: Path, tmp_path: Path):
    run = new_run(tmp_path, TINY, pretrained_model_name_or_path=str(file))
    metadata = file_metadata(
        run.config, run.dataset, run.plan, step=3, base=run.base, seed=7, precision="no", kind=SD1, is_v=False
    )
    content = file.read_bytes()
    assert metadata["ss_sd_model_name"] == "tiny v1.safetensors"
    assert metadata["ss_new_sd_model_hash"] == hashlib.sha256(content).hexdigest()
    assert metadata["ss_sd_model_hash"] == hashlib.sha256(content[0x100000:0x110000]).hexdigest()[:8]
    assert base_hash(TINY).short == ""


@pytest.mark.parametrize(
    ("prefix", "part"),
    [
        ("model.diffusion_model.input_blocks.2.", "unet"),
        ("model.diffusion_model.output_blocks.1.0.in_layers.", "unet"),
        ("first_stage_model.decoder.mid.block_1.", "vae"),
        ("cond_stage_model.transformer.text_model.encoder.layers.1.mlp.", "text encoder"),
    ],
)
def test_a_weight_that_is_not_in_it_is_never_made_up(file: Path, tmp_path: Path, prefix: str, part: str):
    tensors = load_file(file)
    del tensors[next(name for name in sorted(tensors) if name.startswith(prefix))]
    path = tmp_path / "x.safetensors"
    save_file(tensors, path)
    with pytest.raises(ModelError, match=rf"model\.incomplete.*{part}"):
        load_models(str(path), torch.float32, configs=TINY)


def test_a_file_of_another_kind_is_refused_before_it_is_loaded(file: Path):
    # The tiny model is no Stable Diffusion 1.x in its widths: only its own configs fit it.
    with pytest.raises(ModelError, match=r"model\.unsupported"):
        load_models(str(file), torch.float32)


def packaged_shapes() -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of a whole checkpoint that the packaged configs describe."""
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(PACKAGED, subfolder="unet"))
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(PACKAGED, subfolder="vae"))
    assert sum(parameter.numel() for parameter in unet.parameters()) == 859_520_964
    assert sum(parameter.numel() for parameter in vae.parameters()) == 83_653_863
    return {
        ldm_name(part, name, dict(module.config)): tuple(tensor.shape)
        for part, module in (("unet", unet), ("vae", vae))
        for name, tensor in module.state_dict().items()
    }


def test_the_packaged_configs_are_those_of_stable_diffusion_1(tmp_path: Path):
    shapes = packaged_shapes()
    for name, shape in {
        "model.diffusion_model.input_blocks.11.0.out_layers.3.weight": (1280, 1280, 3, 3),
        "model.diffusion_model.output_blocks.11.0.skip_connection.weight": (320, 640, 1, 1),
        "model.diffusion_model.output_blocks.8.2.conv.weight": (640, 640, 3, 3),
        "first_stage_model.encoder.down.2.block.0.nin_shortcut.weight": (512, 256, 1, 1),
        "first_stage_model.decoder.up.0.block.2.conv2.weight": (128, 128, 3, 3),
    }.items():
        assert shapes[name] == shape
    text = "cond_stage_model.transformer.text_model."
    shapes |= {
        f"{text}embeddings.token_embedding.weight": (49408, 768),
        f"{text}embeddings.position_embedding.weight": (77, 768),
        f"{text}final_layer_norm.weight": (768,),
    }
    check_single_file(write_header(tmp_path / "x.safetensors", shapes))


def test_the_packaged_tokenizer_is_clips(tmp_path: Path):
    tokenizer = single_file.load_tokenizer(PACKAGED / "tokenizer")
    assert len(tokenizer) == 49408
    assert tokenizer.model_max_length == 77
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert tokenizer("Hello  World").input_ids == [49406, 3306, 1002, 49407]
    assert tokenizer("", padding="max_length").input_ids == [49406, *[49407] * 76]
    unpack_vocabulary(PACKAGED / "tokenizer" / PACKED_MERGES, tmp_path)
    merges = hashlib.sha256((tmp_path / "merges.txt").read_bytes()).hexdigest()
    assert merges == "9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a"
    vocabulary = json.loads((tmp_path / "vocab.json").read_text("utf-8"))
    assert sorted(vocabulary.values()) == list(range(49408))
