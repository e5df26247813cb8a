"""LoRA modules on the UNet and the text encoders, through PEFT, on the same modules that kohya trains."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D
from diffusers.training_utils import cast_training_params
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from loratui_agent.train.conditioning import TextEncoder
from loratui_protocol.config import TrainingConfig

ADAPTER = "default"


@dataclass(frozen=True, slots=True)
class LoraModule:
    """One adapted layer: ``delta = up @ down * alpha / rank``."""

    name: str
    """Dotted name within its model, in diffusers' (UNet) or transformers' (text encoder) words."""
    down: nn.Parameter
    up: nn.Parameter
    alpha: float
    base: Tensor
    """The weight that the delta is added to; it stays as it is."""

    def delta_norm(self) -> Tensor:
        """Return the Frobenius norm of what the module adds to its layer's weight, without making that matrix."""
        down, up = self.down.detach().flatten(1), self.up.detach().flatten(1)
        # |U D|^2 = tr(D^T U^T U D): two matrices of rank x rank instead of one as large as the layer's.
        squared = ((up.T @ up) * (down @ down.T)).sum()
        return squared.clamp(min=0).sqrt() * (self.alpha / down.shape[0])


def unet_targets(unet: UNet2DConditionModel) -> list[str]:
    """Return the names of every Linear and 1x1 Conv2d inside a Transformer2DModel: 192 on SD 1.5, 722 on SDXL.

    diffusers' own default (to_q, to_k, to_v, to_out.0) leaves out feed-forward, proj_in and proj_out.
    """
    return [
        f"{outer}.{inner}"
        for outer, block in unet.named_modules()
        if isinstance(block, Transformer2DModel)
        for inner, layer in block.named_modules()
        if isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1))
    ]


def convolution_targets(unet: UNet2DConditionModel) -> tuple[list[str], list[str]]:
    """Return the names of what kohya's ``conv_dim`` adds: (layers of the network's rank, 3x3 convolutions).

    The first are the Linear layers and 1x1 convolutions of the same blocks.
    """
    layers = {
        f"{outer}.{inner}" if inner else outer: layer
        for outer, block in unet.named_modules()
        if isinstance(block, (ResnetBlock2D, Downsample2D, Upsample2D))
        for inner, layer in block.named_modules()
        if isinstance(layer, (nn.Linear, nn.Conv2d))
    }
    wide = [name for name, layer in layers.items() if isinstance(layer, nn.Conv2d) and layer.kernel_size != (1, 1)]
    return [name for name in layers if name not in wide], wide


def text_encoder_targets(text_encoder: TextEncoder) -> list[str]:
    """Return the names of the Linear layers of attention and MLP: 72 on SD 1.5, 72 and 192 on SDXL."""
    return [
        name
        for name, layer in text_encoder.named_modules()
        if isinstance(layer, nn.Linear) and (".self_attn." in name or ".mlp." in name)
    ]


def add_lora(
    model: UNet2DConditionModel | TextEncoder,
    targets: list[str],
    config: TrainingConfig,
    dims: Callable[[str, bool], tuple[int, float] | None] = lambda _name, _wide: None,
) -> None:
    """Attach trainable float32 LoRA modules to the frozen ``model``; ups start at zero, so nothing changes yet.

    With ``conv_dim`` a UNet gets them on its convolutions, too. ``dims`` gives a module, by its name and whether it is
    a 3x3 convolution, its own (rank, alpha), or with rank 0 none.
    """
    wide: list[str] = []
    if config.trains_convolutions and isinstance(model, UNet2DConditionModel):
        narrow, wide = convolution_targets(model)
        targets = [*targets, *narrow, *wide]
    usual = dict.fromkeys(wide, (config.conv_dim or 0, config.conv_alpha))
    own = {name: dims(name, name in usual) or usual.get(name, (config.network_dim, config.alpha)) for name in targets}
    targets = [name for name in targets if own[name][0]]
    model.add_adapter(
        LoraConfig(
            r=config.network_dim,
            # PEFT's r and lora_alpha are kohya's network_dim and network_alpha.
            lora_alpha=config.alpha,
            rank_pattern=_pattern({name: own[name][0] for name in targets}, config.network_dim),
            alpha_pattern=_pattern({name: own[name][1] for name in targets}, config.alpha),
            target_modules=targets,
            init_lora_weights=True,
        ),
        adapter_name=ADAPTER,
    )
    cast_training_params(model, dtype=torch.float32)


def _pattern(values: Mapping[str, float], usual: float) -> dict[str, float]:
    """Return the values that are not the usual one, each with an expression for the names that have it.

    PEFT tries one key after the other on each module: with a key a module that would be hundreds of thousands of tries.
    """
    names: dict[float, list[str]] = {}
    for name, value in values.items():
        if value != usual:
            names.setdefault(value, []).append(re.escape(name))
    return {"|".join(each): value for value, each in names.items()}


def lora_modules(model: nn.Module) -> Iterator[LoraModule]:
    """Yield the LoRA modules of a model in a fixed order."""
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer) and ADAPTER in layer.lora_A:
            rank = layer.r[ADAPTER]
            yield LoraModule(
                name,
                layer.lora_A[ADAPTER].weight,
                layer.lora_B[ADAPTER].weight,
                layer.scaling[ADAPTER] * rank,
                layer.get_base_layer().weight,
            )


def trainable_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the LoRA parameters of a model in a fixed order."""
    return [p for module in lora_modules(model) for p in (module.down, module.up)]


@contextmanager
def switched_off(models: Iterable[nn.Module]) -> Iterator[None]:
    """Let the models be the base alone inside the block."""
    layers = [layer for model in models for layer in model.modules() if isinstance(layer, LoraLayer)]
    try:
        for layer in layers:
            layer.enable_adapters(enabled=False)
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(enabled=True)


@torch.no_grad()
def scale_norms(model: nn.Module, most: float) -> None:
    """Scale down every module whose delta's norm is above ``most``, as kohya's max norm does."""
    for module in lora_modules(model):
        # Nothing is read here: that would wait for the GPU, once a module.
        root = (most / module.delta_norm()).clamp(max=1).sqrt()
        module.down.mul_(root)
        module.up.mul_(root)


def lora_tensors(prefix: str, model: nn.Module) -> dict[str, Tensor]:
    """Return the LoRA parameters by name, for checkpoints."""
    return {
        f"{prefix}.{module.name}.{part}": parameter
        for module in lora_modules(model)
        for part, parameter in (("down", module.down), ("up", module.up))
    }
