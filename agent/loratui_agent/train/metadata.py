"""What the LoRA file says of itself: kohya's ``ss_*`` keys, read by A1111 and others, and modelspec 1.0.1.

Nothing here depends on the clock or the machine: the same inputs give the same file, byte for byte. Of places on disks
and addresses only the last name is told.
"""

import base64
import json
import re
from pathlib import Path

from loratui_agent.train.base_hash import BaseHash
from loratui_agent.train.dataset_metadata import dataset_metadata
from loratui_agent.train.kinds import Kind
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_checks import NUM_TIMESTEPS
from loratui_protocol.dataset import Dataset
from loratui_protocol.plan import Plan
from loratui_protocol.subsets import largest_resolution

_MINIMUM = (
    "ss_v2",
    "ss_base_model_version",
    "ss_network_module",
    "ss_network_dim",
    "ss_network_alpha",
    "ss_network_args",
)
"""What sd-scripts keeps even under ``no_metadata``: without these A1111 says "Unknown"."""
IMPLEMENTATION = "https://github.com/huggingface/peft"


def file_metadata(
    config: TrainingConfig,
    dataset: Dataset,
    plan: Plan,
    *,
    step: int,
    base: BaseHash,
    seed: int,
    precision: str,
    kind: Kind,
    is_v: bool,
    base_license: str = "",
    thumbnail: Path | None = None,
) -> dict[str, str]:
    """Return the metadata of a file written after ``step`` optimizer steps.

    ``thumbnail`` is a JPEG of what the LoRA draws, ``base_license`` what the base model is licensed under.
    """
    trigger = config.trigger_word or ""
    width, height = largest_resolution(config)
    text_encoder_lrs = config.effective_text_encoder_lrs
    clip_skip = kind.clip_skip or config.clip_skip
    ss: dict[str, object] = {
        "ss_v2": "False",
        "ss_base_model_version": kind.base_model_version,
        "ss_network_module": config.network_module,
        "ss_network_dim": config.network_dim,
        "ss_network_alpha": config.alpha,
        "ss_network_args": json.dumps({name: _argument(value) for name, value in config.network_args.items()}),
        "ss_scale_weight_norms": config.scale_weight_norms,
        "ss_output_name": config.output_name,
        "ss_sd_model_name": _last_name(config.pretrained_model_name_or_path),
        "ss_new_sd_model_hash": base.sha256,
        "ss_learning_rate": config.learning_rate,
        "ss_unet_lr": config.effective_unet_lr,
        "ss_text_encoder_lr": text_encoder_lrs[0] if len(set(text_encoder_lrs)) == 1 else list(text_encoder_lrs),
        "ss_optimizer": f"torch.optim.{config.optimizer_type}",
        "ss_lr_scheduler": config.lr_scheduler,
        "ss_lr_warmup_steps": config.lr_warmup_steps,
        "ss_max_grad_norm": config.max_grad_norm,
        "ss_seed": seed,
        "ss_mixed_precision": precision,
        "ss_clip_skip": clip_skip,
        "ss_max_token_length": config.max_token_length,
        "ss_min_snr_gamma": config.min_snr_gamma,
        "ss_debiased_estimation": config.debiased_estimation_loss,
        "ss_loss_type": config.loss_type,
        "ss_huber_schedule": config.huber_schedule,
        "ss_huber_c": config.huber_c,
        "ss_huber_scale": config.huber_scale,
        "ss_noise_offset": config.noise_offset,
        "ss_multires_noise_iterations": config.multires_noise_iterations,
        "ss_multires_noise_discount": config.multires_noise_discount,
        "ss_ip_noise_gamma": config.ip_noise_gamma,
        "ss_prior_loss_weight": config.prior_loss_weight,
        "ss_network_dropout": config.network_dropout,
        "ss_gradient_accumulation_steps": config.gradient_accumulation_steps,
        "ss_gradient_checkpointing": config.gradient_checkpointing,
        "ss_num_train_images": plan.num_exposures,
        "ss_num_reg_images": plan.num_reg_exposures,
        "ss_num_batches_per_epoch": plan.batches_per_epoch,
        "ss_num_epochs": plan.epochs,
        "ss_epoch": plan.epoch_of(max(1, step)),
        "ss_max_train_steps": plan.steps,
        "ss_steps": step,
        "ss_training_comment": config.training_comment,
        "ss_resolution": f"({width}, {height})",
        "ss_cache_latents": True,
        **dataset_metadata(config, dataset, plan),
    }
    if base.short:
        ss["ss_sd_model_hash"] = base.short
    modelspec = {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": kind.modelspec,
        "modelspec.implementation": IMPLEMENTATION,
        "modelspec.title": config.metadata_title or config.output_name,
        "modelspec.author": config.metadata_author,
        "modelspec.description": config.metadata_description,
        "modelspec.license": config.metadata_license,
        "modelspec.tags": config.metadata_tags,
        "modelspec.resolution": f"{width}x{height}",
        "modelspec.prediction_type": "v" if is_v else "epsilon",
        "modelspec.timestep_range": _timestep_range(config),
        "modelspec.usage_hint": f"trigger word: {trigger}" if trigger else "",
        "modelspec.trigger_phrase": trigger,
        "modelspec.encoder_layer": str(clip_skip or 1),
        "loratui_base_license": base_license,
        "loratui_rights_statement": config.rights_statement,
    }
    if config.no_metadata:
        ss = {name: ss[name] for name in _MINIMUM}
    elif thumbnail is not None:
        modelspec["modelspec.thumbnail"] = _data_url(thumbnail)
    return {
        **{name: str(value) for name, value in ss.items()},
        **{name: value for name, value in modelspec.items() if value},
    }


def _argument(value: float | tuple[float, ...]) -> str:
    return ",".join(f"{number:g}" for number in (value if isinstance(value, tuple) else (value,)))


def _last_name(model: str) -> str:
    """Return what the base model is called, without where it lies; what is behind an address may be a secret."""
    if "://" in model:
        model = re.split("[?#]", model)[0]
    return re.split(r"[/\\]", model.rstrip("/\\"))[-1]


def _timestep_range(config: TrainingConfig) -> str:
    if config.min_timestep is None and config.max_timestep is None:
        return ""
    return f"{config.min_timestep or 0},{config.max_timestep or NUM_TIMESTEPS}"


def _data_url(picture: Path) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(picture.read_bytes()).decode('ascii')}"
