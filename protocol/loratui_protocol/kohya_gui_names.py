"""What kohya's GUI calls its fields, and which of them say nothing to a training of a LoRA here."""

from collections.abc import Mapping

from loratui_protocol import kohya
from loratui_protocol.config_reading import TYPES

RENAMED: Mapping[str, str] = {
    "max_resolution": "resolution",
    "optimizer": "optimizer_type",
    "lora_network_weights": "network_weights",
    "conv_dims": "conv_block_dims",
    "conv_alphas": "conv_block_alphas",
    "sdxl_no_half_vae": "no_half_vae",
    "sdxl_cache_text_encoder_outputs": "cache_text_encoder_outputs",
}
"""What sd-scripts calls what the GUI has another name for."""
ZERO_IS_UNSET = frozenset(
    {
        *("learning_rate", "unet_lr", "text_encoder_lr", "network_alpha", "network_dropout", "scale_weight_norms"),
        *("max_train_steps", "max_train_epochs", "seed", "clip_skip", "max_timestep", "max_token_length"),
        *("noise_offset", "multires_noise_iterations", "multires_noise_discount", "ip_noise_gamma"),
        *(
            "min_snr_gamma",
            "v_pred_like_loss",
            "lr_scheduler_num_cycles",
            "lr_scheduler_power",
            "lr_scheduler_timescale",
        ),
        *("lr_scheduler_min_lr_ratio", "save_every_n_steps", "save_every_n_epochs", "save_last_n_steps"),
        *("save_last_n_epochs", "sample_every_n_steps", "sample_every_n_epochs", "validation_split"),
        *("validate_every_n_steps", "validate_every_n_epochs", "validation_seed", "huber_c", "huber_scale"),
        *("v_parameterization", "zero_terminal_snr", "max_grad_norm", "prior_loss_weight"),
        *("min_bucket_reso", "max_bucket_reso"),
    }
)
"""What the GUI doesn't hand on when it is 0 or unticked, which it writes for what nobody has set."""
GUI_ONLY = frozenset(
    {
        # The GUI's own window and lists.
        *("model_list", "save_as_bool", "headless", "use_shell", "config_presets", "training_preset", "LyCORIS_preset"),
        *("print_only", "lowvram"),
        *("extra_accelerate_launch_args", "additional_launch_parameters", "create_caption", "create_buckets"),
        # accelerate launch.
        *("num_cpu_threads_per_process", "num_processes", "num_machines", "multi_gpu", "gpu_ids", "main_process_port"),
        *("dynamo_backend", "dynamo_mode", "dynamo_use_dynamic", "dynamo_use_fullgraph"),
        # Logging and uploads.
        *("logging_dir", "log_with", "log_prefix", "log_tracker_name", "log_tracker_config", "log_config", "use_wandb"),
        *("wandb_run_name", "huggingface_repo_id", "huggingface_repo_type", "huggingface_repo_visibility"),
        *("huggingface_path_in_repo", "save_state_to_huggingface", "resume_from_huggingface", "async_upload"),
        # Other kinds of training than LoRA, which LoRA_type, v2, flux1_checkbox and sd3_checkbox switch on.
        *("algo", "unit", "factor", "use_cp", "use_tucker", "use_scalar", "train_norm", "decompose_both", "constrain"),
        *("rescaled", "train_on_input", "rank_dropout_scale", "bypass_mode", "dora_wd", "no_token_padding"),
        *("train_lora_ggpo", "ggpo_sigma", "ggpo_beta", "ae", "clip_l", "clip_g", "t5xxl", "t5xxl_lr", "t5xxl_device"),
        *(
            "t5xxl_dtype",
            "t5xxl_max_token_length",
            "split_mode",
            "split_qkv",
            "train_blocks",
            "train_t5xxl",
            "guidance_scale",
        ),
        *("discrete_flow_shift", "model_prediction_type", "timestep_sampling", "sigmoid_scale", "apply_t5_attn_mask"),
        *(
            "enable_all_linear",
            "img_attn_dim",
            "img_mlp_dim",
            "img_mod_dim",
            "txt_attn_dim",
            "txt_mlp_dim",
            "txt_mod_dim",
        ),
        *("in_dims", "single_dim", "single_mod_dim", "train_double_block_indices", "train_single_block_indices"),
        *("blocks_to_swap", "single_blocks_to_swap", "double_blocks_to_swap", "mode_scale", "logit_mean", "logit_std"),
        *("weighting_scheme", "sd3_cache_text_encoder_outputs", "sd3_cache_text_encoder_outputs_to_disk"),
        *(
            "sd3_clip_l",
            "sd3_clip_g",
            "sd3_t5xxl",
            "sd3_clip_l_dropout_rate",
            "sd3_clip_g_dropout_rate",
            "sd3_t5_dropout_rate",
        ),
        *("sd3_text_encoder_batch_size", "sd3_fused_backward_pass", "sd3_disable_mmap_load_safetensors"),
        *("sd3_enable_scaled_pos_embed", "sd3_pos_emb_random_crop_rate", "save_clip", "save_t5xxl"),
        *(
            "flux1_cache_text_encoder_outputs",
            "flux1_cache_text_encoder_outputs_to_disk",
            "flux1_t5xxl",
            "flux1_clip_l",
        ),
        *("flux_fused_backward_pass", "cpu_offload_checkpointing", "mem_eff_save", "loraplus_lr_ratio_checkbox"),
    }
)
"""What says nothing to a training of a LoRA here."""
LYCORIS_LOCON = "LyCORIS/LoCon"
"""LyCORIS' own, which makes what Kohya LoCon makes, but for these and other presets."""
LYCORIS_SWITCHES = (
    *("use_cp", "use_tucker", "use_scalar", "train_norm", "dora_wd", "bypass_mode", "rank_dropout_scale"),
    *("decompose_both", "rescaled"),
)
OLD_SWITCHES: Mapping[str, str] = {"use_8bit_adam": "AdamW8bit", "use_lion_optimizer": "Lion"}
"""What chose an optimizer, and which."""
LORAS: Mapping[str, bool] = {"Standard": False, "Kohya LoCon": True, "LoCon": True}
"""Kinds that are trained here, and whether convolutions are among their layers."""
SWITCHES: Mapping[str, str] = {
    "flux1_checkbox": "FLUX.1",
    "sd3_checkbox": "Stable Diffusion 3",
    "lumina_checkbox": "Lumina",
}
"""What choose another kind of base model."""
OTHER_TABS: Mapping[str, str] = {
    "token_string": "an embedding (textual inversion)",
    "init_word": "an embedding (textual inversion)",
    "num_vectors_per_token": "an embedding (textual inversion)",
    "learning_rate_te": "a whole model (DreamBooth)",
    "learning_rate_te1": "a whole model (DreamBooth)",
    "learning_rate_te2": "a whole model (DreamBooth)",
    "full_path": "a whole model (fine-tuning)",
    "train_text_encoder": "a whole model (fine-tuning)",
    "image_folder": "a whole model (fine-tuning)",
}
"""What the GUI's other tabs write, and what they train."""
KNOWN = frozenset({*TYPES, *kohya.WITHOUT_EFFECT, *kohya.UNSUPPORTED, *kohya.SAME, "dataset_config", "network_args"})
VOCABULARY = frozenset(
    {*KNOWN, *RENAMED, *GUI_ONLY, *SWITCHES, *OTHER_TABS, "LoRA_type", "epoch", "lr_warmup", "additional_parameters"}
)
"""By which a file of the GUI is known."""
