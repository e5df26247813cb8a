"""What sd-scripts takes in a config file: its arguments at commit 48d368f, their types, defaults and choices.

Those of ``train_network.py`` and ``sdxl_train_network.py``, and the schema of a ``dataset_config``. A file is not
checked there: what has another type, or another name, goes wrong later or without a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument, as a file has to give it."""

    types: tuple[type, ...]
    default: object = None
    choices: tuple[object, ...] = ()
    """Empty: any value."""
    is_list: bool = False
    """A list of such values."""

    def takes(self, value: object) -> bool:
        """Return whether a file may give this value."""
        if self.is_list:
            return isinstance(value, list) and all(type(each) in self.types for each in value)
        return type(value) in self.types and (not self.choices or value in self.choices)


def _text(default: str | None = None, *choices: str) -> Argument:
    return Argument((str,), default, choices)


def _whole(default: int | None = None, *choices: int) -> Argument:
    return Argument((int,), default, choices)


def _number(default: float | None = None) -> Argument:
    return Argument((float, int), default)


_FLAG = Argument((bool,), default=False)
_TEXTS, _NUMBERS = Argument((str,), is_list=True), Argument((float, int), is_list=True)
_STEPS = Argument((int, float), 0)
"""A whole number of steps, or as a float below 1 a share of all."""
_MODEL: Mapping[str, Argument] = {
    "pretrained_model_name_or_path": _text(),
    "v2": _FLAG,
    "v_parameterization": _FLAG,
    "tokenizer_cache_dir": _text(),
    "vae": _text(),
    "clip_skip": _whole(),
    "max_token_length": _whole(None, 150, 225),
    "no_half_vae": _FLAG,
    "lowram": _FLAG,
    "highvram": _FLAG,
    "disable_mmap_load_safetensors": _FLAG,
}
_DATASET: Mapping[str, Argument] = {
    "dataset_config": _text(),
    "train_data_dir": _text(),
    "reg_data_dir": _text(),
    "in_json": _text(),
    "dataset_repeats": _whole(1),
    "dataset_class": _text(),
    "debug_dataset": _FLAG,
    "conditioning_data_dir": _text(),
    "masked_loss": _FLAG,
    "alpha_mask": _FLAG,
    "cache_info": _FLAG,
    # "512" or "512,768": it is split, and a number can't be.
    "resolution": _text(),
    "enable_bucket": _FLAG,
    "min_bucket_reso": _whole(256),
    "max_bucket_reso": _whole(1024),
    "bucket_reso_steps": _whole(64),
    "bucket_no_upscale": _FLAG,
    "resize_interpolation": _text(None, "lanczos", "nearest", "bilinear", "linear", "bicubic", "cubic", "area"),
    "caption_extension": _text(".caption"),
    "caption_extention": _text(),
    "caption_separator": _text(","),
    "secondary_separator": _text(),
    "caption_prefix": _text(),
    "caption_suffix": _text(),
    "shuffle_caption": _FLAG,
    "keep_tokens": _whole(0),
    "keep_tokens_separator": _text(""),
    "enable_wildcard": _FLAG,
    "caption_dropout_rate": _number(0.0),
    "caption_dropout_every_n_epochs": _whole(0),
    "caption_tag_dropout_rate": _number(0.0),
    "token_warmup_min": _whole(1),
    "token_warmup_step": _number(0),
    "weighted_captions": _FLAG,
    "color_aug": _FLAG,
    "flip_aug": _FLAG,
    "random_crop": _FLAG,
    "face_crop_aug_range": _text(),
    "cache_latents": _FLAG,
    "cache_latents_to_disk": _FLAG,
    "vae_batch_size": _whole(1),
    "skip_cache_check": _FLAG,
    "cache_text_encoder_outputs": _FLAG,
    "cache_text_encoder_outputs_to_disk": _FLAG,
}
_NETWORK: Mapping[str, Argument] = {
    # Without a default, and needed.
    "network_module": _text(),
    # None there is 4 in networks.lora.
    "network_dim": _whole(),
    "network_alpha": _number(1),
    "network_dropout": _number(),
    "network_args": _TEXTS,
    "network_weights": _text(),
    "dim_from_weights": _FLAG,
    "scale_weight_norms": _number(),
    "network_train_unet_only": _FLAG,
    "network_train_text_encoder_only": _FLAG,
    "base_weights": _TEXTS,
    "base_weights_multiplier": _NUMBERS,
}
_OPTIMIZER: Mapping[str, Argument] = {
    "optimizer_type": _text(""),
    "optimizer_args": _TEXTS,
    "use_8bit_adam": _FLAG,
    "use_lion_optimizer": _FLAG,
    "learning_rate": _number(2e-6),
    "unet_lr": _number(),
    "text_encoder_lr": _NUMBERS,
    "max_grad_norm": _number(1.0),
    "lr_scheduler": _text("constant"),
    "lr_scheduler_type": _text(""),
    "lr_scheduler_args": _TEXTS,
    "lr_warmup_steps": _STEPS,
    "lr_decay_steps": _STEPS,
    "lr_scheduler_num_cycles": _whole(1),
    "lr_scheduler_power": _number(1),
    "lr_scheduler_timescale": _whole(),
    "lr_scheduler_min_lr_ratio": _number(),
    "fused_backward_pass": _FLAG,
}
_TRAINING: Mapping[str, Argument] = {
    "train_batch_size": _whole(1),
    "gradient_accumulation_steps": _whole(1),
    "max_train_steps": _whole(1600),
    "max_train_epochs": _whole(),
    "seed": _whole(),
    "mixed_precision": _text("no", "no", "fp16", "bf16"),
    "full_fp16": _FLAG,
    "full_bf16": _FLAG,
    "fp8_base": _FLAG,
    "fp8_base_unet": _FLAG,
    "gradient_checkpointing": _FLAG,
    "cpu_offload_checkpointing": _FLAG,
    "xformers": _FLAG,
    "sdpa": _FLAG,
    "mem_eff_attn": _FLAG,
    "torch_compile": _FLAG,
    "dynamo_backend": _text(
        "inductor",
        *("eager", "aot_eager", "inductor", "aot_ts_nvfuser", "nvprims_nvfuser", "cudagraphs"),
        *("ofi", "fx2trt", "onnxrt", "tensort", "ipex", "tvm"),
    ),
    "max_data_loader_n_workers": _whole(8),
    "persistent_data_loader_workers": _FLAG,
    "ddp_timeout": _whole(),
    "ddp_gradient_as_bucket_view": _FLAG,
    "ddp_static_graph": _FLAG,
    "prior_loss_weight": _number(1.0),
    "loss_type": _text("l2", "l1", "l2", "huber", "smooth_l1"),
    "huber_schedule": _text("snr", "constant", "exponential", "snr"),
    "huber_c": _number(0.1),
    "huber_scale": _number(1.0),
    "min_snr_gamma": _number(),
    "debiased_estimation_loss": _FLAG,
    "scale_v_pred_loss_like_noise_pred": _FLAG,
    "v_pred_like_loss": _number(),
    "zero_terminal_snr": _FLAG,
    "noise_offset": _number(),
    "noise_offset_random_strength": _FLAG,
    "adaptive_noise_scale": _number(),
    "multires_noise_iterations": _whole(),
    "multires_noise_discount": _number(0.3),
    "ip_noise_gamma": _number(),
    "ip_noise_gamma_random_strength": _FLAG,
    "min_timestep": _whole(),
    "max_timestep": _whole(),
    "validation_split": _number(0.0),
    "validation_seed": _whole(),
    "validate_every_n_steps": _whole(),
    "validate_every_n_epochs": _whole(),
    "max_validation_steps": _whole(),
    "deepspeed": _FLAG,
    "zero_stage": _whole(2, 0, 1, 2, 3),
    "offload_optimizer_device": _text(None, "cpu", "nvme"),
    "offload_optimizer_nvme_path": _text(),
    "offload_param_device": _text(None, "cpu", "nvme"),
    "offload_param_nvme_path": _text(),
    "zero3_init_flag": _FLAG,
    "zero3_save_16bit_model": _FLAG,
    "fp16_master_weights_and_gradients": _FLAG,
}
_SAVE: Mapping[str, Argument] = {
    "output_dir": _text(),
    # None is "last".
    "output_name": _text(),
    "save_model_as": _text("safetensors", "ckpt", "pt", "safetensors"),
    "save_precision": _text(None, "float", "fp16", "bf16"),
    "save_every_n_epochs": _whole(),
    "save_every_n_steps": _whole(),
    "save_n_epoch_ratio": _whole(),
    "save_last_n_epochs": _whole(),
    "save_last_n_steps": _whole(),
    "save_state": _FLAG,
    "save_state_on_train_end": _FLAG,
    "save_last_n_epochs_state": _whole(),
    "save_last_n_steps_state": _whole(),
    "resume": _text(),
    "initial_epoch": _whole(),
    "initial_step": _whole(),
    "skip_until_initial_step": _FLAG,
    "training_comment": _text(),
    "no_metadata": _FLAG,
    **{
        f"metadata_{name}": _text()
        for name in (
            *("title", "author", "description", "license", "tags", "usage_hint", "thumbnail", "merged_from"),
            *("trigger_phrase", "preprocessor", "is_negative_embedding"),
        )
    },
    "huggingface_repo_id": _text(),
    "huggingface_repo_type": _text(),
    "huggingface_path_in_repo": _text(),
    "huggingface_token": _text(),
    "huggingface_repo_visibility": _text(),
    "save_state_to_huggingface": _FLAG,
    "resume_from_huggingface": _FLAG,
    "async_upload": _FLAG,
}
_SAMPLE_AND_LOG: Mapping[str, Argument] = {
    # The path of a file.
    "sample_prompts": _text(),
    "sample_every_n_steps": _whole(),
    "sample_every_n_epochs": _whole(),
    "sample_at_first": _FLAG,
    "sample_sampler": _text(
        "ddim",
        *("ddim", "pndm", "lms", "euler", "euler_a", "heun", "dpm_2", "dpm_2_a", "dpmsolver", "dpmsolver++"),
        *("dpmsingle", "k_lms", "k_euler", "k_euler_a", "k_dpm_2", "k_dpm_2_a"),
    ),
    "logging_dir": _text(),
    "log_with": _text(None, "tensorboard", "wandb", "all"),
    "log_prefix": _text(),
    "log_tracker_name": _text(),
    "log_tracker_config": _text(),
    "log_config": _FLAG,
    "wandb_run_name": _text(),
    "wandb_api_key": _text(),
    "console_log_level": _text(None, "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
    "console_log_file": _text(),
    "console_log_simple": _FLAG,
    "config_file": _text(),
    "output_config": _FLAG,
}
ARGUMENTS: Mapping[str, Argument] = {
    **_MODEL,
    **_DATASET,
    **_NETWORK,
    **_OPTIMIZER,
    **_TRAINING,
    **_SAVE,
    **_SAMPLE_AND_LOG,
}
"""Every key that a training config of sd-scripts may have."""

_SIZE = Argument((int, list))
DATASET_ARGUMENTS: Mapping[str, Argument] = {
    **{key: _DATASET[key] for key in ("enable_bucket", "min_bucket_reso", "max_bucket_reso", "bucket_reso_steps")},
    "batch_size": _whole(1),
    "bucket_no_upscale": _FLAG,
    # A number, or [width, height]: here a text is refused.
    "resolution": _SIZE,
    "network_multiplier": Argument((float,), 1.0),
    "validation_split": Argument((float,), 0.0),
    "validation_seed": _whole(),
    "resize_interpolation": _DATASET["resize_interpolation"],
}
"""What ``[[datasets]]`` of a ``dataset_config`` may have; other keys are refused there."""

SHARED_ARGUMENTS: Mapping[str, Argument] = {
    **{
        key: _DATASET[key]
        for key in (
            *("caption_extension", "caption_separator", "secondary_separator", "caption_prefix", "caption_suffix"),
            *("shuffle_caption", "keep_tokens", "keep_tokens_separator", "enable_wildcard", "caption_dropout_rate"),
            *("caption_dropout_every_n_epochs", "caption_tag_dropout_rate", "token_warmup_min", "token_warmup_step"),
            *("color_aug", "flip_aug", "random_crop", "cache_info"),
        )
    },
    "num_repeats": _whole(1),
    "class_tokens": _text(),
    "face_crop_aug_range": Argument((float,), is_list=True),
    "custom_attributes": Argument((dict,)),
}
"""What a subset may have, and its dataset for all of them."""

SUBSET_ARGUMENTS: Mapping[str, Argument] = {
    **SHARED_ARGUMENTS,
    "image_dir": _text(),
    "is_reg": _FLAG,
    "alpha_mask": _FLAG,
}
"""What ``[[datasets.subsets]]`` may have."""

MASKED_SUBSET_ARGUMENTS: Mapping[str, Argument] = {
    **{key: kind for key, kind in SHARED_ARGUMENTS.items() if key != "class_tokens"},
    "image_dir": _text(),
    "conditioning_data_dir": _text(),
}
"""The same of a dataset all of whose subsets have a folder of masks."""
