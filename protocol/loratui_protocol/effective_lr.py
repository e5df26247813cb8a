"""What a learning rate comes to: a LoRA's delta is scaled by alpha / rank, and so is what a step changes of it."""

from collections.abc import Mapping

from loratui_protocol.config import TrainingConfig

PLUS = " plus"
"""sd-scripts' word for what LoRA+ lets learn faster: the ups of a model, whose name stands before."""
CONV = "conv"
"""The UNet's convolutions, which ``conv_dim`` and ``conv_alpha`` give a scale of their own."""


def effective_lrs(config: TrainingConfig, rates: Mapping[str, float]) -> dict[str, float]:
    """Return learning rate x alpha / rank of each model in ``rates``, and of the UNet's convolutions as ``CONV``."""
    effective = {name: rate * config.alpha / config.network_dim for name, rate in rates.items()}
    if config.conv_dim is not None and "unet" in rates:
        effective[CONV] = rates["unet"] * config.conv_alpha / config.conv_dim
    return effective


def planned_rates(config: TrainingConfig) -> dict[str, float]:
    """Return the learning rate of each model that learns; a second text encoder's where it has one of its own."""
    first, second = config.effective_text_encoder_lrs
    rates = {"unet": config.effective_unet_lr, "text_encoder": first}
    if second != first:
        rates["text_encoder_2"] = second
    return {key: each for name, rate in rates.items() if rate > 0 for key, each in rates_of(config, name, rate).items()}


def rates_of(config: TrainingConfig, name: str, rate: float) -> dict[str, float]:
    """Return the learning rate of a model's LoRA and, with LoRA+, the one that its ups have instead."""
    ratio = config.loraplus_ratio(name)
    return {name: rate} if ratio is None else {name: rate, f"{name}{PLUS}": rate * ratio}
