"""What is worth saying about a config that is valid: settings that contradict each other or change nothing."""

import math
from collections import Counter

from loratui_protocol.config import TrainingConfig
from loratui_protocol.findings import Finding
from loratui_protocol.optimizers import sets_own_rate
from loratui_protocol.subsets import DATASET_KEYS, SUBSET_KEYS, DatasetConfig, subsets_of

_DEFAULTS = {name: field.default for name, field in TrainingConfig.__dataclass_fields__.items()}

_PRODIGY_RATES = (0.1, 2.0)
"""What its factor is set to, apart from 1; a rate as for AdamW, or a guess at one, is far beyond."""


def advice(config: TrainingConfig) -> list[Finding]:
    """Return the findings about the config as a whole, in the order of its keys; none where nothing is trained."""
    if config.evaluate_loras:
        return []
    findings = [
        Finding(
            code="config.overridden", severity="warning", what=f"{key} has no effect: {reason}", fix=f"remove {key}"
        )
        for key, reason in _without_effect(config)
    ]
    if config.network_alpha is None and config.network_weights is None:
        findings.append(
            Finding(
                code="config.alpha",
                severity="info",
                what=f"network_alpha is not set: it is {config.network_dim}, the rank (sd-scripts would take 1)",
                fix=f"write network_alpha = {config.network_dim}",
                fixable=True,
            )
        )
    modules = [(config.network_dim, config.alpha)]
    if config.conv_dim is not None:
        modules.append((config.conv_dim, config.conv_alpha))
    if config.save_format == "diffusers" and any(rank != alpha for rank, alpha in modules):
        findings.append(
            Finding(
                code="config.alpha_of_diffusers",
                severity="warning",
                what="in a file in diffusers' format diffusers alone finds the alpha: other programs take it for the "
                "rank, and apply the LoRA too strongly or too weakly",
                fix='let alphas equal the ranks, or set save_format = "kohya"',
            )
        )
    for number, dataset in enumerate(config.datasets, 1):
        folders = Counter(subset.image_dir for subset in dataset.subsets)
        findings += [
            Finding(
                code="config.same_folder",
                severity="warning",
                what=f"{folder} is {count} subsets of dataset {number}: its pictures are shown for each; sd-scripts "
                "takes the first one alone",
                fix="keep one of them, or raise its num_repeats",
            )
            for folder, count in folders.items()
            if count > 1
        ]
    rate = max(config.effective_unet_lr, *config.effective_text_encoder_lrs)
    if config.optimizer_type == "Prodigy" and not _PRODIGY_RATES[0] <= rate <= _PRODIGY_RATES[1]:
        findings.append(
            Finding(
                code="config.prodigy",
                severity="warning",
                what=f"Prodigy multiplies the learning rate that it finds by the one that is set, {rate:g}: 1 is right",
                fix="write learning_rate = 1, and no unet_lr or text_encoder_lr",
            )
        )
    if config.lr_scheduler == "cosine_with_restarts" and config.lr_scheduler_num_cycles == 1:
        findings.append(
            Finding(
                code="config.restarts",
                severity="info",
                what="cosine_with_restarts with one cycle is plain cosine",
                fix="set lr_scheduler_num_cycles to 2 or more, or lr_scheduler to cosine",
            )
        )
    return findings


def _without_effect(config: TrainingConfig) -> list[tuple[str, str]]:
    """Return the keys that are set and change nothing for any folder, and why."""
    folders = [subset.config for subset in subsets_of(config)] if config.datasets else [config]
    found = []
    for rows in zip(*map(_idle, folders), strict=True):
        for key in rows[0][2]:
            set_in = [row for row, folder in zip(rows, folders, strict=True) if getattr(folder, key) != _DEFAULTS[key]]
            if set_in and all(idle for idle, _, _ in set_in):
                found.append((key, set_in[0][1]))
    whole = [(key, reason) for idle, reason, keys in _idle_as_a_whole(config) if idle for key in keys]
    return found + [(key, reason) for key, reason in whole if getattr(config, key) != _DEFAULTS[key]]


