"""What of a LoRA is left out in training is what sd-scripts leaves out, and a resumed run leaves out the same."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from loratui_agent.train import loop, saving
from loratui_agent.train.dropout import add_dropout
from loratui_agent.train.run import add_optimizer
from support.tiny_run import new_run, take_steps, trained
from support.tiny_training import tiny_config

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]
RANK = 8
DROPS = {"rank_dropout": 0.3, "module_dropout": 0.3}


class Layers(nn.Module):
    """Layers that give as many numbers as their LoRA has ranks."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.conv = nn.Linear(4, RANK), nn.Conv2d(4, RANK, 3, padding=1)


def layers_with(**network_args: float) -> Layers:
    """Return layers whose ups are one, so that a LoRA adds what its ranks say."""
    config = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=["linear", "conv"])
    layers = Layers()
    inject_adapter_in_model(config, layers, adapter_name="default")
    add_dropout(layers, tiny_config(Path(), network_args=network_args))
    for layer in (layers.linear, layers.conv):
        up = layer.lora_B["default"].weight
        up.data = torch.eye(RANK).view_as(up)
    return layers.train()


def added(layer: nn.Module, given: Tensor, *, in_training: bool = True) -> Tensor:
    layer.train(in_training)
    whole: Tensor = layer(given) - layer.base_layer(given)
    return whole


@pytest.mark.parametrize(
    ("name", "shape"), [("linear", (6, 5, 4)), ("linear", (6, 4)), ("conv", (6, 4, 3, 3))], ids=["text", "time", "conv"]
)
def test_each_picture_loses_ranks_of_its_own_and_the_others_count_more(name: str, shape: tuple[int, ...]):
    torch.manual_seed(0)
    layer, given = getattr(layers_with(rank_dropout=0.75), name), torch.randn(shape)
    factors = added(layer, given) / added(layer, given, in_training=False)
    of_rank = factors.movedim(1 if name == "conv" else -1, 1).reshape(6, RANK, -1)
    assert torch.allclose(of_rank, of_rank[:, :, :1].expand_as(of_rank), atol=1e-3), "everywhere in the picture"
    kept = of_rank[:, :, 0].round()
    assert set(kept.flatten().tolist()) == {0.0, 4.0}
    assert len(set(map(tuple, kept.tolist()))) > 1, "from picture to picture others"


def test_a_module_is_left_out_whole_without_a_gradient_or_not_at_all():
    torch.manual_seed(0)
    layer, given = layers_with(module_dropout=0.5).linear, torch.randn(2, 4)
    whole = added(layer, given, in_training=False)
    found = [added(layer, given) for _ in range(40)]
    left_out = [not each.any() for each in found]
    assert 10 < sum(left_out) < 30
    assert all(torch.allclose(each, whole) for each, out in zip(found, left_out, strict=True) if not out)
    assert [each.requires_grad for each in found] == [not out for out in left_out]


def test_a_step_that_leaves_everything_out_changes_nothing_and_is_no_failure(tmp_path: Path):
    run = new_run(tmp_path, network_args={"module_dropout": 1 - 1e-9})
    before = {name: tensor.clone() for name, tensor in trained(run).items()}
    [(_, grad_norm)] = take_steps(run, 1)
    assert grad_norm == 0
    assert run.num_skipped == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in trained(run).items())


def test_a_resumed_run_leaves_out_the_same(tmp_path: Path):
    settings = {"network_args": {**DROPS, "loraplus_lr_ratio": 4.0}, "gradient_checkpointing": True}
    run = new_run(tmp_path, **settings)
    take_steps(run, 1)
    saving.save_checkpoint(run)
    loop.take_step(run)
    again = new_run(tmp_path, **settings)
    take_steps(again, 0)
    state = saving.load_state(again)
    assert state is not None
    saving.restore(again, state)
    loop.take_step(again)
    assert all(torch.equal(tensor, trained(run)[name]) for name, tensor in trained(again).items())


def test_ups_have_a_rate_of_their_own(tmp_path: Path):
    run = new_run(
        tmp_path, learning_rate=1e-4, network_args={"loraplus_lr_ratio": 16.0, "loraplus_text_encoder_lr_ratio": 2.0}
    )
    add_optimizer(run)
    groups = {group["name"]: group for group in run.optimizer.param_groups}
    assert {name: group["lr"] for name, group in groups.items()} == pytest.approx(
        {"unet": 1e-4, "unet plus": 16e-4, "text_encoder": 1e-4, "text_encoder plus": 2e-4}
    )
    ups = {id(parameter) for parameter in groups["unet plus"]["params"]}
    unet = run.models.unet
    assert ups == {id(parameter) for name, parameter in unet.named_parameters() if "lora_B" in name}
