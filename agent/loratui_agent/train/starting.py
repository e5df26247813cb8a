"""What the LoRA is when training begins: nothing yet, or what an existing file holds."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from loratui_agent.files import sha256_of
from loratui_agent.train import lora
from loratui_agent.train.conditioning import TextEncoder
from loratui_agent.train.dropout import add_dropout
from loratui_agent.train.job import Job
from loratui_agent.train.kinds import Kind, kind_of
from loratui_agent.train.models import Models
from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import ModelError
from loratui_protocol.lora_blocks import block_dims_of, check_blocks
from loratui_protocol.lora_file import Start, start_of
from loratui_protocol.lora_size import network_of
from loratui_protocol.single_file import check_single_file


def fit_start(job: Job, model: Path, configs: Path | None) -> tuple[Job, Start | None]:
    """Return the job with the ranks and alphas of the file that it goes on from, and that file; no model is loaded.

    ``model`` is the base model's folder or single file, ``configs`` as in ``load_models``.

    Raises:
        ModelError, ConfigError: the file does not fit; see ``start_of``.
    """
    if job.config.network_weights is None:
        return job, None
    if configs is None:
        configs = kind_of(check_single_file(model)).configs if model.is_file() else model
    start = start_of(job.config, network_of(configs))
    assert start is not None
    return replace(job, config=start.config), start


def start_sha256(start: Start | None) -> str:
    """Return the hash of the file that a training goes on from, empty without one."""
    return "" if start is None else sha256_of(start.path)


def attach(models: Models, learning: Collection[str], config: TrainingConfig, start: Start | None) -> None:
    """Attach LoRA modules to the models that learn, as they are at the first step.

    Raises:
        ModelError: the file to go on from can't be read, or holds numbers that are none.
        ConfigError: there are other blocks than the config has ranks for.
    """
    check_blocks(config, models.kind.architecture)
    held = {} if start is None else _tensors(start.path)
    for part, model in {"unet": models.unet, **models.text_encoders}.items():
        if part not in learning:
            continue
        targets = lora.unet_targets(model) if part == "unet" else lora.text_encoder_targets(model)
        if start is None:
            lora.add_lora(model, targets, config, partial(_block_dims, config, models.kind, part))
        else:
            _go_on(models.kind, part, model, targets, config, start, held)
        add_dropout(model, config)


def _block_dims(config: TrainingConfig, kind: Kind, part: str, name: str, is_wide: bool) -> tuple[int, float] | None:
    return block_dims_of(config, kind.architecture, name, is_wide=is_wide) if part == "unet" else None


def _go_on(
    kind: Kind,
    part: str,
    model: UNet2DConditionModel | TextEncoder,
    targets: list[str],
    config: TrainingConfig,
    start: Start,
    held: Mapping[str, Tensor],
) -> None:
    lora.add_lora(model, targets, config, lambda name, _: start.own_dims(kind.lora_name(part, name)))
    with torch.no_grad():
        for module in lora.lora_modules(model):
            name = start.modules[kind.lora_name(part, module.name)].name
            for parameter, which in ((module.down, "down"), (module.up, "up")):
                # Some files have a Linear's matrices as those of a 1x1 convolution.
                parameter.copy_(held[f"{name}.lora_{which}.weight"].reshape(parameter.shape))


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} can't be read: {error}", fix="give another file", code="weights.kind") from error
    bad = next((name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()), None)
    if bad is not None:
        raise ModelError(
            f"network_weights names {path.name}, which is spoilt: {bad} holds numbers that are none",
            fix="give an earlier file of that training",
            code="weights.kind",
        )
    return tensors
