"""How large a LoRA is, counted from the layers that it is attached to: before any model is loaded, and without torch.

The trainer finds the layers in the model itself (``train.lora``); a test holds both against each other.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from loratui_protocol.config import TrainingConfig

_SCALAR_AND_TWO = 3
"""Tensors of a module: alpha, down, up."""
_HEADER_BYTES_PER_TENSOR = 152
"""A file's header names each tensor with its place and shape: of both kinds of models 140 to 155 bytes."""
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The shape of a base model, as far as LoRA modules depend on it."""

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
    channels=(320, 640, 1280, 1280),
    depths=(1, 1, 1, 0),
    middle_depth=1,
    layers=2,
    text_width=768,
    text_encoders=((768, 12),),
)
SDXL_NETWORK = Network(
    channels=(320, 640, 1280),
    depths=(0, 2, 10),
    middle_depth=10,
    layers=2,
    text_width=2048,
    text_encoders=((768, 12), (1280, 32)),
)
TINY_NETWORK = Network(
    channels=(32, 64, 64, 64),
    depths=(1, 1, 1, 0),
    middle_depth=1,
    layers=1,
    text_width=64,
    text_encoders=((64, 2),),
)


@dataclass(frozen=True, slots=True)
class _Layer:
    """What a module is attached to. A module of rank r has r x (taken + given) parameters."""

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
    """Return how many modules and parameters a config attaches to such a model, as ``train.run`` does."""
    ranks = [(layer, config.network_dim) for layer in _text_layers(network, config)]
    if config.effective_unet_lr > 0:
        ranks += [(layer, config.network_dim) for layer in _attention_layers(network)]
        if config.conv_dim is not None:
            ranks += [
                (layer, config.conv_dim if layer.is_wide else config.network_dim) for layer in _resnet_layers(network)
            ]
    return LoraSize(len(ranks), sum(rank * (layer.taken + layer.given) for layer, rank in ranks))


def _text_layers(network: Network, config: TrainingConfig) -> Iterator[_Layer]:
    for (width, layers), rate in zip(network.text_encoders, config.effective_text_encoder_lrs, strict=False):
        if rate > 0:
            for _ in range(layers):
                yield from [_Layer(width, width)] * 4
                yield _Layer(width, 4 * width)
                yield _Layer(4 * width, width)


def _attention_layers(network: Network) -> Iterator[_Layer]:
    places = [(network.channels[-1], network.middle_depth)]
    for width, depth in zip(network.channels, network.depths, strict=True):
        if depth:
            # Beside every resnet, on the way down and up.
            places += [(width, depth)] * (2 * network.layers + 1)
    for width, depth in places:
        yield from [_Layer(width, width)] * 2  # proj_in, proj_out
        for _ in range(depth):
            yield from [_Layer(width, width)] * 6
            yield from [_Layer(network.text_width, width)] * 2
            # GEGLU: twice the inner width, one half the gate of the other.
            yield _Layer(width, 8 * width)
            yield _Layer(4 * width, width)


def _resnet_layers(network: Network) -> Iterator[_Layer]:
    """Yield what ``conv_dim`` adds: the layers of resnets, and the convolutions between levels."""
    channels = network.channels
    before, skipped = channels[0], [channels[0]]
    last = len(channels) - 1
    for level, width in enumerate(channels):
        for _ in range(network.layers):
            yield from _resnet(network, before, width)
            before = width
            skipped.append(width)
        if level < last:
            yield _convolution(width, width)
            skipped.append(width)
    for _ in range(2):
        yield from _resnet(network, before, before)
    for level in range(last, -1, -1):
        width = channels[level]
        for _ in range(network.layers + 1):
            yield from _resnet(network, before + skipped.pop(), width)
            before = width
        if level:
            yield _convolution(width, width)


def _resnet(network: Network, taken: int, given: int) -> Iterator[_Layer]:
    yield _convolution(taken, given)
    yield _Layer(4 * network.channels[0], given)  # time_emb_proj
    yield _convolution(given, given)
    if taken != given:
        yield _Layer(taken, given)  # conv_shortcut


def _convolution(taken: int, given: int) -> _Layer:
    return _Layer(9 * taken, given, is_wide=True)
