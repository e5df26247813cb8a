"""SDXL trains, resumes, writes its file and draws with both text encoders and the sizes of the pictures."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from loratui_agent.train import evaluate, export, loop, lora, samples, saving
from loratui_agent.train.conditioning import time_ids
from loratui_agent.train.controls import Controls
from loratui_agent.train.kinds import SDXL
from loratui_agent.train.models import load_models
from loratui_agent.train.run import Run, add_optimizer
from loratui_agent.train.sampling import load_pipeline
from loratui_agent.train.text import Prompts
from loratui_protocol.buckets import Bucket, cover
from loratui_protocol.dataset import Picture
from loratui_protocol.errors import ConfigError, JobError
from loratui_protocol.messages import ArtifactKind
from loratui_protocol.safetensors_header import read_header
from support.tiny_run import new_run, take_steps, trained, warnings_of
from support.tiny_sdxl import write_tiny_sdxl
from support.tiny_training import write_pictures

pytestmark = pytest.mark.torch

CAPTIONS = ["a zorbix on a red background", ""]
PARTS = ("lora_unet", "lora_te1", "lora_te2")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SDXL as a diffusers folder."""
    return write_tiny_sdxl(tmp_path_factory.mktemp("base") / "xl")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sdxl_run(folder: Path, base: Path, **changes: object) -> Run:
    (folder / "artifacts").mkdir(parents=True, exist_ok=True)
    return new_run(folder, pretrained_model_name_or_path=str(base), **changes)


def learned(run: Run) -> set[str]:
    """Return the parts of the file whose LoRA does something."""
    ups = {key: tensor for key, tensor in trained(run).items() if key.endswith("lora_up.weight")}
    return {part for part in PARTS if any(tensor.any() for key, tensor in ups.items() if key.startswith(part))}


def test_its_text_is_what_diffusers_pipeline_conditions_on(base: Path):
    models = load_models(str(base), torch.float32)
    prompts = Prompts(models, trained=False, clip_skip=2)
    text = prompts.encode(CAPTIONS)
    pipeline = StableDiffusionXLPipeline.from_pretrained(base, local_files_only=True, add_watermarker=False)
    hidden, _, pooled, _ = pipeline.encode_prompt(CAPTIONS, do_classifier_free_guidance=False)
    assert torch.equal(text.hidden_BLD, hidden)
    assert text.pooled_BP is not None
    assert torch.equal(text.pooled_BP, pooled)
    prompts.prepare(CAPTIONS)
    models.text_encoders.clear()
    assert torch.allclose(prompts.encode(CAPTIONS).hidden_BLD, hidden, atol=1e-6), "cached, they are the same"


@pytest.mark.parametrize(("mirrored", "left"), [(False, 32), (True, 31)])
def test_a_pictures_sizes_are_its_own_those_of_its_crop_and_of_its_bucket(mirrored: bool, left: int):
    picture = Picture(path=Path("x.png"), name="x.png", width=1271, height=400, caption="")
    placement = cover(1271, 400, Bucket(1208, 400))
    assert placement.crop == (31, 0, 1239, 400)
    placement = replace(placement, crop=(32, 0, 1240, 400))
    assert time_ids(picture, placement, mirrored=mirrored) == (400, 1271, 0, left, 400, 1208)


def test_the_unet_is_told_them_and_the_text(tmp_path: Path, base: Path):
    for path in write_pictures(tmp_path / "pictures").rglob("*.png"):
        with Image.open(path) as picture:
            # Wider than tall, so that a mix-up would show.
            picture.resize((192, 96)).save(path)
    run = sdxl_run(tmp_path, base, enable_bucket=False, network_train_unet_only=True)
    told = []

    def forward(*arguments: object, added_cond_kwargs: dict[str, torch.Tensor]) -> object:
        told.append(added_cond_kwargs)
        return unet(*arguments, added_cond_kwargs=added_cond_kwargs)

    loop.encode_prompts(run)
    loop.cache_latents(run)
    add_optimizer(run)
    unet = run.models.unet.forward
    run.models.unet.forward = forward
    loop.take_step(run)
    assert told[0]["time_ids"].tolist() == [[96, 192, 0, 32, 64, 64]] * 2
    assert torch.equal(told[0]["text_embeds"], run.prompts.encode([CAPTIONS[0]] * 2).pooled_BP)


