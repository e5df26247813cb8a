"""kohya's ``block_dims``: a rank for each block of the UNet, by sd-scripts' count of them."""

import re

from loratui_protocol.architecture import SD1, SDXL, Architecture
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import ConfigError
from loratui_protocol.lora_names import sgm_name

NUM_BLOCKS = {SD1: 25, SDXL: 23}
"""What is before and behind all levels has a number, too, and no modules."""
_SD1_MIDDLE, _SDXL_MIDDLE = 12, 10


def check_blocks(config: TrainingConfig, architecture: Architecture) -> None:
    """Return if there are as many numbers as such a base model has blocks.

    Raises:
        ConfigError: there are more or fewer.
    """
    num_blocks = NUM_BLOCKS[architecture]
    if config.block_dims and len(config.block_dims) != num_blocks:
        raise ConfigError(
            f"block_dims has {len(config.block_dims)} numbers, and {architecture.name} has {num_blocks} blocks",
            fix=f"give {num_blocks} numbers, 0 for a block that is left as it is",
            code="config.value",
        )


def block_dims_of(
    config: TrainingConfig, architecture: Architecture, name: str, *, is_wide: bool
) -> tuple[int, float] | None:
    """Return the rank and alpha of a module of the UNet by its dotted name, rank 0: it has none; None: as others.

    ``is_wide``: it is a 3 x 3 convolution.
    """
    if not config.block_dims:
        return None
    block = block_of(architecture, name)
    if not is_wide:
        rank = config.block_dims[block]
        return rank, config.block_alphas[block] if config.block_alphas else config.alpha
    if not config.conv_block_dims:
        return None
    rank = config.conv_block_dims[block]
    return rank, config.conv_block_alphas[block] if config.conv_block_alphas else config.conv_alpha


def block_of(architecture: Architecture, name: str) -> int:
    """Return the block of a module, by diffusers' names for SD 1.x and the first publication's for SDXL."""
    if architecture == SDXL:
        side, number = sgm_name(name).split(".")[:2]
        first = {"input_blocks": 1, "middle_block": _SDXL_MIDDLE, "output_blocks": _SDXL_MIDDLE + 3}[side]
        return first + int(number)
    outer = re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.", name)
    if outer is None:
        return _SD1_MIDDLE
    side, level, part, index = outer.groups()
    first = 1 if side == "down" else _SD1_MIDDLE + 1
    return first + 3 * int(level) + (2 if part in ("downsamplers", "upsamplers") else int(index))
