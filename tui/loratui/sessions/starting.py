"""The LoRA file that a config goes on from: one that does not fit is refused here, before anything is rented."""

from pathlib import Path

from loratui.sessions.base_kind import kind_told_here
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import ConfigError
from loratui_protocol.findings import Finding
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


def start_findings(config: TrainingConfig, start: Start) -> list[Finding]:
    """Return what there is to say of ranks and alphas that come from the file, not from the config as it was read."""
    findings = []
    taken = start.config
    if config.network_alpha not in (None, taken.network_alpha):
        findings.append(
            Finding(
                code="config.overridden",
                severity="warning",
                what=f"network_alpha = {config.network_alpha:g} has no effect: the alpha in {start.path.name}, "
                f"{taken.alpha:g}, is taken (dim_from_weights)",
                fix="remove network_alpha",
            )
        )
    ranks = {module.rank for module in start.modules.values()} - {taken.conv_dim}
    if len(ranks) > 1:
        findings.append(
            Finding(
                code="weights.ranks",
                severity="info",
                what=f"modules in {start.path.name} have ranks from {min(ranks)} to {max(ranks)}; what is reckoned "
                f"here is for {taken.network_dim}, which most of them have",
            )
        )
    return findings


def _network(name: str) -> Network | None:
    """Return the shape of the base model as far as this machine knows it: a small or distilled one is no usual one."""
    folder = Path(name).expanduser()
    if (folder / "unet" / "config.json").is_file():
        return network_of(folder)
    kind = kind_told_here(name)
    return kind.network if kind else None
