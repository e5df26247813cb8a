"""Which values a training config may have: each on its own, and those that depend on each other."""

from typing import TYPE_CHECKING

from loratui_protocol.optimizers import LR_SCHEDULERS, OPTIMIZERS, are_possible, misfits, sets_own_rate, step_rules

if TYPE_CHECKING:
    from loratui_protocol.config import TrainingConfig

LOSS_TYPES = ("l2", "l1", "huber", "smooth_l1")
LORA_PLUS = ("loraplus_lr_ratio", "loraplus_unet_lr_ratio", "loraplus_text_encoder_lr_ratio")
BLOCKS = ("block_dims", "block_alphas", "conv_block_dims", "conv_block_alphas")
"""Of ``network_args``, those with a number for each block of the UNet."""
NETWORK_ARGS = ("conv_dim", "conv_alpha", "rank_dropout", "module_dropout", *LORA_PLUS, *BLOCKS)
NUM_TIMESTEPS = 1000
"""Of every Stable Diffusion model."""
MOST_TRIED = 20
"""Files, and weights of each, that are tried out and scored."""
MAX_TOKEN_LENGTHS = (75, 150, 225)
HUBER_SCHEDULES = ("constant", "exponential", "snr")
MIXED_PRECISIONS = ("no", "fp16", "bf16")
SAVE_PRECISIONS = ("float", "fp16", "bf16")
SAVE_FORMATS = ("kohya", "diffusers")


def _masks(config: "TrainingConfig") -> list[object]:
    """Return where masks come from: the config, its datasets and their subsets."""
    subsets = [subset for dataset in config.datasets for subset in dataset.subsets]
    settings = [dataset.settings for dataset in config.datasets] + [subset.settings for subset in subsets]
    own = [config.alpha_mask, config.conditioning_data_dir]
    return own + [each.get(key) for each in settings for key in ("alpha_mask", "conditioning_data_dir")]


