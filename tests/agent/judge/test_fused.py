"""LoRA files fused into a model do what they do beside it, and leave nothing behind."""

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from loratui_agent.judge import fused
from loratui_agent.judge.fused import FusedWeights, rounded

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:Already found a `peft_config`", "ignore:`lora_bias=True` was passed"),
]


class Net(nn.Module):
    """A layer of each kind that LoRA files are for."""

    def __init__(self, *, has_bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.linear = nn.Linear(8, 6, bias=has_bias)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.linear(self.conv(pictures).movedim(1, -1))


@pytest.fixture
def pictures() -> Tensor:
    return torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))


def net_with(*adapters: str, dtype: torch.dtype = torch.float32, has_bias: bool = True, **changes: object) -> Net:
    torch.manual_seed(1)
    net = Net(has_bias=has_bias).to(dtype).requires_grad_(False)
    for adapter in adapters:
        config = LoraConfig(**{"r": 2, "lora_alpha": 2, "target_modules": ["conv", "linear"]} | changes)
        inject_adapter_in_model(config, net, adapter_name=adapter)
    generator = torch.Generator().manual_seed(2)
    for name, parameter in net.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator).to(dtype) * 0.1
    return net


def adapted(net: Net) -> list[Any]:
    return [layer for layer in (net.conv, net.linear) if isinstance(layer, BaseTunerLayer)]


def beside(net: Net, pictures: Tensor, *adapters: str, scale: float) -> Tensor:
    """Return what PEFT makes of pictures with adapters beside the layers, which rest after that."""
    for layer in adapted(net):
        layer.set_adapter(list(adapters))
        for name in adapters:
            layer.set_scale(name, scale)
    made: Tensor = net(pictures)
    for layer in adapted(net):
        layer.enable_adapters(False)
    return made


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"use_dora": True},
        {"target_modules": ["linear"], "lora_bias": True},
        {"target_modules": ["linear"], "lora_bias": True, "has_bias": False},
    ],
)
@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_fused_they_do_what_they_do_beside(pictures: Tensor, changes: dict[str, object], scale: float) -> None:
    net = net_with("one", **changes)
    base = net_with()(pictures)
    made = beside(net, pictures, "one", scale=scale)

    FusedWeights({"net": net}).fuse(["one"])

    assert torch.allclose(net(pictures), made, atol=1e-5)
    assert not torch.allclose(base, made, atol=1e-2)


def test_two_files_are_fused_together(pictures: Tensor) -> None:
    net = net_with("one", "two")
    both = beside(net, pictures, "one", "two", scale=0.7)

    FusedWeights({"net": net}).fuse(["one", "two"])

    assert torch.allclose(net(pictures), both, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_nothing_of_a_file_is_left_when_another_one_or_none_is_fused(dtype: torch.dtype) -> None:
    net = net_with("one", "two", dtype=dtype)
    before = copy.deepcopy(net.state_dict())
    weights = FusedWeights({"net": net})
    weights.fuse(["two"])
    two = copy.deepcopy(net.state_dict())

    for _ in range(20):
        weights.fuse(["one"])
    assert not torch.equal(net.state_dict()["linear.base_layer.weight"], two["linear.base_layer.weight"])
    weights.fuse(["two"])
    assert all(torch.equal(now, two[name]) for name, now in net.state_dict().items())
    weights.fuse([])
    assert all(torch.equal(now, before[name]) for name, now in net.state_dict().items())


def test_a_file_is_rounded_alike_whatever_else_is_loaded() -> None:
    alone, beside = net_with("one", dtype=torch.bfloat16), net_with("one", "two", dtype=torch.bfloat16)
    # The weights of the first adapter are drawn in another order beside a second one.
    for name, parameter in alone.named_parameters():
        parameter.data = dict(beside.named_parameters())[name].data.clone()
    for net in (alone, beside):
        FusedWeights({"net": net}).fuse(["one"])

    assert torch.equal(alone.linear.base_layer.weight, beside.linear.base_layer.weight)


def test_a_layer_that_a_file_has_nothing_for_is_that_of_the_base_model() -> None:
    net = net_with("one", target_modules=["linear"])
    inject_adapter_in_model(LoraConfig(r=2, target_modules=["conv"], init_lora_weights=False), net, "two")
    conv, linear = (each.base_layer.weight.clone() for each in (net.conv, net.linear))

    weights = FusedWeights({"net": net})
    weights.fuse(["two"])
    assert not torch.equal(net.conv.base_layer.weight, conv)
    assert torch.equal(net.linear.base_layer.weight, linear)
    weights.fuse(["one"])
    assert torch.equal(net.conv.base_layer.weight, conv)
    assert not torch.equal(net.linear.base_layer.weight, linear)


def test_what_changes_less_than_bfloat16_can_tell_is_not_lost() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(512, 512, bias=False)).to(torch.bfloat16).requires_grad_(False)
    own = net[0].weight.float()
    inject_adapter_in_model(LoraConfig(r=4, lora_alpha=4, target_modules=["0"]), net, "one")
    layer = net[0]
    # A tenth of a step of most weights.
    change = torch.randn(512, 4) @ torch.randn(4, 512)
    change *= own.abs().mean() * 2**-8 / 10 / change.std()
    u, s, v = torch.linalg.svd(change)
    layer.lora_A["one"].weight.data = (s[:4, None].sqrt() * v[:4]).bfloat16()
    layer.lora_B["one"].weight.data = (u[:, :4] * s[:4].sqrt()).bfloat16()

    FusedWeights({"net": net}).fuse(["one"])

    def kept(weights: Tensor) -> float:
        """Return what of the change is in the weights: 1 is all of it."""
        return float(((weights.float() - own) * change).sum() / (change * change).sum())

    assert kept((own + change).bfloat16()) < 0.7, "to the nearest it would not have been lost"
    assert kept(layer.base_layer.weight) == pytest.approx(1, abs=0.1)


