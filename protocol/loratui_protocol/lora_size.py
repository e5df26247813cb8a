"""How large a LoRA is, counted from the layers that it is attached to: before any model is loaded, and without torch.

The trainer finds the layers in the model itself (``train.lora``); a test holds both against each other.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from loratui_protocol.architecture import SD1, SDXL, Architecture
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import ModelError
from loratui_protocol.lora_blocks import NUM_BLOCKS, block_dims_of
from loratui_protocol.lora_names import UNET

TEXT_ENCODERS = ("text_encoder", "text_encoder_2")

_SCALAR_AND_TWO = 3
"""Tensors of a module: alpha, down, up."""
_HEADER_BYTES_PER_TENSOR = 152
"""A file's header names each tensor with its place and shape: of both kinds of models 140 to 155 bytes."""
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The shape of a base model, as far as LoRA modules depend on it."""

    architecture: Architecture
    channels: tuple[int, ...]
    """Of the UNet's levels."""
    depths: tuple[int, ...]
    """Transformer blocks in each attention of a level; 0: it has no attention."""
    middle_depth: int
    layers: int
    """Resnets in each level on the way down; on the way up there is one more."""
    text_width: int
    """Of what the UNet is conditioned on."""
    text_encoders: tuple[tuple[int, int], ...]
    """Width and number of layers of each."""


SD1_NETWORK = Network(
    architecture=SD1,
    channels=(320, 640, 1280, 1280),
    depths=(1, 1, 1, 0),
    middle_depth=1,
    layers=2,
    text_width=768,
    text_encoders=((768, 12),),
)
SDXL_NETWORK = Network(
    architecture=SDXL,
    channels=(320, 640, 1280),
    depths=(0, 2, 10),
    middle_depth=10,
    layers=2,
    text_width=2048,
    text_encoders=((768, 12), (1280, 32)),
)
TINY_NETWORK = Network(
    architecture=SD1,
    channels=(32, 64, 64, 64),
    depths=(1, 1, 1, 0),
    middle_depth=1,
    layers=1,
    text_width=64,
    text_encoders=((64, 2),),
)


class Place(Enum):
    """What a layer belongs to: it decides whether it is trained, and with which rank."""

    TEXT = "text"
    ATTENTION = "attention"
    RESNET = "resnet"
    """What ``conv_dim`` adds."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What a module is attached to. A module of rank r has r x (taken + given) parameters."""

    place: Place
    part: str
    """The model that has it, as pipelines call that."""
    name: str
    """Its dotted name there, diffusers' or transformers'."""
    taken: int
    """Inputs; of a convolution channels x kernel area."""
    given: int
    is_wide: bool = False
    """A 3 x 3 convolution: its rank is ``conv_dim``."""


@dataclass(frozen=True, slots=True)
class LoraSize:
    """What a config trains."""

    num_modules: int
    num_parameters: int

    @property
    def state_bytes(self) -> int:
        """Return what a saved state takes: weights and two moments of AdamW, all in 32 bits."""
        return 3 * _FLOAT_BYTES * self.num_parameters

    def file_bytes(self, save_precision: str) -> int:
        """Return what a LoRA file takes, its metadata apart."""
        width = _FLOAT_BYTES if save_precision == "float" else _FLOAT_BYTES // 2
        tensors = width * (self.num_parameters + self.num_modules)
        return tensors + self.num_modules * _SCALAR_AND_TWO * _HEADER_BYTES_PER_TENSOR


def lora_size(network: Network, config: TrainingConfig) -> LoraSize:
    """Return how many modules and parameters a config attaches to such a model, as ``train.run`` does.

    ``block_dims`` for another kind of model count as if all blocks had the highest rank.
    """
    ranks = [(layer, _rank(network, config, layer)) for layer in lora_layers(network, config)]
    return LoraSize(len(ranks), sum(rank * (layer.taken + layer.given) for layer, rank in ranks))


def lora_layers(network: Network, config: TrainingConfig) -> list[Layer]:
    """Return the layers of such a model that a config attaches modules to."""
    rates = dict(zip(TEXT_ENCODERS, config.effective_text_encoder_lrs, strict=True)) | {UNET: config.effective_unet_lr}
    return [
        layer
        for layer in all_layers(network)
        if rates[layer.part] > 0
        and (layer.place is not Place.RESNET or config.trains_convolutions)
        and _rank(network, config, layer) > 0
    ]


def _rank(network: Network, config: TrainingConfig, layer: Layer) -> int:
    own = None
    if config.block_dims and layer.part == UNET:
        if len(config.block_dims) != NUM_BLOCKS[network.architecture]:
            return max(config.conv_block_dims or (config.conv_dim or 0,)) if layer.is_wide else max(config.block_dims)
        own = block_dims_of(config, network.architecture, layer.name, is_wide=layer.is_wide)
    if own is not None:
        return own[0]
    return (config.conv_dim or 0) if layer.is_wide else config.network_dim


def all_layers(network: Network) -> list[Layer]:
    """Return all layers of such a model that modules can be attached to."""
    return [*_text_layers(network), *_attention_layers(network), *_resnet_layers(network)]