def test_all_three_parts_learn_each_at_its_own_rate(tmp_path: Path, base: Path):
    run = sdxl_run(tmp_path, base, unet_lr=1e-3, text_encoder_lr=(1e-4, 1e-5))
    losses = take_steps(run)
    assert all(loss > 0 for loss, _ in losses)
    groups = {group["name"]: group["lr"] for group in run.optimizer.param_groups}
    assert groups == {"unet": 1e-3, "text_encoder": 1e-4, "text_encoder_2": 1e-5}
    assert learned(run) == set(PARTS)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"network_train_unet_only": True}, {"lora_unet"}),
        ({"network_train_text_encoder_only": True}, {"lora_te1", "lora_te2"}),
        ({"text_encoder_lr": (1e-3, 0.0)}, {"lora_unet", "lora_te1"}),
        ({"text_encoder_lr": (0.0, 1e-3)}, {"lora_unet", "lora_te2"}),
        ({"text_encoder_lr": 0.0, "shuffle_caption": True}, {"lora_unet"}),
    ],
)
def test_a_part_without_a_rate_is_left_as_it_is(
    tmp_path: Path, base: Path, changes: dict[str, object], parts: set[str]
):
    run = sdxl_run(tmp_path, base, **changes)
    take_steps(run, 2)
    assert learned(run) == parts
    assert {part for part in PARTS if any(key.startswith(part) for key in trained(run))} == parts
    is_text_kept = changes.get("network_train_unet_only") is None
    assert bool(run.models.text_encoders) == is_text_kept, "text encoders that nobody needs any more are freed"
    saved = saving.save_lora(run, "tiny.safetensors", ArtifactKind.LORA)
    assert saved.size > 0


def test_a_rate_for_a_text_encoder_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="has one text encoder"):
        new_run(tmp_path, text_encoder_lr=(1e-4, 1e-5))


def test_clip_skip_has_no_effect_on_it_and_that_is_said(tmp_path: Path, base: Path):
    plain, skipping = (sdxl_run(tmp_path / str(n), base, clip_skip=n) for n in (None, 1))
    assert take_steps(plain, 1) == take_steps(skipping, 1)
    assert (warnings_of(plain), warnings_of(skipping)) == ([], ["config.overridden"])


def test_pictures_much_smaller_than_it_was_made_for_are_warned_of(tmp_path: Path, base: Path):
    small = sdxl_run(tmp_path, base, resolution=(32, 48), bucket_reso_steps=16)
    assert warnings_of(small) == ["plan.small_resolution"]


def test_interrupted_it_ends_as_if_it_never_was(tmp_path: Path, base: Path):
    settings = {"network_dropout": 0.1, "flip_aug": True, "text_encoder_lr": (1e-3, 1e-4)}
    whole = sdxl_run(tmp_path / "whole", base, **settings)
    take_steps(whole, 4)
    first = sdxl_run(tmp_path / "job", base, **settings)
    take_steps(first, 2)
    saving.save_checkpoint(first)
    second = sdxl_run(tmp_path / "job", base, **settings)
    take_steps(second, 0)
    state = saving.load_state(second)
    assert state is not None
    assert {name.split(".")[0] for name in state.tensors} == {"unet", "text_encoder", "text_encoder_2"}
    saving.restore(second, state)
    for _ in range(2):
        loop.take_step(second)
    expected, given = trained(whole), trained(second)
    assert expected.keys() == given.keys()
    assert all(torch.equal(given[key], tensor) for key, tensor in expected.items())


