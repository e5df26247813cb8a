"""LoRA files added into the base model's weights, so that to draw with them takes no longer than without.

PEFT's layers beside the base model's own take a good part of the time (docs/benchmarks.md), and a grid draws many
pictures with the same weights. Programs that use LoRA files fuse them, too. What was fused is never subtracted again,
which would round each time: the base model's own weights are kept.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from loratui_agent.train.memory import is_out_of_vram

_LOW_BITS = 16
"""Of a float32, which bfloat16 does not have."""


class FusedWeights:
    """The layers of some modules that adapters are for, fused with some of them or none.

    Once one is made, the adapters have to be disabled: what they do is in the weights.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        """``modules`` are named by their part: a layer is rounded alike whatever else is loaded.

        The base model's weights are kept where they are used, or in main memory if there is no room for them.
        """
        self._layers = [
            (f"{part}.{name}", layer)
            for part, module in modules.items()
            for name, layer in module.named_modules()
            if isinstance(layer, BaseTunerLayer)
        ]
        for _, layer in self._layers:
            _give_bias(layer)
        self._kept: list[dict[str, Tensor]] = []
        self._is_beside = True
        for _, layer in self._layers:
            self._kept.append({name: self._copy(own) for name, own in _own_parameters(layer)})

    def _copy(self, own: nn.Parameter) -> Tensor:
        if self._is_beside:
            try:
                return own.detach().clone()
            except torch.OutOfMemoryError:
                self.make_room()
        return own.detach().cpu()

    def make_room(self) -> bool:
        """Keep the base model's weights in main memory from now on; return whether they were on a GPU before."""
        was_on_gpu = self._is_beside and any(own.is_cuda for each in self._kept for own in each.values())
        self._is_beside = False
        self._kept = [{name: own.cpu() for name, own in each.items()} for each in self._kept]
        if was_on_gpu:
            torch.cuda.empty_cache()
        return was_on_gpu

    def fuse(self, names: Sequence[str]) -> None:
        """Use the base model's weights with those of these adapters, at the scale that they have now; none: alone."""
        try:
            self._fuse(names)
        except RuntimeError as error:
            # The first product of matrices is one of these, and with it comes what cuBLAS needs for itself.
            if not is_out_of_vram(error) or not self.make_room():
                raise
            self._fuse(names)

    @torch.no_grad()
    def _fuse(self, names: Sequence[str]) -> None:
        for (where, layer), kept in zip(self._layers, self._kept, strict=True):
            if any(name in _adapters_of(layer) for name in names):
                _merge(where, layer, kept, names)
            else:
                for name, own in _own_parameters(layer):
                    own.copy_(kept[name])


def _merge(where: str, layer: BaseTunerLayer, kept: Mapping[str, Tensor], names: Sequence[str]) -> None:
    own_parameters = dict(_own_parameters(layer))
    used = {name: own.data for name, own in own_parameters.items()}
    try:
        for name, own in own_parameters.items():
            # A copy: PEFT adds to what is there.
            own.data = kept[name].to(own.device, torch.float32, copy=True)
        layer.merge(adapter_names=list(names))
        for name, own in own_parameters.items():
            used[name].copy_(rounded(own.data, used[name].dtype, seed=zlib.crc32(f"{where}.{name}".encode())))
    finally:
        # PEFT would subtract it again as soon as it is not needed.
        layer.merged_adapters.clear()
        for name, own in own_parameters.items():
            own.data = used[name]


def _give_bias(layer: BaseTunerLayer) -> None:
    """Have a layer without a bias bear one of nothing where a file brings one: PEFT merges it into no other."""
    base = layer.get_base_layer()
    if any(getattr(layer, "lora_bias", {}).values()) and base.bias is None:
        base.bias = nn.Parameter(base.weight.new_zeros(len(base.weight)), requires_grad=False)


def _own_parameters(layer: BaseTunerLayer) -> Iterator[tuple[str, nn.Parameter]]:
    yield from layer.get_base_layer().named_parameters()


def _adapters_of(layer: BaseTunerLayer) -> set[str]:
    """Return the names of the adapters that have something for a layer."""
    return {name for kind in layer.adapter_layer_names for name in getattr(layer, kind)}


def rounded(wide: Tensor, dtype: torch.dtype, *, seed: int) -> Tensor:
    """Return float32 weights in a narrower type; to bfloat16 up or down by chance, the nearer the likelier.

    A LoRA changes many weights by less than half a step of bfloat16: rounded to the nearest, all of these changes would
    be lost together. By chance they hold on the average, and the noise is that of the base model's own rounding. What
    is no change stays as it is, to the bit.
    """
    if dtype != torch.bfloat16:
        return wide.to(dtype)
    generator = torch.Generator(wide.device).manual_seed(seed)
    chance = torch.randint(1 << _LOW_BITS, wide.shape, generator=generator, device=wide.device, dtype=torch.int32)
    bits = wide.contiguous().view(torch.int32) + chance
    by_chance = (bits >> _LOW_BITS << _LOW_BITS).view(torch.float32)
    # The NaN of a GPU has all bits set, and would be carried on into a zero.
    return torch.where(wide.isfinite(), by_chance, wide).to(dtype)
