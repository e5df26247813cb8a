"""OneTrainer's names and values: modules/util/config/TrainConfig.py at 00f380ac, version 12 of its configs."""

from collections.abc import Mapping
from typing import Any

MODELS: Mapping[str, bool] = {"STABLE_DIFFUSION_15": False, "STABLE_DIFFUSION_XL_10_BASE": True}
"""Base models that can be trained, and whether they are SDXL's."""
RENAMED: Mapping[str, str] = {
    "base_model_name": "pretrained_model_name_or_path",
    "lora_rank": "network_dim",
    "lora_alpha": "network_alpha",
    "epochs": "max_train_epochs",
    "batch_size": "train_batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "learning_rate": "learning_rate",
    "aspect_ratio_bucketing": "enable_bucket",
    "seed": "seed",
}
"""What is the same under another name."""
WHEN_SET: Mapping[str, str] = {
    "lora_model_name": "network_weights",
    "offset_noise_weight": "noise_offset",
    "dropout_probability": "network_dropout",
    "rescale_noise_scheduler_to_zero_terminal_snr": "zero_terminal_snr",
    "force_v_prediction": "v_parameterization",
}
"""The same, but for what is off."""
DEFAULTS: Mapping[str, Any] = {
    "lora_rank": 16,
    "lora_alpha": 1.0,
    "epochs": 100,
    "learning_rate": 3e-6,
    "learning_rate_warmup_steps": 200.0,
    "train_dtype": "FLOAT_16",
    "output_dtype": "FLOAT_32",
    "layer_filter_preset": "full",
}
"""OneTrainer's, where ours are others."""
EARLY_STOP: Mapping[str, Any] = {"stop_training_after": 30, "stop_training_after_unit": "EPOCH"}
"""OneTrainer's, of text encoders that say nothing of it."""
TYPES_OF_FLOAT: Mapping[str, tuple[str, str]] = {
    "FLOAT_32": ("no", "float"),
    "TFLOAT_32": ("no", "float"),
    "FLOAT_16": ("fp16", "fp16"),
    "BFLOAT_16": ("bf16", "bf16"),
}
"""What they are as ``mixed_precision`` and as ``save_precision``."""
SCHEDULERS: Mapping[str, str] = {
    "CONSTANT": "constant",
    "LINEAR": "linear",
    "COSINE": "cosine",
    "COSINE_WITH_RESTARTS": "cosine_with_restarts",
    "COSINE_WITH_HARD_RESTARTS": "cosine_with_restarts",
    "ADAFACTOR": "adafactor",
}
OTHERWISE: Mapping[str, str] = {
    "COSINE": "OneTrainer's cosine ends at half of the learning rate, and this one at 0",
    "COSINE_WITH_RESTARTS": "OneTrainer's goes up again as smoothly as down, and this one at once",
}
"""Schedules that are not quite the same under that name."""
OPTIMIZERS: Mapping[str, str] = {
    "ADAMW": "AdamW",
    "ADAMW_8BIT": "AdamW8bit",
    "LION": "Lion",
    "LION_8BIT": "Lion8bit",
    "PRODIGY": "Prodigy",
    "ADAFACTOR": "AdaFactor",
}
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "AdamW": ("weight_decay", "eps", "amsgrad"),
    "AdamW8bit": ("weight_decay", "eps"),
    "Lion": ("weight_decay",),
    "Lion8bit": ("weight_decay",),
    "Prodigy": (
        *("weight_decay", "eps", "beta3", "decouple", "use_bias_correction", "safeguard_warmup", "d0", "d_coef"),
        "growth_rate",
    ),
    "AdaFactor": (
        *("weight_decay", "clip_threshold", "decay_rate", "beta1", "scale_parameter", "relative_step", "warmup_init"),
    ),
}
"""Those of OneTrainer's arguments that each one has here."""
MUST_BE: Mapping[str, tuple[Any, str]] = {
    "peft_type": ("LORA", "another kind than LoRA"),
    "lora_decompose": (False, "DoRA"),
    "ema": ("OFF", "an average of the weights over time"),
    "learning_rate_scaler": ("NONE", "a learning rate that is scaled by the batch; write the scaled one"),
    "timestep_distribution": ("UNIFORM", "timesteps that are not drawn evenly"),
    "generalized_offset_noise": (False, "generalised offset noise"),
    "perturbation_noise_weight": (0.0, "perturbation noise; ip_noise_gamma is the nearest"),
    "log_cosh_strength": (0.0, "a log-cosh loss"),
    "huber_strength": (0.0, "a Huber loss in part; loss_type is one of them"),
    "force_circular_padding": (False, "circular padding"),
    "circular_mask_generation": (False, "masks that change by themselves"),
    "random_rotate_and_crop": (False, "pictures that are turned; pictures are cropped to the centre"),
    "align_prop": (False, "a training on rewards"),
    "masked_training": (False, "masks beside the pictures; name their folder as conditioning_data_dir"),
    "custom_conditioning_image": (False, "pictures as a condition"),
    "additional_embeddings": ([], "embeddings beside the LoRA"),
    "custom_learning_rate_scheduler": (None, "a schedule of one's own"),
    "embedding_learning_rate": (None, "embeddings beside the LoRA"),
    "dynamic_timestep_shifting": (False, "shifted timesteps"),
    "timestep_shift": (1.0, "shifted timesteps"),
}
"""Keys that would change the result: (OneTrainer's default, what it is that is not supported)."""
IDLE = frozenset(
    {
        *("__version", "debug_mode", "debug_dir", "workspace_dir", "cache_dir", "tensorboard", "tensorboard_expose"),
        *(
            "tensorboard_always_on",
            "tensorboard_port",
            "continue_last_backup",
            "prevent_overwrites",
            "include_train_config",
        ),
        *("multi_gpu", "device_indexes", "gradient_reduce_precision", "fused_gradient_reduce", "async_gradient_reduce"),
        *(
            "async_gradient_reduce_buffer",
            "output_model_format",
            "async_offloading",
            "enable_async_offloading",
            "compile",
        ),
        *("enable_activation_offloading", "layer_offload_fraction", "image_caching", "text_caching", "latent_caching"),
        *(
            "clear_cache_before_training",
            "caching_threads",
            "dataloader_threads",
            "prefetch_next_batch",
            "train_device",
        ),
        *(
            "temp_device",
            "fallback_train_dtype",
            "enable_autocast_cache",
            "only_cache",
            "frames",
            "attention_mechanism",
        ),
        *("vb_loss_strength", "huber_delta", "loss_scaler", "ema_decay", "ema_update_step_interval", "noising_weight"),
        *("noising_bias", "cep_gamma", "prior", "transformer", "unconditional_transformer", "quantization"),
        *(
            "text_encoder_3",
            "text_encoder_4",
            "text_encoder_3_layer_skip",
            "text_encoder_4_layer_skip",
            "effnet_encoder",
        ),
        *("decoder", "decoder_text_encoder", "decoder_vqgan", "text_encoder_sequence_length"),
        *("text_encoder_2_sequence_length", "unmasked_probability", "unmasked_weight", "normalize_masked_area_loss"),
        *("masked_prior_preservation_weight", "layer_filter_regex", "lora_layers_regex", "preserve_embedding_norm"),
        *("embedding", "embeddings", "embedding_weight_dtype", "cloud", "secrets", "lora_decompose_norm_epsilon"),
        *("lora_decompose_output_axis", "lora_weight_dtype", "bundle_additional_embeddings", "oft_block_size"),
        *(
            "oft_block_share",
            "dora_oft",
            "oft_scaled",
            "oft_clipped_norm",
            "oft_cans",
            "lokr_dim",
            "lokr_decompose_both",
        ),
        *("lokr_decompose_factor", "lokr_use_tucker", "lokr_weight_decompose", "lokr_dora_on_output"),
        *("lokr_full_matrix", "lokr_vec_trick", "optimizer_defaults", "sample_skip_first", "sample_image_format"),
        *("sample_video_format", "sample_audio_format", "samples_to_tensorboard", "non_ema_sampling", "backup_after"),
        *("backup_after_unit", "rolling_backup", "rolling_backup_count", "backup_before_save", "save_skip_first"),
        *(
            "latent_caching_epochs",
            "token_count",
            "initial_embedding_text",
            "embedding_model_names",
            "extra_model_name",
        ),
        *("align_prop_probability", "align_prop_loss", "align_prop_weight", "align_prop_steps"),
        *("align_prop_truncate_steps", "align_prop_cfg_scale"),
        *("save_filename_prefix", "weight_dtype", "scheduler_params", "validate_after", "validate_after_unit"),
    }
)
"""What says nothing to a training of a LoRA here."""