def test_its_file_says_what_it_is_for(tmp_path: Path, base: Path):
    run = sdxl_run(tmp_path, base, text_encoder_lr=(1e-4, 1e-5))
    take_steps(run, 1)
    saved = saving.save_lora(run, "tiny.safetensors", ArtifactKind.LORA)
    metadata = read_header(run.job.artifacts / saved.id).metadata
    assert metadata["ss_base_model_version"] == "sdxl_base_v1-0"
    assert metadata["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    assert metadata["ss_text_encoder_lr"] == "[0.0001, 1e-05]"
    assert metadata["modelspec.encoder_layer"] == "2"


def strong_run(folder: Path, base: Path) -> Run:
    """Return a run whose LoRA does much in every part."""
    run = sdxl_run(folder, base)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in run.parameters:
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return run


def test_a_fresh_pipeline_with_the_file_gives_the_training_models_output(tmp_path: Path, base: Path):
    run = strong_run(tmp_path, base)
    path = tmp_path / "x.safetensors"
    export.write_lora(path, trained(run), {})
    result = export.read_back(path, run.models, precision="float")
    assert max(result.unet_difference, result.text_encoder_difference) < 1e-4
    pipeline = load_pipeline(base)
    pipeline.load_lora_weights(path)
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(1, 4, 8, 8, generator=generator)
    with torch.no_grad():
        text = run.prompts.encode(CAPTIONS[:1])
        hidden, _, pooled, _ = pipeline.encode_prompt(CAPTIONS[0], do_classifier_free_guidance=False)
        assert text.pooled_BP is not None
        assert torch.allclose(text.hidden_BLD, hidden, atol=1e-5)
        assert torch.allclose(text.pooled_BP, pooled, atol=1e-5)
        added = text.added_cond_kwargs([(64, 64, 0, 0, 64, 64)])
        inputs = (latents, torch.tensor([400]), text.hidden_BLD)
        expected = run.models.unet.eval()(*inputs, added_cond_kwargs=added).sample
        given = pipeline.unet(*inputs, added_cond_kwargs=added).sample
    assert torch.allclose(given, expected, atol=1e-4)


def test_a_gpu_without_room_for_it_in_float32_leaves_the_check_to_the_cpu(tmp_path: Path, base: Path):
    run = strong_run(tmp_path, base)
    tries = 0

    def run_out_of_memory(*_: object) -> None:
        nonlocal tries
        tries += 1
        if tries == 3:  # with the second adapter loaded, of which nothing may be left
            raise torch.OutOfMemoryError

    run.models.unet.conv_in.register_forward_hook(run_out_of_memory)
    before = trained(run)
    export.write_lora(tmp_path / "x.safetensors", before, {})
    result = export.read_back(tmp_path / "x.safetensors", run.models, precision="float")
    assert max(result.unet_difference, result.text_encoder_difference) < 1e-4
    assert tries == 6
    after = trained(run)
    assert all(torch.equal(after[key], tensor) for key, tensor in before.items())


@pytest.mark.parametrize("part", PARTS)
def test_a_file_that_does_something_else_is_refused_and_removed(tmp_path: Path, base: Path, part: str):
    run = strong_run(tmp_path, base)
    right = trained(run)
    wrong = {k: v * 2 if k.startswith(part) and k.endswith("alpha") else v for k, v in right.items()}
    path = tmp_path / "x.safetensors"
    export.write_lora(path, wrong, {})
    with pytest.raises(JobError, match=r"export\.mismatch"):
        export.read_back(path, run.models, precision="float")
    assert not path.exists()
    after = trained(run)
    assert all(torch.equal(after[key], tensor) for key, tensor in right.items())


@pytest.fixture
def any_precision() -> Iterator[None]:
    """For as long as the test runs: accelerate holds on to the first precision of a process."""
    AcceleratorState._reset_state()
    yield
    AcceleratorState._reset_state()


@pytest.mark.usefixtures("any_precision")
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_it_draws_while_it_trains_and_with_the_finished_file(tmp_path: Path, base: Path, precision: str):
    run = sdxl_run(tmp_path, base, mixed_precision=precision, sample_prompts=("a zorbix",))
    take_steps(run, 1)
    samples.make_samples(run, Controls(run.reporter))
    with Image.open(run.job.artifacts / "sample-step00000001-00.png") as picture:
        assert picture.size == (64, 64)
    saved = saving.save_lora(run, "tiny.safetensors", ArtifactKind.LORA)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    file = run.job.artifacts / saved.id
    tryout = evaluate.Tryout(base, base, file, torch.device("cpu"), (64, 64), dtype=dtype)
    pictures = tryout.pictures(["a zorbix"], [1], 1.0, lambda _: None)
    assert [picture.size for picture in pictures] == [(64, 64)]


def real_models() -> dict[str, UNet2DConditionModel | CLIPTextModel | CLIPTextModelWithProjection]:
    """Return the models that the packaged configs describe, without their weights."""
    with torch.device("meta"):
        return {
            "unet": UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(SDXL.configs, subfolder="unet")),
            **{
                part.name: part.model(CLIPTextConfig.from_pretrained(SDXL.configs / part.name))
                for part in SDXL.text_parts
            },
        }


