"""The LoRA file that a config goes on from: one that does not fit is refused here, before anything is rented."""

from pathlib import Path

from loratui.sessions.base_kind import kind_told_here
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import ConfigError
from loratui_protocol.lora_blocks import check_blocks
from loratui_protocol.lora_file import OTHER_BASE, Start, start_of
from loratui_protocol.lora_size import SD1_NETWORK, SDXL_NETWORK, Network, network_of


def start_here(config: TrainingConfig) -> Start | None:
    """Return what the config goes on from; None: it begins anew.

    Of which kind the base model is may not be known here; then the file has to fit one of those there are.

    Raises:
        ModelError, ConfigError: the file does not fit, see ``start_of``, or there are ranks for other blocks.
    """
    network = _network(config.pretrained_model_name_or_path)
    if network is not None:
        check_blocks(config, network.architecture)
        return start_of(config, network)
    if config.network_weights is None:
        return None
    try:
        return start_of(config, SD1_NETWORK)
    except ConfigError as error:
        if error.code != OTHER_BASE:
            raise
    return start_of(config, SDXL_NETWORK)


def _network(name: str) -> Network | None:
    """Return the shape of the base model as far as this machine knows it: a small or distilled one is no usual one."""
    folder = Path(name).expanduser()
    if (folder / "unet" / "config.json").is_file():
        return network_of(folder)
    kind = kind_told_here(name)
    return kind.network if kind else None
