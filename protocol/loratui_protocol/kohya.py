"""What sd-scripts knows and we do not support: its keys, their defaults, and names that people write by mistake.

sd-scripts keeps unknown keys of a config silently. Here a key is read, reported as without effect
(``WITHOUT_EFFECT``), refused because the result would differ (``UNSUPPORTED``), or unknown.
"""

UNSUPPORTED: dict[str, tuple[object, str]] = {
    "vae": (None, "training with another VAE than the model's own"),
    "v2": (False, "Stable Diffusion 2.x"),
    "base_weights": (None, "merging LoRA files into the base model first"),
    "base_weights_multiplier": (None, "merging LoRA files into the base model first"),
    "lr_scheduler_type": ("", "schedulers by class name"),
    "use_8bit_adam": (False, 'the old switch; write optimizer_type = "AdamW8bit"'),
    "use_lion_optimizer": (False, 'the old switch; write optimizer_type = "Lion"'),
    "full_fp16": (False, "16-bit LoRA weights"),
    "full_bf16": (False, "16-bit LoRA weights"),
    "fp8_base": (False, "an 8-bit base model"),
    "fp8_base_unet": (False, "an 8-bit base model"),
    "in_json": (None, "metadata files; captions are read from text files"),
    "metadata_file": (None, "metadata files; captions are read from text files"),
    "custom_attributes": (None, "attributes of pictures that a script of one's own reads"),
    "network_multiplier": (1.0, "another strength of the LoRA in one dataset"),
    "weighted_captions": (False, "weights in captions"),
    "color_aug": (False, "colour augmentation"),
    "random_crop": (False, "random crops; pictures are cropped to the centre"),
    "face_crop_aug_range": (None, "crops around faces"),
    "noise_offset_random_strength": (False, "a random noise offset"),
    "adaptive_noise_scale": (None, "adaptive noise offset"),
    "save_n_epoch_ratio": (None, "saving by ratio; use save_every_n_epochs"),
    "resume": (None, "states of sd-scripts; a run of ours resumes by itself"),
    "initial_epoch": (None, "starting in the middle; a run of ours resumes by itself"),
    "initial_step": (None, "starting in the middle; a run of ours resumes by itself"),
    "skip_until_initial_step": (False, "starting in the middle; a run of ours resumes by itself"),
    "huggingface_repo_id": (None, "uploads to the hub"),
    "dataset_class": (None, "datasets that a script of one's own reads"),
    "debug_dataset": (False, "a look at the dataset instead of a training; see `loratui check`"),
    "deepspeed": (False, "DeepSpeed"),
}
"""Keys that would change the result: (sd-scripts' default, what it is that is not supported)."""

UNSUPPORTED_NETWORK_ARGS: dict[str, str] = {
    **dict.fromkeys(
        ("down_lr_weight", "mid_lr_weight", "up_lr_weight", "block_lr_zero_threshold"), "rates block by block"
    ),
}
"""Arguments of sd-scripts' networks.lora that would change the result, and what it is that is not supported."""

