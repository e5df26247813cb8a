"""The training config: one flat schema under kohya's key names. Reading files is ``config_file``'s business.

A docstring under every field gives its unit and, where it differs from sd-scripts, why. Keys that sd-scripts knows
and that have no effect here are listed in ``WITHOUT_EFFECT``: they are reported, never silently ignored.
"""

from dataclasses import dataclass, field, fields

from loratui_protocol.errors import ConfigError

LOSS_TYPES = ("l2", "l1", "huber", "smooth_l1")
NUM_TIMESTEPS = 1000
"""Of every Stable Diffusion model."""
HUBER_SCHEDULES = ("constant", "exponential", "snr")
LR_SCHEDULERS = (
    "constant",
    "constant_with_warmup",
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
)
MIXED_PRECISIONS = ("no", "fp16", "bf16")
SAVE_PRECISIONS = ("float", "fp16", "bf16")
OPTIMIZERS = ("AdamW",)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """Everything that decides a run."""

    # --- section model ---
    pretrained_model_name_or_path: str
    """Base model: a diffusers folder, a single ``.safetensors`` file, or ``builtin:tiny``."""
    v_parameterization: bool | None = None
    """Whether the model predicts v; unset: as its files say, which it must not contradict. sd-scripts: no."""
    zero_terminal_snr: bool | None = None
    """Whether its last timestep is all noise (arXiv 2305.08891); true also where its files don't say so."""
    clip_skip: int | None = None
    """Use the text encoder's output this many layers from the end; 1 or unset: the last layer. No effect on SDXL."""

    # --- section dataset ---
    train_data_dir: str
    """The parent of ``N_concept`` folders, one such folder, or a flat folder of pictures (one repeat)."""
    reg_data_dir: str | None = None
    """Regularisation pictures, same layout. Their loss is weighted by ``prior_loss_weight``."""
    resolution: tuple[int, int] = (512, 512)
    """Width and height in pixels; the area, where buckets are enabled. An integer or "W,H" is understood."""
    enable_bucket: bool = True
    """Sort pictures into buckets by proportion. sd-scripts: off by default, which crops to the centre."""
    min_bucket_reso: int = 256
    """Shortest side of a bucket, in pixels; lowered to ``resolution`` for smaller trainings."""
    max_bucket_reso: int = 2048
    """Longest side of a bucket, in pixels. sd-scripts: 1024, which cripples SDXL."""
    bucket_reso_steps: int = 64
    """Granularity of bucket sides in pixels; a multiple of what the model's VAE and UNet divide by."""
    bucket_no_upscale: bool = False
    """Never enlarge a picture; a small one gets a bucket of its own size."""
    caption_extension: str | None = None
    """Extension of caption files; unset: ``.txt``, then ``.caption``. sd-scripts: ``.caption`` alone."""
    shuffle_caption: bool = False
    """Shuffle the comma-separated tags of a caption at every step."""
    keep_tokens: int = 0
    """Number of leading tags that shuffling leaves in place."""
    caption_dropout_rate: float = 0.0
    """Share of steps that a picture is shown with an empty caption, 0 to 1."""
    flip_aug: bool = False
    """Show pictures mirrored half of the time."""

    # --- section network ---
    network_module: str = "networks.lora"
    """Only ``networks.lora``: plain LoRA."""
    network_dim: int = 4
    """Rank."""
    network_alpha: float | None = None
    """Alpha; the delta is scaled by alpha / rank. Unset: equal to the rank. sd-scripts: 1."""
    network_dropout: float | None = None
    """Probability that an element of the LoRA's input is dropped in training."""
    network_train_unet_only: bool = False
    """Leave the text encoder as it is."""
    network_train_text_encoder_only: bool = False
    """Leave the UNet as it is."""

    # --- section optimizer ---
    learning_rate: float = 1e-4
    """Learning rate of every part that has none of its own. sd-scripts: 2e-6."""
    unet_lr: float | None = None
    """Learning rate of the UNet's LoRA; 0 leaves the UNet out."""
    text_encoder_lr: float | tuple[float, float] | None = None
    """Learning rate of the text encoders' LoRA; 0 leaves it out. A list of two sets SDXL's one by one."""
    optimizer_type: str = "AdamW"
    """Optimizer, any spelling of case."""
    optimizer_args: dict[str, float | bool | tuple[float, ...]] = field(default_factory=dict)
    """Arguments of the optimizer, as ``["weight_decay=0.01", "betas=0.9,0.99"]``."""
    lr_scheduler: str = "constant"
    """Name as in diffusers' ``get_scheduler``."""
    lr_scheduler_num_cycles: int = 1
    """Cycles of ``cosine_with_restarts``; with 1 it is a plain cosine, which is reported."""
    lr_scheduler_power: float = 1.0
    """Power of ``polynomial``."""
    lr_warmup_steps: int | float = 0
    """Warm-up: an integer is steps, a float below 1 a share of all steps."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm; 0: never."""

    # --- section training ---
    train_batch_size: int = 1
    """Pictures in a micro-batch."""
    gradient_accumulation_steps: int = 1
    """Micro-batches in an optimizer step."""
    max_train_steps: int = 1600
    """Optimizer steps; ``max_train_epochs`` overrides it."""
    max_train_epochs: int | None = None
    """Passes over the dataset, repeats included."""
    mixed_precision: str | None = None
    """``no``, ``fp16`` or ``bf16``; unset: bf16 where the GPU has it, else fp16; ``no`` on a CPU."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, a third more time."""
    seed: int | None = None
    """Seed of everything random; unset: drawn once and written into the resolved config."""
    loss_type: str = "l2"
    """``l2``, ``l1``, or with a bound on what outliers count ``huber`` and ``smooth_l1``, see ``huber_schedule``."""
    huber_schedule: str = "snr"
    """How ``huber_c`` depends on the timestep: ``constant``, ``exponential``, or ``snr``, which ends there."""
    huber_c: float = 0.1
    """From which error on ``huber`` and ``smooth_l1`` grow with the error and no longer with its square."""
    huber_scale: float = 1.0
    """Multiplies ``huber_c``; without effect in ``snr``, as in sd-scripts."""
    min_snr_gamma: float | None = None
    """Min-SNR loss weighting; 5 is usual. For models that predict v it is divided by SNR + 1."""
    debiased_estimation_loss: bool = False
    """Weight the loss by 1 / sqrt(SNR); for models that predict v by 1 / (SNR + 1)."""
    scale_v_pred_loss_like_noise_pred: bool = False
    """Weight the loss of a model that predicts v by SNR / (SNR + 1)."""
    v_pred_like_loss: float | None = None
    """Add the loss as a model that predicts v would weight it, times this."""
    noise_offset: float | None = None
    """Strength of a per-channel constant added to the noise."""
    multires_noise_iterations: int | None = None
    """Add so many layers of coarser and coarser noise; 6 to 10 are usual."""
    multires_noise_discount: float = 0.3
    """What each coarser layer counts, as a share of the one before."""
    ip_noise_gamma: float | None = None
    """Input perturbation: strength of noise that is added to the latents and not to be found; 0.1 is usual."""
    min_timestep: int | None = None
    """First timestep that is trained on."""
    max_timestep: int | None = None
    """The timestep that training ends before; unset: all."""
    prior_loss_weight: float = 1.0
    """Weight of the loss on regularisation pictures."""
    num_cpu_threads: int | None = None
    """Threads that torch uses; unset: measured at start on a CPU. Not a key of sd-scripts."""

    # --- section save ---
    output_dir: str | None = None
    """Where the finished files are copied; unset: the run's own folder only."""
    output_name: str = "last"
    """Name of the LoRA file, without ``.safetensors``."""
    save_precision: str = "fp16"
    """Type of the tensors in the file: ``float``, ``fp16`` or ``bf16``. sd-scripts: float."""
    save_every_n_steps: int | None = None
    """Write a LoRA file every so many steps, as ``NAME-step00000500.safetensors``."""
    save_every_n_epochs: int | None = None
    """Write a LoRA file every so many epochs, as ``NAME-000002.safetensors``."""
    checkpoint_every_n_steps: int | None = None
    """Save the full training state every so many steps, for resuming; unset: about every two minutes. Ours."""
    trigger_word: str | None = None
    """Word that calls the concept; written to the file's metadata. Not a key of sd-scripts."""

    # --- section sample ---
    sample_prompts: tuple[str, ...] = ()
    """Prompts of the sample pictures; a path to a text file with one a line is understood."""
    sample_every_n_steps: int | None = None
    """Make sample pictures every so many steps."""
    sample_every_n_epochs: int | None = None
    """Make sample pictures every so many epochs."""
    sample_at_first: bool = False
    """Make sample pictures before the first step."""

    def __post_init__(self) -> None:
        """Check every value on its own and those that depend on each other.

        Raises:
            ConfigError: naming the key, what is wrong and what is allowed.
        """
        wrong = [(key, allowed) for holds, key, allowed in self._checks() if not holds]
        if wrong:
            raise ConfigError(
                "; ".join(f"{key} = {getattr(self, key)!r} is not possible" for key, _ in wrong),
                fix="; ".join(f"{key} must be {allowed}" for key, allowed in wrong),
                code="config.value",
            )

    def _checks(self) -> list[tuple[bool, str, str]]:
        """Return (holds, key, what is allowed)."""
        positive = "at least 1"
        counts = (
            "network_dim",
            "train_batch_size",
            "gradient_accumulation_steps",
            "max_train_steps",
            "bucket_reso_steps",
            "lr_scheduler_num_cycles",
        )
        optional_counts = (
            "max_train_epochs",
            "save_every_n_steps",
            "save_every_n_epochs",
            "checkpoint_every_n_steps",
            "multires_noise_iterations",
            "sample_every_n_steps",
            "sample_every_n_epochs",
            "num_cpu_threads",
            "clip_skip",
        )
        rates = ("learning_rate", "unet_lr")
        return [
            *((getattr(self, key) >= 1, key, positive) for key in counts),
            *((getattr(self, key) is None or getattr(self, key) >= 1, key, positive) for key in optional_counts),
            *((getattr(self, key) is None or 0 <= getattr(self, key) < 10, key, "between 0 and 10") for key in rates),
            (
                self.text_encoder_lr is None or all(0 <= rate < 10 for rate in self._text_encoder_lrs),
                "text_encoder_lr",
                "between 0 and 10",
            ),
            (min(self.resolution) >= 32, "resolution", "at least 32 pixels a side"),
            (bool(self.pretrained_model_name_or_path), "pretrained_model_name_or_path", "a path or builtin:tiny"),
            (self.network_module == "networks.lora", "network_module", '"networks.lora" (the only kind so far)'),
            (self.optimizer_type in OPTIMIZERS, "optimizer_type", f"one of {', '.join(OPTIMIZERS)}"),
            (self.lr_scheduler in LR_SCHEDULERS, "lr_scheduler", f"one of {', '.join(LR_SCHEDULERS)}"),
            (
                self.mixed_precision in (None, *MIXED_PRECISIONS),
                "mixed_precision",
                f"one of {', '.join(MIXED_PRECISIONS)}",
            ),
            (self.save_precision in SAVE_PRECISIONS, "save_precision", f"one of {', '.join(SAVE_PRECISIONS)}"),
            (0 <= self.caption_dropout_rate <= 1, "caption_dropout_rate", "between 0 and 1"),
            (self.network_alpha is None or self.network_alpha > 0, "network_alpha", "above 0"),
            (self.network_dropout is None or 0 <= self.network_dropout < 1, "network_dropout", "from 0 to below 1"),
            (self.min_snr_gamma is None or self.min_snr_gamma > 0, "min_snr_gamma", "above 0"),
            (self.loss_type in LOSS_TYPES, "loss_type", f"one of {', '.join(LOSS_TYPES)}"),
            (self.huber_schedule in HUBER_SCHEDULES, "huber_schedule", f"one of {', '.join(HUBER_SCHEDULES)}"),
            (0 < self.huber_c <= 1, "huber_c", "above 0, at most 1"),
            (self.huber_scale > 0, "huber_scale", "above 0"),
            (self.v_pred_like_loss is None or self.v_pred_like_loss > 0, "v_pred_like_loss", "above 0"),
            (0 < self.multires_noise_discount <= 1, "multires_noise_discount", "above 0, at most 1"),
            (self.ip_noise_gamma is None or 0 < self.ip_noise_gamma <= 1, "ip_noise_gamma", "above 0, at most 1"),
            (
                0 <= (self.min_timestep or 0) < (self.max_timestep or NUM_TIMESTEPS) <= NUM_TIMESTEPS,
                "min_timestep",
                f"below max_timestep; both from 0 to {NUM_TIMESTEPS}",
            ),
            (self.prior_loss_weight >= 0, "prior_loss_weight", "0 or more"),
            (self.max_grad_norm >= 0, "max_grad_norm", "0 or more"),
            (
                self.lr_warmup_steps >= 0 and (isinstance(self.lr_warmup_steps, int) or self.lr_warmup_steps < 1),
                "lr_warmup_steps",
                "a whole number of steps, or a share of them below 1",
            ),
            (
                self.lr_warmup_steps == 0 or self.lr_scheduler != "constant",
                "lr_warmup_steps",
                "0 with lr_scheduler constant; constant_with_warmup is the one that warms up",
            ),
            (
                not (self.network_train_unet_only and self.network_train_text_encoder_only),
                "network_train_unet_only",
                "false when network_train_text_encoder_only is true",
            ),
            (
                self.effective_unet_lr > 0 or max(self.effective_text_encoder_lrs) > 0,
                "learning_rate",
                "above 0 for the UNet or the text encoder: nothing is trained",
            ),
            (
                bool(self.output_name)
                and not set(self.output_name) & set('/\\:*?"<>|\0')
                and self.output_name[0] != ".",
                "output_name",
                "a plain file name",
            ),
        ]

    @property
    def alpha(self) -> float:
        """Return the alpha that the file carries."""
        return float(self.network_dim) if self.network_alpha is None else self.network_alpha

    @property
    def effective_unet_lr(self) -> float:
        """Return the UNet's learning rate; 0 when it is not trained."""
        if self.network_train_text_encoder_only:
            return 0.0
        return self.learning_rate if self.unet_lr is None else self.unet_lr

    @property
    def effective_text_encoder_lrs(self) -> tuple[float, float]:
        """Return the learning rates of the first and, in SDXL, the second text encoder; 0 for one not trained."""
        return (0.0, 0.0) if self.network_train_unet_only else self._text_encoder_lrs

    @property
    def _text_encoder_lrs(self) -> tuple[float, float]:
        rate = self.learning_rate if self.text_encoder_lr is None else self.text_encoder_lr
        return rate if isinstance(rate, tuple) else (rate, rate)


