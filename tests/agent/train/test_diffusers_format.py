"""On request the file is one of diffusers' own: it loads there, and does what was trained."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig

from loratui_agent.train import export, saving
from loratui_agent.train.diffusers_format import ADAPTER_METADATA, adapter_metadata, diffusers_state_dict
from loratui_agent.train.lora import trainable_parameters
from loratui_agent.train.run import Run
from loratui_agent.train.sampling import load_pipeline
from loratui_protocol.errors import JobError
from loratui_protocol.messages import ArtifactKind
from loratui_protocol.safetensors_header import Header, read_header
from support.tiny_run import new_run
from support.tiny_sdxl import write_tiny_sdxl

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]
LOCON = {"conv_dim": 2.0, "conv_alpha": 0.5}


def learned(folder: Path, **changes: Any) -> Run:
    settings = {"save_format": "diffusers", "save_precision": "float", "network_alpha": 2.0, "network_args": LOCON}
    run = new_run(folder, **{**settings, **changes})
    run.job.artifacts.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in (each for model in run.trained.values() for each in trainable_parameters(model)):
            parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
    return run


def saved(run: Run) -> tuple[Path, Header]:
    path = run.job.artifacts / saving.save_lora(run, "tiny.safetensors", ArtifactKind.LORA).id
    return path, read_header(path)


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_diffusers_loads_it_with_every_rank_and_alpha(tmp_path: Path, kind: str):
    base = {} if kind == "sd1" else {"pretrained_model_name_or_path": str(write_tiny_sdxl(tmp_path / "sdxl"))}
    run = learned(tmp_path, save_format="diffusers", **base)
    path, header = saved(run)  # reads it back, too
    assert {name.split(".")[0] for name in header.tensors} == set(run.trained)
    assert {name.split(".", 1)[1].rpartition(".lora_")[2] for name in header.tensors} == {"A.weight", "B.weight"}
    pipeline = load_pipeline(run.models.path)
    pipeline.load_lora_weights(path, adapter_name="x")
    for part, model in run.trained.items():
        loaded, own = dict(getattr(pipeline, part).named_modules()), dict(model.named_modules())
        scalings = {name: layer.scaling["x"] for name, layer in loaded.items() if hasattr(layer, "lora_A")}
        assert scalings == {name: layer.scaling["default"] for name, layer in own.items() if hasattr(layer, "lora_A")}
        assert set(scalings.values()) == ({0.5, 0.25} if part == "unet" else {0.5})
        for name in scalings:
            assert torch.equal(loaded[name].lora_A["x"].weight, own[name].lora_A["default"].weight)
            assert torch.equal(loaded[name].lora_B["x"].weight, own[name].lora_B["default"].weight)


def test_what_peft_is_told_is_a_config_of_its_own(tmp_path: Path):
    run = learned(tmp_path, network_train_unet_only=True)
    _, header = saved(run)
    said = json.loads(header.metadata["lora_adapter_metadata"])
    config = LoraConfig(**{name.removeprefix("unet."): value for name, value in said.items()})
    assert (config.r, config.lora_alpha) == (4, 2)
    assert config.rank_pattern["mid_block.resnets.0.conv1"] == 2
    assert config.alpha_pattern["mid_block.resnets.0.conv1"] == 0.5
    assert config.rank_pattern.keys() == config.alpha_pattern.keys() < config.target_modules
    assert header.metadata["ss_network_dim"] == "4"
    assert header.metadata["modelspec.sai_model_spec"] == "1.0.1", "other readers are told as much as of kohya's file"


def test_the_names_in_the_file_do_not_decide_the_weights(tmp_path: Path):
    run = learned(tmp_path)
    again = learned(tmp_path, save_format="kohya")
    assert run.identity == again.identity
    _, header = saved(again)
    assert "lora_adapter_metadata" not in header.metadata
    assert all(name.startswith("lora_") for name in header.tensors)


def test_a_file_that_says_another_alpha_is_refused(tmp_path: Path):
    run = learned(tmp_path)
    said = adapter_metadata(run.trained)[ADAPTER_METADATA].replace('lora_alpha": 2', 'lora_alpha": 4')
    path = tmp_path / "x.safetensors"
    export.write_lora(path, diffusers_state_dict(run.trained, torch.float32), {ADAPTER_METADATA: said})
    with pytest.raises(JobError, match=r"export\.mismatch"):
        export.read_back(path, run.models, precision="float")