def test_one_that_found_no_room_half_way_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    net = net_with("one", dtype=torch.bfloat16)
    before = copy.deepcopy(net.state_dict())
    weights = FusedWeights({"net": net})
    calls = iter([rounded])

    def with_room_for_one(*arguments: Any, **named: Any) -> Tensor:
        for each in calls:
            return each(*arguments, **named)
        raise torch.OutOfMemoryError

    with monkeypatch.context() as patch:
        patch.setattr(fused, "rounded", with_room_for_one)
        with pytest.raises(torch.OutOfMemoryError):
            weights.fuse(["one"])
    assert {name: each.dtype for name, each in net.state_dict().items()} == dict.fromkeys(before, torch.bfloat16)

    weights.fuse([])
    assert all(torch.equal(now, before[name]) for name, now in net.state_dict().items())


@pytest.mark.parametrize("bits", [0x7F800000, 0x7FC00000, 0x7FFFFFFF, -0x800000, -1])
def test_what_is_no_number_stays_none(bits: int) -> None:
    wide = torch.full((1000,), bits, dtype=torch.int32).view(torch.float32)
    assert not rounded(wide, torch.bfloat16, seed=1).isfinite().any()


def test_kept_in_main_memory_the_weights_are_the_same() -> None:
    net = net_with("one")
    weights = FusedWeights({"net": net})
    weights.fuse(["one"])
    fused = net.linear.base_layer.weight.clone()

    assert not weights.make_room(), "there is no GPU whose room could be made"
    weights.fuse([])
    weights.fuse(["one"])

    assert torch.equal(net.linear.base_layer.weight, fused)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError(), RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling it")]
)
def test_once_room_could_be_made_it_is_tried_again(monkeypatch: pytest.MonkeyPatch, error: RuntimeError) -> None:
    expected = net_with("one", dtype=torch.bfloat16)
    FusedWeights({"net": expected}).fuse(["one"])
    net = net_with("one", dtype=torch.bfloat16)
    weights = FusedWeights({"net": net})
    # There is no GPU whose room could be made.
    made = iter([True])
    monkeypatch.setattr(weights, "make_room", lambda: next(made, False))

    def without_room(*_: Any, **__: Any) -> Tensor:
        monkeypatch.setattr(fused, "rounded", rounded)
        raise error

    monkeypatch.setattr(fused, "rounded", without_room)
    weights.fuse(["one"])

    assert list(made) == []
    assert torch.equal(net.linear.base_layer.weight, expected.linear.base_layer.weight)