WITHOUT_EFFECT: dict[str, str] = {
    "cache_latents": "latents are always cached",
    "cache_latents_to_disk": "latents are cached in memory",
    "cache_text_encoder_outputs": "prompts are encoded once whenever the text encoder is not trained",
    "cache_text_encoder_outputs_to_disk": "prompts are cached in memory",
    "sdpa": "PyTorch's scaled dot product attention is always used",
    "xformers": "PyTorch's scaled dot product attention is always used",
    "mem_eff_attn": "PyTorch's scaled dot product attention is always used",
    "max_data_loader_n_workers": "the dataset is cached, so no loader processes are needed",
    "persistent_data_loader_workers": "the dataset is cached, so no loader processes are needed",
    "save_model_as": "the file is always .safetensors",
    "vae_batch_size": "the batch for caching latents is chosen here",
    "no_half_vae": "the VAE never runs in fp16 here",
    "lowram": "memory is planned here",
    "highvram": "memory is planned here",
    "skip_cache_check": "the cache never outlives the run",
    "save_state": "the full state is always saved",
    "save_state_on_train_end": "the full state is always saved",
    "save_last_n_epochs_state": "the two newest full states are kept, always",
    "save_last_n_steps_state": "the two newest full states are kept, always",
    "logging_dir": "the run is journalled; see `loratui logs`",
    "log_with": "the run is journalled; see `loratui logs`",
    "log_prefix": "the run is journalled; see `loratui logs`",
    "sample_sampler": "samples are made with DDIM",
    "tokenizer_cache_dir": "the tokenizer comes with the model",
    "torch_compile": "the model is not compiled here",
    "dynamo_backend": "the model is not compiled here",
    "fused_backward_pass": "it has no effect on LoRA training in sd-scripts either",
    "resize_interpolation": "pictures are always resized with Lanczos",
    "dataset_repeats": "repeats come from the folder names, or from num_repeats of a subset",
    "cache_info": "the dataset is read anew every time",
    "ip_noise_gamma_random_strength": "input perturbation noise is off",
    "max_validation_steps": "every picture that is held out is looked at",
    "log_tracker_name": "the run is journalled; see `loratui logs`",
    "log_tracker_config": "the run is journalled; see `loratui logs`",
    "log_config": "the resolved config is kept with the run",
    "wandb_api_key": "the run is journalled; remove the secret from the file",
    "wandb_run_name": "the run is journalled; see `loratui logs`",
    "console_log_level": "the run is journalled; see `loratui logs`",
    "console_log_file": "the run is journalled; see `loratui logs`",
    "console_log_simple": "the run is journalled; see `loratui logs`",
    "ddp_timeout": "with several GPUs a process that dies or hangs is noticed without it",
    "ddp_gradient_as_bucket_view": "several GPUs exchange their gradients once a step, without DDP's buckets",
    "ddp_static_graph": "several GPUs exchange their gradients once a step, without DDP's graph",
    "cpu_offload_checkpointing": "memory is planned here",
    "disable_mmap_load_safetensors": "the model is read in one go here",
    **dict.fromkeys(
        (
            *("zero_stage", "offload_optimizer_device", "offload_optimizer_nvme_path", "offload_param_device"),
            *("offload_param_nvme_path", "zero3_init_flag", "zero3_save_16bit_model"),
            "fp16_master_weights_and_gradients",
        ),
        "it has none without deepspeed",
    ),
    **dict.fromkeys(
        (
            *("huggingface_repo_type", "huggingface_path_in_repo", "huggingface_repo_visibility", "async_upload"),
            *("save_state_to_huggingface", "resume_from_huggingface"),
        ),
        "nothing is uploaded to the hub",
    ),
    "huggingface_token": "nothing is uploaded to the hub; remove the secret from the file",
    "metadata_usage_hint": "it is not among the file's metadata here",
    "metadata_preprocessor": "it is not among the file's metadata here",
    "metadata_is_negative_embedding": "a LoRA is no embedding",
    "metadata_merged_from": "the file is trained, not merged",
    "metadata_thumbnail": "the thumbnail is a sample picture",
    "model_train_type": "the base model's own files say what it is",
    "config_file": "this is the file",
    "output_config": "the resolved config is kept with the run",
}
"""Keys of sd-scripts that change nothing here, and why."""

CERTAIN: dict[str, str] = {
    "batch_size": "train_batch_size",
    "caption_extention": "caption_extension",
}
"""Wrong names whose meaning is certain: read under the right one, with a warning."""

MISNAMED: dict[str, str] = {
    "batch_size": "sd-scripts ignores batch_size in silence, and trains with 1",
    "caption_extention": "sd-scripts keeps the misspelt name for old files alone",
}
"""What sd-scripts makes of those."""

SAME: dict[str, str] = {"metadata_trigger_phrase": "trigger_word"}
"""sd-scripts' names of what has another name here, and the same meaning."""

LIKELY: dict[str, str] = {
    "rank": "network_dim",
    "lora_rank": "network_dim",
    "dim": "network_dim",
    "alpha": "network_alpha",
    "lora_alpha": "network_alpha",
    "lr": "learning_rate",
    "epoch": "max_train_epochs",
    "epochs": "max_train_epochs",
    "num_epochs": "max_train_epochs",
    "steps": "max_train_steps",
    "max_steps": "max_train_steps",
    "optimizer": "optimizer_type",
    "weight_decay": "optimizer_args",
    "betas": "optimizer_args",
    "scheduler": "lr_scheduler",
    "model": "pretrained_model_name_or_path",
    "base_model": "pretrained_model_name_or_path",
    "data_dir": "train_data_dir",
    "dataset_path": "train_data_dir",
    "image_dir": "train_data_dir",
    "lr_restart_cycles": "lr_scheduler_num_cycles",
    "max_resolution": "resolution",
    "lr_warmup": "lr_warmup_steps",
    "width": "resolution",
    "height": "resolution",
    "trigger": "trigger_word",
    "threads": "num_cpu_threads",
    "prompts": "sample_prompts",
}
"""Names from other tools: suggested, not assumed."""
