"""Settings that few people use still end with a file, and those that can't work are refused before training."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline

from loratui_agent.model_path import resolve_model
from loratui_agent.train.conditioning import last_hidden_states
from loratui_agent.train.sampling import generate, load_pipeline
from loratui_agent.train.text import tokenize_in_chunks
from loratui_protocol import messages
from support.tiny_training import tiny_config, write_pictures
from support.trainer_process import trainer, write_job

pytestmark = [pytest.mark.torch, pytest.mark.timeout(200)]

PROMPTS = ("a zorbix on a red background",)


@pytest.mark.parametrize(
    "settings",
    [
        # A few steps at a low rate: the LoRA's effect is smaller than what bf16 rounds away.
        {"mixed_precision": "bf16", "learning_rate": 1e-5, "max_train_steps": 3},
        {"mixed_precision": "bf16", "clip_skip": 2, "max_train_steps": 2},
        {"network_train_text_encoder_only": True, "gradient_checkpointing": True, "max_train_steps": 2},
        {"resolution": (100, 76), "bucket_reso_steps": 32, "sample_prompts": PROMPTS, "max_train_steps": 1},
    ],
    ids=["young-lora-in-bf16", "clip-skip-in-bf16", "text-encoder-only", "resolution-of-no-whole-latents"],
)
def test_it_ends_with_a_file(tmp_path: Path, settings: dict[str, Any]):
    config = tiny_config(write_pictures(tmp_path / "pictures"), output_name="größe 1 %", **settings)
    with trainer(write_job(tmp_path / "job", config), tmp_path) as process:
        assert process.finish()["outcome"] == "done", process.log()
        process.wait_for(lambda event: isinstance(event, messages.Done))
        artifacts = process.of_type(messages.Artifact)
    [lora] = [artifact for artifact in artifacts if artifact.kind is messages.ArtifactKind.LORA]
    assert lora.id == "lora.safetensors"
    assert lora.name == "größe 1 %.safetensors"


@pytest.mark.parametrize("settings", [{"mixed_precision": "fp16"}, {"clip_skip": 9}], ids=["fp16", "clip-skip"])
@pytest.mark.skipif(torch.cuda.is_available(), reason="fp16 is possible here")
def test_what_the_machine_or_the_model_has_not_got_is_refused(tmp_path: Path, settings: dict[str, Any]):
    config = tiny_config(write_pictures(tmp_path / "pictures"), **settings)
    with trainer(write_job(tmp_path / "job", config), tmp_path) as process:
        outcome = process.finish()
    assert (outcome["outcome"], outcome["code"]) == ("failed", "config.value")


def test_a_base_model_without_its_weights_is_named_as_such(tmp_path: Path):
    base = tmp_path / "base"
    shutil.copytree(resolve_model("builtin:tiny"), base)
    for weights in (base / "unet").glob("*.safetensors"):
        weights.write_bytes(weights.read_bytes()[:1000])
    config = tiny_config(write_pictures(tmp_path / "pictures"), pretrained_model_name_or_path=str(base))
    with trainer(write_job(tmp_path / "job", config), tmp_path) as process:
        assert process.finish()["code"] == "model.incomplete"


def test_clip_skip_2_takes_the_layer_before_the_last_and_makes_pictures_with_it():
    pipeline: StableDiffusionPipeline = load_pipeline(resolve_model("builtin:tiny"))
    text_encoder = pipeline.text_encoder
    layers = [module for name, module in text_encoder.named_modules() if name.endswith("encoder.layers.0")]
    norms = [module for name, module in text_encoder.named_modules() if name.endswith("final_layer_norm")]
    outputs: list[torch.Tensor] = []
    hook = layers[0].register_forward_hook(
        lambda _module, _inputs, output: outputs.append(output[0] if isinstance(output, tuple) else output)
    )
    with torch.no_grad():
        ids_BKL = tokenize_in_chunks(pipeline.tokenizer, PROMPTS, None)
        hidden_BLD = last_hidden_states([text_encoder], [ids_BKL], 2).hidden_BLD
        expected_BLD = norms[0](outputs[0])
    hook.remove()
    assert torch.equal(hidden_BLD, expected_BLD)
    plain, skipped = (
        generate(pipeline, PROMPTS, [1], size_px=(64, 64), num_inference_steps=2, clip_skip=clip_skip)[0].tobytes()
        for clip_skip in (None, 2)
    )
    assert plain != skipped