def checks(config: "TrainingConfig") -> list[tuple[bool, str, str]]:
    """Return (holds, key, what is allowed)."""
    positive = "at least 1"
    counts = (
        "network_dim",
        "train_batch_size",
        "gradient_accumulation_steps",
        "max_train_steps",
        "bucket_reso_steps",
        "min_bucket_reso",
        "max_bucket_reso",
        "lr_scheduler_num_cycles",
    )
    optional_counts = (
        "max_train_epochs",
        "stop_at_epoch",
        "save_every_n_steps",
        "save_every_n_epochs",
        "save_last_n_epochs",
        "save_last_n_steps",
        "keep_every_n_epochs",
        "keep_every_n_steps",
        "checkpoint_every_n_steps",
        "validate_every_n_steps",
        "validate_every_n_epochs",
        "multires_noise_iterations",
        "sample_every_n_steps",
        "sample_every_n_epochs",
        "num_cpu_threads",
        "num_processes",
        "clip_skip",
        "lr_scheduler_timescale",
    )
    rates = ("learning_rate", "unet_lr")
    return [
        *_of_evaluation(config),
        *((getattr(config, key) >= 1, key, positive) for key in counts),
        *((getattr(config, key) is None or getattr(config, key) >= 1, key, positive) for key in optional_counts),
        *((getattr(config, key) is None or 0 <= getattr(config, key) < 10, key, "between 0 and 10") for key in rates),
        (
            config.text_encoder_lr is None or all(0 <= rate < 10 for rate in config.given_text_encoder_lrs),
            "text_encoder_lr",
            "between 0 and 10",
        ),
        (min(config.resolution) >= 32, "resolution", "at least 32 pixels a side"),
        (
            config.min_resolution is None
            or (32 <= config.min_resolution <= min(config.resolution) and not config.datasets),
            "min_resolution",
            "from 32 to the shorter side of resolution, and unset with [[datasets]]",
        ),
        (
            bool(config.train_data_dir or config.datasets or config.evaluate_loras),
            "train_data_dir",
            "a folder, unless there are [[datasets]]",
        ),
        (bool(config.pretrained_model_name_or_path), "pretrained_model_name_or_path", "a path or builtin:tiny"),
        (config.network_module == "networks.lora", "network_module", '"networks.lora" (the only kind so far)'),
        (config.optimizer_type in OPTIMIZERS, "optimizer_type", f"one of {', '.join(OPTIMIZERS)}"),
        (
            config.optimizer_type not in OPTIMIZERS or not misfits(config.optimizer_type, config.optimizer_args),
            "optimizer_args",
            f"what {config.optimizer_type} takes: {', '.join(OPTIMIZERS.get(config.optimizer_type, ()))}",
        ),
        (
            are_possible(config.optimizer_args),
            "optimizer_args",
            "finite: weight_decay, eps, d0 and d_coef from 0, momentum and betas from 0 to below 1",
        ),
        (
            config.optimizer_type != "Prodigy"
            or len({config.effective_unet_lr, *config.effective_text_encoder_lrs} - {0.0}) == 1,
            "text_encoder_lr",
            "unet_lr, or 0, with Prodigy: it finds one rate for all",
        ),
        (
            (config.lr_scheduler == "adafactor") <= sets_own_rate(config.optimizer_type, config.optimizer_args),
            "lr_scheduler",
            "another one than adafactor, unless optimizer_type is AdaFactor with relative_step",
        ),
        (
            config.lr_scheduler_min_lr_ratio is None or 0 <= config.lr_scheduler_min_lr_ratio < 1,
            "lr_scheduler_min_lr_ratio",
            "from 0 to below 1",
        ),
        (
            config.lr_scheduler_min_lr_ratio is not None or config.lr_scheduler != "cosine_with_min_lr",
            "lr_scheduler_min_lr_ratio",
            "given with cosine_with_min_lr",
        ),
        (
            config.lr_decay_steps >= 0 and (isinstance(config.lr_decay_steps, int) or config.lr_decay_steps < 1),
            "lr_decay_steps",
            "a whole number of steps, or a share of them below 1",
        ),
        (
            (config.lr_scheduler == "piecewise_constant") == bool(step_rules(config.lr_scheduler_args)),
            "lr_scheduler_args",
            '["step_rules=1:100,0.1:200,0.01"] with piecewise_constant, and nothing without',
        ),
        (config.lr_scheduler in LR_SCHEDULERS, "lr_scheduler", f"one of {', '.join(LR_SCHEDULERS)}"),
        (
            config.mixed_precision in (None, *MIXED_PRECISIONS),
            "mixed_precision",
            f"one of {', '.join(MIXED_PRECISIONS)}",
        ),
        *(
            ((getattr(config, keep) or 0) % (getattr(config, save) or 1) == 0, keep, f"a multiple of {save}")
            for keep, save in (
                ("keep_every_n_epochs", "save_every_n_epochs"),
                ("keep_every_n_steps", "save_every_n_steps"),
            )
        ),
        (config.save_precision in SAVE_PRECISIONS, "save_precision", f"one of {', '.join(SAVE_PRECISIONS)}"),
        (config.save_format in SAVE_FORMATS, "save_format", f"one of {', '.join(SAVE_FORMATS)}"),
        (0 <= config.caption_dropout_rate <= 1, "caption_dropout_rate", "between 0 and 1"),
        (0 <= config.caption_tag_dropout_rate <= 1, "caption_tag_dropout_rate", "between 0 and 1"),
        (config.caption_dropout_every_n_epochs >= 0, "caption_dropout_every_n_epochs", "0 or more"),
        (config.token_warmup_min >= 0, "token_warmup_min", "0 or more"),
        (config.token_warmup_step >= 0, "token_warmup_step", "0 or more"),
        (
            config.max_token_length in (None, *MAX_TOKEN_LENGTHS),
            "max_token_length",
            f"one of {', '.join(map(str, MAX_TOKEN_LENGTHS))}",
        ),
        (config.keep_tokens >= 0, "keep_tokens", "0 or more"),
        (config.lr_scheduler_power >= 0, "lr_scheduler_power", "0 or more"),
        (config.noise_offset is None or config.noise_offset >= 0, "noise_offset", "0 or more"),
        (bool(config.caption_separator), "caption_separator", "at least a character"),
        (config.network_alpha is None or config.network_alpha > 0, "network_alpha", "above 0"),
        (
            _are_ranks_and_alphas(config),
            "network_args",
            "conv_dim a whole number from 1, conv_alpha and the ratios of LoRA+ above 0",
        ),
        (
            _are_blocks(config),
            "network_args",
            "block_dims whole numbers from 0 that are not all 0, as many block_alphas above 0; conv_block_dims with "
            "them and instead of conv_dim, conv_block_alphas with those; none of them with network_weights",
        ),
        (
            0 <= config.rank_dropout < 1 and 0 <= config.module_dropout < 1,
            "network_args",
            "rank_dropout and module_dropout from 0 to below 1",
        ),
        (
            not any(key in config.network_args for key in LORA_PLUS)
            or not (config.optimizer_type == "Prodigy" or sets_own_rate(config.optimizer_type, config.optimizer_args)),
            "network_args",
            f"without the ratios of LoRA+: {config.optimizer_type} finds one rate for all",
        ),
        ("conv_alpha" not in config.network_args or config.conv_dim is not None, "network_args", "with conv_dim"),
        (
            not config.dim_from_weights or bool(config.network_weights),
            "dim_from_weights",
            "false without network_weights",
        ),
        (config.scale_weight_norms is None or config.scale_weight_norms > 0, "scale_weight_norms", "above 0"),
        (config.network_dropout is None or 0 <= config.network_dropout < 1, "network_dropout", "from 0 to below 1"),
        (config.min_snr_gamma is None or config.min_snr_gamma > 0, "min_snr_gamma", "above 0"),
        (config.loss_type in LOSS_TYPES, "loss_type", f"one of {', '.join(LOSS_TYPES)}"),
        (config.huber_schedule in HUBER_SCHEDULES, "huber_schedule", f"one of {', '.join(HUBER_SCHEDULES)}"),
        (0 < config.huber_c <= 1, "huber_c", "above 0, at most 1"),
        (config.huber_scale > 0, "huber_scale", "above 0"),
        (config.v_pred_like_loss is None or config.v_pred_like_loss > 0, "v_pred_like_loss", "above 0"),
        (0 < config.multires_noise_discount <= 1, "multires_noise_discount", "above 0, at most 1"),
        (config.ip_noise_gamma is None or 0 < config.ip_noise_gamma <= 1, "ip_noise_gamma", "above 0, at most 1"),
        (
            0 <= (config.min_timestep or 0) < (config.max_timestep or NUM_TIMESTEPS) <= NUM_TIMESTEPS,
            "min_timestep",
            f"below max_timestep; both from 0 to {NUM_TIMESTEPS}",
        ),
        (
            not (config.conditioning_data_dir and config.alpha_mask),
            "alpha_mask",
            "false with conditioning_data_dir: a picture has one mask",
        ),
        (
            not config.masked_loss or any(_masks(config)),
            "masked_loss",
            "false without masks: name their folder as conditioning_data_dir, or set alpha_mask",
        ),
        (config.validation_split is None or 0 <= config.validation_split < 1, "validation_split", "from 0 to below 1"),
        (config.prior_loss_weight >= 0, "prior_loss_weight", "0 or more"),
        (config.max_grad_norm >= 0, "max_grad_norm", "0 or more"),
        (
            config.lr_warmup_steps >= 0 and (isinstance(config.lr_warmup_steps, int) or config.lr_warmup_steps < 1),
            "lr_warmup_steps",
            "a whole number of steps, or a share of them below 1",
        ),
        (
            config.lr_warmup_steps == 0 or config.lr_scheduler not in ("constant", "piecewise_constant", "adafactor"),
            "lr_warmup_steps",
            f"0 with lr_scheduler {config.lr_scheduler}; constant_with_warmup is the one that warms up",
        ),
        (
            not (config.network_train_unet_only and config.network_train_text_encoder_only),
            "network_train_unet_only",
            "false when network_train_text_encoder_only is true",
        ),
        (
            config.effective_unet_lr > 0 or max(config.effective_text_encoder_lrs) > 0,
            "learning_rate",
            "above 0 for the UNet or the text encoder: nothing is trained",
        ),
        (
            bool(config.output_name)
            and not set(config.output_name) & set('/\\:*?"<>|\0')
            and config.output_name[0] != ".",
            "output_name",
            "a plain file name",
        ),
    ]


