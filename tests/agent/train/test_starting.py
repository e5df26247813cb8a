"""A training goes on from a LoRA file with what is in it, or says why it can't before any base model is loaded."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from loratui_agent.model_path import resolve_model
from loratui_agent.train import saving
from loratui_agent.train.kinds import SDXL
from loratui_protocol.errors import ConfigError, ModelError, StorageError
from loratui_protocol.lora_file import start_of
from loratui_protocol.lora_names import lora_names
from loratui_protocol.lora_size import SD1_NETWORK, SDXL_NETWORK, TINY_NETWORK, Network, lora_layers, network_of
from loratui_protocol.messages import ArtifactKind
from support.tiny_run import new_run, take_steps, trained
from support.tiny_sdxl import write_tiny_sdxl
from support.tiny_training import tiny_config

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]
CONV = {"conv_dim": 2.0, "conv_alpha": 1.0}


def write_start(
    path: Path, network: Network = TINY_NETWORK, *, dtype: torch.dtype = torch.float32, **changes: Any
) -> Path:
    """Write a LoRA file of random numbers, as a training with such a config would."""
    config = tiny_config(path, **changes)
    torch.manual_seed(3)
    tensors: dict[str, Tensor] = {}
    for layer in lora_layers(network, config):
        name = lora_names(network.architecture, layer.part, layer.name)[0]
        rank, alpha = (config.conv_dim, config.conv_alpha) if layer.is_wide else (config.network_dim, config.alpha)
        assert rank
        side = (3, 3) if layer.is_wide else ()
        tensors[f"{name}.alpha"] = torch.tensor(alpha, dtype=dtype)
        channels = layer.taken // 9 if layer.is_wide else layer.taken
        tensors[f"{name}.lora_down.weight"] = torch.randn(rank, channels, *side, dtype=dtype) / 8
        tensors[f"{name}.lora_up.weight"] = torch.randn(layer.given, rank, *([1] * len(side)), dtype=dtype) / 8
    save_file(tensors, path)
    return path


def rewrite(path: Path, change: Any) -> Path:
    save_file(dict(change(name, tensor) for name, tensor in load_file(path).items()), path)
    return path


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_training_begins_with_what_the_file_holds_and_learns_on(tmp_path: Path, dtype: torch.dtype):
    path = write_start(tmp_path / "a.safetensors", dtype=dtype, network_alpha=2.0, network_args=CONV)
    run = new_run(tmp_path, network_weights=str(path), network_args={"conv_dim": 2.0})
    held = {name: tensor.float() for name, tensor in load_file(path).items()}
    begun = {name: tensor.clone() for name, tensor in trained(run).items()}
    assert begun.keys() == held.keys()
    assert all(torch.equal(begun[name].flatten(), held[name].flatten()) for name in held)
    assert (run.config.network_alpha, run.config.conv_alpha) == (2.0, 1.0), "what the config leaves open is the file's"
    assert take_steps(run, 1)[0][1] > 0
    one = "lora_unet_mid_block_attentions_0_proj_in.lora_up.weight"
    assert not torch.equal(trained(run)[one], begun[one])


def test_what_we_write_can_be_gone_on_from(tmp_path: Path):
    first = new_run(tmp_path, save_precision="float")
    take_steps(first, 2)
    first.job.artifacts.mkdir()
    saved = saving.save_lora(first, "a.safetensors", ArtifactKind.LORA)
    second = new_run(tmp_path, network_weights=str(first.job.artifacts / saved.id))
    assert all(torch.equal(tensor, trained(first)[name]) for name, tensor in trained(second).items())


def test_each_module_may_have_its_own_rank_and_alpha_from_the_file(tmp_path: Path):
    path = write_start(tmp_path / "a.safetensors", network_dim=2, network_args=CONV)
    one = "lora_unet_mid_block_attentions_0_proj_in"
    more = {
        f"{one}.alpha": torch.tensor(6.0),
        f"{one}.lora_down.weight": torch.ones(3, 64, 1, 1),
        f"{one}.lora_up.weight": torch.ones(64, 3, 1, 1),
    }
    rewrite(path, lambda name, tensor: (name, more.get(name, tensor)))
    with pytest.raises(ConfigError, match="network_dim is 2"):
        new_run(tmp_path, network_weights=str(path), network_dim=2, network_args=CONV)
    run = new_run(tmp_path, network_weights=str(path), dim_from_weights=True)
    held, begun = load_file(path), trained(run)
    assert begun.keys() == held.keys()
    assert all(torch.equal(begun[name].flatten(), held[name].flatten()) for name in held)
    assert (run.config.network_dim, run.config.conv_dim, run.config.conv_alpha) == (2, 2, 1.0)


@pytest.mark.parametrize("is_sgm", [True, False], ids=["as sd-scripts writes", "diffusers' names"])
def test_both_ways_of_naming_sdxl_are_read(tmp_path: Path, is_sgm: bool):
    model = write_tiny_sdxl(tmp_path / "model")
    network = network_of(model)
    path = write_start(tmp_path / "a.safetensors", network)
    if not is_sgm:
        places = [(SDXL.architecture, each.part, each.name) for each in lora_layers(network, tiny_config(tmp_path))]
        others = {lora_names(*place)[0]: lora_names(*place)[-1] for place in places}
        rewrite(path, lambda name, tensor: (_renamed(name, others), tensor))
    run = new_run(tmp_path, pretrained_model_name_or_path=str(model), network_weights=str(path))
    held, begun = load_file(path), trained(run)
    assert sorted(map(float, (each.norm() for each in held.values()))) == sorted(
        map(float, (each.norm() for each in begun.values()))
    )
    assert any("input_blocks" in name for name in held) is is_sgm


def _renamed(name: str, others: dict[str, str]) -> str:
    module, _, rest = name.partition(".")
    return f"{others[module]}.{rest}"


MISFITS = [
    ({"network_dim": 8}, {}, "network_dim is 4, .* has rank 8", "network_dim = 8"),
    ({"network_alpha": 1.0}, {"network_alpha": 4.0}, "network_alpha is 4, .* alpha 1", "network_alpha = 1"),
    ({"network_train_unet_only": True}, {}, "nothing of the text encoder", "network_train_unet_only = true"),
    ({}, {"network_train_unet_only": True}, "changes the text encoder", "leave out network_train_unet_only"),
    ({}, {"network_train_text_encoder_only": True}, "changes the UNet", "leave out"),
    ({"network_args": CONV}, {}, "has convolutions, too", "conv_dim=2"),
    ({}, {"network_args": CONV}, "lacks convolutions", "leave out conv_dim"),
    ({"network_args": CONV}, {"network_args": {"conv_dim": 4.0}}, "conv_dim is 4", "conv_dim = 2"),
]


@pytest.mark.parametrize(("written", "asked", "why", "fix"), MISFITS)
def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path: Path, written: Any, asked: Any, why: str, fix: str):
    path = write_start(tmp_path / "a.safetensors", **written)
    config = tiny_config(tmp_path, network_weights=str(path), **asked)
    with pytest.raises(ConfigError, match=why) as refused:
        start_of(config, TINY_NETWORK)
    assert refused.value.code == "weights.misfit"
    assert fix in refused.value.fix


@pytest.mark.parametrize(
    ("of", "given", "called"),
    [(SDXL_NETWORK, SD1_NETWORK, "SDXL"), (SD1_NETWORK, SDXL_NETWORK, "Stable Diffusion 1.x")],
)
def test_a_lora_for_another_base_model_is_refused_by_its_name(tmp_path: Path, of: Network, given: Network, called: str):
    path = write_start(tmp_path / "a.safetensors", of, network_dim=1, dtype=torch.float16)
    config = tiny_config(tmp_path, network_dim=1, network_weights=str(path))
    start_of(config, of)
    with pytest.raises(ConfigError, match=f"it is for {called}, the base model is") as refused:
        start_of(config, given)
    assert refused.value.code == "weights.other_base"


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("lora_unet_x.dora_scale", "a DoRA"),
        ("lora_unet_x.hada_w1_a", "a LoHa"),
        ("lora_unet_x.lokr_w1", "a LoKr"),
        ("lora_unet_x.oft_blocks", "an OFT"),
        ("unet.down_blocks.0.attentions.0.proj_in.lora_A.weight", "under diffusers' names"),
        ("model.diffusion_model.input_blocks.0.0.weight", "no LoRA"),
    ],
)
def test_other_kinds_of_files_are_refused_by_name(tmp_path: Path, key: str, kind: str):
    path = write_start(tmp_path / "a.safetensors", network_dim=1)
    save_file(load_file(path) | {key: torch.ones(2, 2)}, path)
    with pytest.raises(ModelError, match=kind):
        start_of(tiny_config(tmp_path, network_dim=1, network_weights=str(path)), TINY_NETWORK)


@pytest.mark.parametrize("alpha", [torch.tensor(0.0), torch.ones(2), torch.tensor(float("nan"))])
def test_an_alpha_that_says_nothing_is_refused_and_one_that_is_not_there_is_the_rank(tmp_path: Path, alpha: Tensor):
    path = write_start(tmp_path / "a.safetensors", network_dim=2)
    config = tiny_config(tmp_path, network_dim=2, network_weights=str(path))
    weights = {name: tensor for name, tensor in load_file(path).items() if not name.endswith(".alpha")}
    save_file(weights, path)
    start = start_of(config, TINY_NETWORK)
    assert start is not None
    assert start.config.network_alpha == 2.0
    save_file({**weights, "lora_unet_mid_block_attentions_0_proj_in.alpha": alpha}, path)
    with pytest.raises(ModelError, match="alpha of lora_unet_mid_block"):
        start_of(config, TINY_NETWORK)


def test_nothing_is_loaded_for_a_file_that_does_not_fit(tmp_path: Path):
    path = write_start(tmp_path / "a.safetensors", network_dim=8)
    empty = resolve_model("builtin:tiny")
    model = tmp_path / "model"
    for each in empty.rglob("*.json"):
        copied = model / each.relative_to(empty)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(each.read_bytes())
    with pytest.raises(ConfigError, match="network_dim"):
        new_run(tmp_path, pretrained_model_name_or_path=str(model), network_weights=str(path))


def test_a_file_with_numbers_that_are_none_is_refused(tmp_path: Path):
    path = write_start(tmp_path / "a.safetensors")
    rewrite(path, lambda name, tensor: (name, tensor * float("nan") if "lora_up" in name else tensor))
    with pytest.raises(ModelError, match="spoilt"):
        new_run(tmp_path, network_weights=str(path))


def test_a_state_goes_on_with_the_same_file_wherever_it_lies_and_with_no_other(tmp_path: Path):
    path = write_start(tmp_path / "a.safetensors")
    run = new_run(tmp_path, network_weights=str(path))
    take_steps(run, 1)
    saving.save_checkpoint(run)
    elsewhere = path.rename(tmp_path / "b.safetensors")
    again = new_run(tmp_path, network_weights=str(elsewhere))
    take_steps(again, 0)
    state = saving.load_state(again)
    assert state is not None
    saving.restore(again, state)
    assert all(torch.equal(tensor, trained(run)[name]) for name, tensor in trained(again).items()), "as the state is"
    rewrite(elsewhere, lambda name, tensor: (name, tensor * 2 if "lora_up" in name else tensor))
    with pytest.raises(StorageError, match="LoRA file"):
        new_run(tmp_path, network_weights=str(elsewhere))
    with pytest.raises(StorageError, match="LoRA file"):
        new_run(tmp_path)