def network_of(folder: Path) -> Network:
    """Return the shape of a model by the configs in its diffusers folder.

    Raises:
        ModelError: they don't say it.
    """
    try:
        unet = json.loads((folder / UNET / "config.json").read_text("utf-8"))
        texts = [
            json.loads(path.read_text("utf-8"))
            for path in (folder / part / "config.json" for part in TEXT_ENCODERS)
            if path.is_file()
        ]
        channels, depths = unet["block_out_channels"], unet.get("transformer_layers_per_block", 1)
        depths = [depths] * len(channels) if isinstance(depths, int) else depths
        attends = ["CrossAttn" in block for block in unet["down_block_types"]]
        return Network(
            architecture=SDXL if len(texts) > 1 else SD1,
            channels=tuple(channels),
            depths=tuple(depth if has else 0 for depth, has in zip(depths, attends, strict=True)),
            middle_depth=depths[-1],
            layers=unet["layers_per_block"],
            text_width=unet["cross_attention_dim"],
            text_encoders=tuple((text["hidden_size"], text["num_hidden_layers"]) for text in texts),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder} does not say how its model is made: {error}",
            fix="download the base model again",
            code="model.incomplete",
        ) from error


def _text_layers(network: Network) -> Iterator[Layer]:
    for part, (width, layers) in zip(TEXT_ENCODERS, network.text_encoders, strict=False):
        for number in range(layers):
            block = f"text_model.encoder.layers.{number}"
            for which in "kvq":
                yield Layer(Place.TEXT, part, f"{block}.self_attn.{which}_proj", width, width)
            yield Layer(Place.TEXT, part, f"{block}.self_attn.out_proj", width, width)
            yield Layer(Place.TEXT, part, f"{block}.mlp.fc1", width, 4 * width)
            yield Layer(Place.TEXT, part, f"{block}.mlp.fc2", 4 * width, width)


def _attention_layers(network: Network) -> Iterator[Layer]:
    last = len(network.channels) - 1
    places = [("mid_block.attentions.0", network.channels[-1], network.middle_depth)]
    for level, (width, depth) in enumerate(zip(network.channels, network.depths, strict=True)):
        if depth:
            # Beside every resnet, on the way down and up.
            places += [(f"down_blocks.{level}.attentions.{n}", width, depth) for n in range(network.layers)]
            places += [(f"up_blocks.{last - level}.attentions.{n}", width, depth) for n in range(network.layers + 1)]
    for place, width, depth in places:
        yield _attention_layer(f"{place}.proj_in", width, width)
        yield _attention_layer(f"{place}.proj_out", width, width)
        for number in range(depth):
            block = f"{place}.transformer_blocks.{number}"
            for name, text_width in (("attn1", width), ("attn2", network.text_width)):
                yield _attention_layer(f"{block}.{name}.to_q", width, width)
                yield _attention_layer(f"{block}.{name}.to_k", text_width, width)
                yield _attention_layer(f"{block}.{name}.to_v", text_width, width)
                yield _attention_layer(f"{block}.{name}.to_out.0", width, width)
            # GEGLU: twice the inner width, one half the gate of the other.
            yield _attention_layer(f"{block}.ff.net.0.proj", width, 8 * width)
            yield _attention_layer(f"{block}.ff.net.2", 4 * width, width)


def _attention_layer(name: str, taken: int, given: int) -> Layer:
    return Layer(Place.ATTENTION, UNET, name, taken, given)


def _resnet_layers(network: Network) -> Iterator[Layer]:
    """Yield what ``conv_dim`` adds: the layers of resnets, and the convolutions between levels."""
    channels = network.channels
    before, skipped = channels[0], [channels[0]]
    last = len(channels) - 1
    for level, width in enumerate(channels):
        for n in range(network.layers):
            yield from _resnet(network, f"down_blocks.{level}.resnets.{n}", before, width)
            before = width
            skipped.append(width)
        if level < last:
            yield _convolution(f"down_blocks.{level}.downsamplers.0.conv", width, width)
            skipped.append(width)
    for n in range(2):
        yield from _resnet(network, f"mid_block.resnets.{n}", before, before)
    for level in range(last, -1, -1):
        width = channels[level]
        for n in range(network.layers + 1):
            yield from _resnet(network, f"up_blocks.{last - level}.resnets.{n}", before + skipped.pop(), width)
            before = width
        if level:
            yield _convolution(f"up_blocks.{last - level}.upsamplers.0.conv", width, width)


def _resnet(network: Network, place: str, taken: int, given: int) -> Iterator[Layer]:
    yield _convolution(f"{place}.conv1", taken, given)
    yield Layer(Place.RESNET, UNET, f"{place}.time_emb_proj", 4 * network.channels[0], given)
    yield _convolution(f"{place}.conv2", given, given)
    if taken != given:
        yield Layer(Place.RESNET, UNET, f"{place}.conv_shortcut", taken, given)


def _convolution(name: str, taken: int, given: int) -> Layer:
    return Layer(Place.RESNET, UNET, name, 9 * taken, given, is_wide=True)