def _of_evaluation(config: "TrainingConfig") -> list[tuple[bool, str, str]]:
    weights, is_alone = config.evaluate_weights, bool(config.evaluate_loras)
    return [
        (0 <= config.evaluate_checkpoints <= MOST_TRIED, "evaluate_checkpoints", f"from 0 to {MOST_TRIED}"),
        (len(config.evaluate_loras) <= MOST_TRIED, "evaluate_loras", f"at most {MOST_TRIED} files"),
        (
            len(set(config.evaluate_loras)) == len(config.evaluate_loras),
            "evaluate_loras",
            "each file once: two of the same can't be told apart",
        ),
        (not (is_alone and config.evaluate_checkpoints), "evaluate_checkpoints", "0 where evaluate_loras is set"),
        (2 <= config.evaluate_seeds <= 100, "evaluate_seeds", "from 2 to 100: one picture has no spread"),
        (
            1 <= len(set(weights)) == len(weights) <= MOST_TRIED and all(0 <= each <= 2 for each in weights),
            "evaluate_weights",
            f"at most {MOST_TRIED} different numbers from 0 to 2",
        ),
        (any(weights), "evaluate_weights", "a list with a weight above 0"),
    ]


def _are_ranks_and_alphas(config: "TrainingConfig") -> bool:
    positive = [config._number(key) for key in ("conv_dim", "conv_alpha", *LORA_PLUS)]
    are_single = not any(isinstance(value, tuple) for key, value in config.network_args.items() if key not in BLOCKS)
    return are_single and all(value is None or value > 0 for value in positive) and (positive[0] or 1) % 1 == 0


def _are_blocks(config: "TrainingConfig") -> bool:
    """Return whether what is given for each block goes together; the first ones are ranks, the others alphas."""
    given = {key: config._numbers(key) for key in BLOCKS}
    dims, alphas, conv_dims, conv_alphas = given.values()
    return (
        all(rank >= 0 and rank % 1 == 0 for rank in (*dims, *conv_dims))
        and all(alpha > 0 for alpha in (*alphas, *conv_alphas))
        and all(len(numbers) in (0, len(dims)) for numbers in (alphas, conv_dims, conv_alphas))
        and (not dims or any(dims))
        and not (conv_dims and config.conv_dim is not None)
        and not (conv_alphas and not conv_dims)
        and not (dims and config.network_weights)
    )