def test_on_the_real_structure_the_modules_and_their_names_are_kohyas():
    models = real_models()
    assert sum(parameter.numel() for parameter in models["unet"].parameters()) == 2_567_463_684
    assert sum(parameter.numel() for parameter in models["text_encoder_2"].parameters()) == 694_659_840
    targets = {
        name: lora.unet_targets(model) if name == "unet" else lora.text_encoder_targets(model)
        for name, model in models.items()
    }
    assert {name: len(names) for name, names in targets.items()} == {
        "unet": 722,
        "text_encoder": 72,
        "text_encoder_2": 192,
    }
    written = {SDXL.lora_name(part, name) for part, names in targets.items() for name in names}
    assert written == kohya_names()
    tensors = {f"{name}.{end}": torch.ones(1, 1) for name in written for end in ("lora_down.weight", "lora_up.weight")}
    tensors |= {f"{name}.alpha": torch.tensor(1.0) for name in written}
    read, _ = StableDiffusionXLPipeline.lora_state_dict(tensors, unet_config=models["unet"].config)
    expected = Counter(in_block(f"{part}.{name}") for part, names in targets.items() for name in names for _ in "du")
    assert Counter(map(in_block, read)) == expected, "diffusers finds them all in the places they are from"


def in_block(name: str) -> str:
    """Return the transformer block that a module is in: within it diffusers has its own names."""
    found = re.match(r"(unet\..*attentions\.\d(\.transformer_blocks\.\d)?|.*encoder\.layers\.\d+)", name)
    assert found, name
    return found[0].replace("text_model.", "")


def kohya_names() -> set[str]:
    """Return the modules that sd-scripts writes for SDXL, from its own account of the structure."""
    depths = {"input_blocks_4": 2, "input_blocks_5": 2, "input_blocks_7": 10, "input_blocks_8": 10}
    depths |= {"output_blocks_0": 10, "output_blocks_1": 10, "output_blocks_2": 10}
    depths |= {"output_blocks_3": 2, "output_blocks_4": 2, "output_blocks_5": 2, "middle_block": 10}
    layers = [f"{attention}_{to}" for attention in ("attn1", "attn2") for to in ("to_q", "to_k", "to_v", "to_out_0")]
    layers += ["ff_net_0_proj", "ff_net_2"]
    names = set()
    for block, depth in depths.items():
        names |= {f"lora_unet_{block}_1_proj_in", f"lora_unet_{block}_1_proj_out"}
        names |= {f"lora_unet_{block}_1_transformer_blocks_{n}_{layer}" for n in range(depth) for layer in layers}
    in_text = [f"self_attn_{name}_proj" for name in ("q", "k", "v", "out")] + ["mlp_fc1", "mlp_fc2"]
    for prefix, num_layers in (("lora_te1", 12), ("lora_te2", 32)):
        names |= {f"{prefix}_text_model_encoder_layers_{n}_{layer}" for n in range(num_layers) for layer in in_text}
    return names


def test_convolutions_have_kohyas_names_in_the_file_and_load(tmp_path: Path, base: Path):
    run = sdxl_run(tmp_path, base, network_args={"conv_dim": 2.0}, learning_rate=1e-2)
    take_steps(run, 3)
    names = {key.rsplit(".", 2)[0] for key in trained(run)}
    assert {
        "lora_unet_input_blocks_1_0_in_layers_2",
        "lora_unet_input_blocks_3_0_op",
        "lora_unet_input_blocks_4_0_emb_layers_1",
        "lora_unet_input_blocks_4_0_skip_connection",
        "lora_unet_middle_block_0_out_layers_3",
        "lora_unet_middle_block_2_in_layers_2",
        "lora_unet_output_blocks_2_2_conv",
    } <= {name.removesuffix(".lora_down").removesuffix(".lora_up") for name in names}
    assert not [name for name in names if "down_blocks" in name or "up_blocks" in name or "mid_block" in name]
    # It is read back, and would be refused if it did something else than what was learned.
    assert saving.save_lora(run, "tiny.safetensors", ArtifactKind.LORA).size > 0
