"""What a learning rate comes to: a LoRA's delta is scaled by alpha / rank, and so is what a step changes of it."""

from collections.abc import Mapping, Sequence

from loratui_protocol.config import TrainingConfig

PLUS = " plus"
"""sd-scripts' word for what LoRA+ lets learn faster: the ups of a model, whose name stands before."""
CONV = "conv"
"""The UNet's convolutions, which ``conv_dim`` and ``conv_alpha`` give a scale of their own."""


def effective_lrs(config: TrainingConfig, rates: Mapping[str, float]) -> dict[str, float]:
    """Return learning rate x alpha / rank of each model in ``rates``, and of the UNet's convolutions as ``CONV``.

    Where blocks have ranks of their own it is that of the block with the highest one.
    """
    effective = {name: rate * config.alpha / config.network_dim for name, rate in rates.items()}
    of_blocks = _highest(config.block_dims, config.block_alphas, config.alpha)
    if of_blocks is not None:
        effective |= {name: rate * of_blocks for name, rate in rates.items() if name.startswith("unet")}
    if config.trains_convolutions and "unet" in rates:
        of_blocks = _highest(config.conv_block_dims, config.conv_block_alphas, config.conv_alpha)
        effective[CONV] = rates["unet"] * (
            config.conv_alpha / (config.conv_dim or 1) if of_blocks is None else of_blocks
        )
    return effective


def _highest(dims: Sequence[int], alphas: Sequence[float], alpha: float) -> float | None:
    scales = [own / rank for rank, own in zip(dims, alphas or [alpha] * len(dims), strict=True) if rank]
    return max(scales, default=None)


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