KEYS: tuple[str, ...] = tuple(f.name for f in fields(TrainingConfig))

SECTIONS: dict[str, tuple[str, str]] = {
    "model": ("pretrained_model_name_or_path", "clip_skip"),
    "dataset": ("train_data_dir", "flip_aug"),
    "network": ("network_module", "network_train_text_encoder_only"),
    "optimizer": ("learning_rate", "max_grad_norm"),
    "training": ("train_batch_size", "num_cpu_threads"),
    "save": ("output_dir", "trigger_word"),
    "sample": ("sample_prompts", "sample_at_first"),
}
"""First and last key of each section of a native file, in the order of the fields above."""

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
    "logging_dir": "the run is journalled; see `loratui logs`",
    "log_with": "the run is journalled; see `loratui logs`",
    "log_prefix": "the run is journalled; see `loratui logs`",
    "no_metadata": "metadata is what other tools need to load the file",
    "training_comment": "not written to the file yet",
    "sample_sampler": "samples are made with DDIM",
    "tokenizer_cache_dir": "the tokenizer comes with the model",
    "torch_compile": "the model is not compiled here",
    "dynamo_backend": "the model is not compiled here",
    "fused_backward_pass": "it has no effect on LoRA training in sd-scripts either",
    "resize_interpolation": "pictures are always resized with Lanczos",
    "dataset_repeats": "repeats come from the folder names",
    "ip_noise_gamma_random_strength": "input perturbation noise is off",
    "validation_seed": "there is no validation set",
    "max_validation_steps": "there is no validation set",
    "metadata_title": "the title is output_name",
    "metadata_author": "not written to the file yet",
    "metadata_description": "not written to the file yet",
    "metadata_license": "not written to the file yet",
    "metadata_tags": "not written to the file yet",
    "log_tracker_name": "the run is journalled; see `loratui logs`",
    "log_tracker_config": "the run is journalled; see `loratui logs`",
    "log_config": "the resolved config is kept with the run",
    "wandb_api_key": "the run is journalled; remove the secret from the file",
    "wandb_run_name": "the run is journalled; see `loratui logs`",
    "console_log_level": "the run is journalled; see `loratui logs`",
    "console_log_file": "the run is journalled; see `loratui logs`",
    "console_log_simple": "the run is journalled; see `loratui logs`",
    "ddp_timeout": "one GPU is used",
    "ddp_gradient_as_bucket_view": "one GPU is used",
    "ddp_static_graph": "one GPU is used",
}
"""Keys of sd-scripts that change nothing here, and why."""