def _idle_as_a_whole(config: TrainingConfig) -> list[tuple[bool, str, tuple[str, ...]]]:
    """Return what ``_idle`` does, of what the folders do to the training config."""
    datasets = config.datasets
    replaced = [
        key
        for key in (*DATASET_KEYS, *SUBSET_KEYS)
        # The size of samples is the training config's.
        if key != "resolution" and all(key in {*dataset.settings, *_shared(dataset)} for dataset in datasets)
    ]
    has_reg = any(subset.is_reg for subset in subsets_of(config))
    return [
        (bool(datasets), "the datasets name their folders", ("train_data_dir", "reg_data_dir")),
        (bool(datasets), "every dataset has its own", tuple(replaced)),
        (not has_reg, "there are no regularisation pictures", ("prior_loss_weight",)),
    ]


def _shared(dataset: DatasetConfig) -> set[str]:
    """Return the keys that all subsets of a dataset set for themselves."""
    return set.intersection(*(set(subset.settings) for subset in dataset.subsets))


def _idle(config: TrainingConfig) -> list[tuple[bool, str, tuple[str, ...]]]:
    """Return (whether it holds, why, the keys that then change nothing)."""
    buckets = ("min_bucket_reso", "max_bucket_reso")
    huber = ("huber", "smooth_l1")
    return [
        (not config.enable_bucket, "enable_bucket is false", (*buckets, "bucket_reso_steps", "bucket_no_upscale")),
        (config.enable_bucket and config.bucket_no_upscale, "bucket_no_upscale takes any size", buckets),
        (
            not (config.shuffle_caption or config.caption_tag_dropout_rate or config.token_warmup_step),
            "no tags are shuffled or left out",
            ("keep_tokens", "keep_tokens_separator"),
        ),
        (config.token_warmup_step == 0, "token_warmup_step is 0", ("token_warmup_min",)),
        (config.network_train_unet_only, "network_train_unet_only is true", ("text_encoder_lr",)),
        (config.network_train_text_encoder_only, "network_train_text_encoder_only is true", ("unet_lr",)),
        (
            config.lr_scheduler not in ("cosine_with_restarts", "cosine_with_min_lr", "warmup_stable_decay"),
            f"lr_scheduler is {config.lr_scheduler}",
            ("lr_scheduler_num_cycles",),
        ),
        (
            config.lr_scheduler not in ("cosine_with_min_lr", "warmup_stable_decay"),
            f"lr_scheduler is {config.lr_scheduler}",
            ("lr_scheduler_min_lr_ratio",),
        ),
        (config.lr_scheduler != "warmup_stable_decay", f"lr_scheduler is {config.lr_scheduler}", ("lr_decay_steps",)),
        (config.lr_scheduler != "inverse_sqrt", f"lr_scheduler is {config.lr_scheduler}", ("lr_scheduler_timescale",)),
        (
            sets_own_rate(config.optimizer_type, config.optimizer_args) and config.lr_scheduler != "adafactor",
            "AdaFactor with relative_step sets its own rate",
            ("lr_scheduler",),
        ),
        (config.lr_scheduler != "polynomial", f"lr_scheduler is {config.lr_scheduler}", ("lr_scheduler_power",)),
        (
            config.unet_lr is not None and config.text_encoder_lr is not None,
            "unet_lr and text_encoder_lr are both set",
            ("learning_rate",),
        ),
        (
            config.loss_type not in huber,
            f"loss_type is {config.loss_type}",
            ("huber_schedule", "huber_c", "huber_scale"),
        ),
        (config.loss_type in huber and config.huber_schedule == "snr", "huber_schedule is snr", ("huber_scale",)),
        (
            config.multires_noise_iterations is None,
            "multires_noise_iterations is not set",
            ("multires_noise_discount",),
        ),
        (config.max_train_epochs is not None, "max_train_epochs overrides it", ("max_train_steps",)),
        (
            (config.stop_at_epoch or 0) >= (config.max_train_epochs or math.inf),
            "max_train_epochs ends the run by then",
            ("stop_at_epoch",),
        ),
        (not config.masked_loss, "masked_loss is false", ("conditioning_data_dir",)),
        (config.no_metadata, "no_metadata is true", ("training_comment",)),
        (config.save_every_n_epochs is None, "no files are written by epoch", ("save_last_n_epochs",)),
        (config.save_every_n_steps is None, "no files are written by step", ("save_last_n_steps",)),
        (config.save_last_n_epochs is None, "without save_last_n_epochs all files stay", ("keep_every_n_epochs",)),
        (config.save_last_n_steps is None, "without save_last_n_steps all files stay", ("keep_every_n_steps",)),
        (
            config.save_every_n_epochs is None and config.save_every_n_steps is None,
            "no files are written on the way",
            ("keep_best",),
        ),
    ]
