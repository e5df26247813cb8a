"""The training config: one flat schema under kohya's key names. Reading files is ``config_file``'s business.

A docstring under every field gives its unit and, where it differs from sd-scripts, why. Keys that sd-scripts knows
and that have no effect here are listed in ``kohya.WITHOUT_EFFECT``: they are reported, never silently ignored.
"""

from dataclasses import dataclass, field, fields

from loratui_protocol.config_checks import checks
from loratui_protocol.impossible import Fault, ImpossibleError
from loratui_protocol.optimizers import Argument
from loratui_protocol.subsets import DatasetConfig, check_datasets


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
    train_data_dir: str | None = None
    """The parent of ``N_concept`` folders, one such folder, or a flat folder of pictures; needed without datasets."""
    reg_data_dir: str | None = None
    """Regularisation pictures, same layout. Their loss is weighted by ``prior_loss_weight``."""
    masked_loss: bool = False
    """Learn only what the masks show: see ``conditioning_data_dir`` and ``alpha_mask``."""
    conditioning_data_dir: str | None = None
    """Folder of masks, named as their pictures: white is learned, black is not, grey in part."""
    alpha_mask: bool = False
    """Take the pictures' own transparency for their masks: what is transparent is not learned."""
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
    max_token_length: int | None = None
    """Tokens of a caption that are read: 75, 150 or 225; the text encoder reads chunks of 75. Unset: 75."""
    caption_prefix: str | None = None
    """Put before every caption, with a space."""
    caption_suffix: str | None = None
    """Put behind every caption, with a space."""
    caption_separator: str = ","
    """What separates the tags of a caption."""
    secondary_separator: str | None = None
    """What separates tags that stay together; it becomes ``caption_separator`` in the end."""
    shuffle_caption: bool = False
    """Shuffle the tags of a caption at every step."""
    keep_tokens: int = 0
    """Number of leading tags that shuffling and dropping leave in place."""
    keep_tokens_separator: str | None = None
    """A mark in captions, instead of ``keep_tokens``: tags before it stay in place, and those behind a second one."""
    enable_wildcard: bool = False
    """Choose at every step one of ``{a|b}``, and one of the lines of a caption file; ``{{`` and ``}}`` are braces."""
    caption_dropout_rate: float = 0.0
    """Share of steps that a picture is shown with an empty caption, 0 to 1."""
    caption_dropout_every_n_epochs: int = 0
    """In every so many-th epoch all captions are empty; 0: never."""
    caption_tag_dropout_rate: float = 0.0
    """Share of the tags, besides those that stay in place, that is left out at each step, 0 to 1."""
    token_warmup_min: int = 1
    """How many of the tags, besides those that stay in place, are shown at first."""
    token_warmup_step: int | float = 0
    """Step at which all tags are shown, or as a float below 1 a share of all steps; 0: from the start."""
    flip_aug: bool = False
    """Show pictures mirrored half of the time."""

    # --- section network ---
    network_module: str = "networks.lora"
    """Only ``networks.lora``: LoRA, with ``conv_dim`` on convolutions too (LoCon)."""
    network_dim: int = 4
    """Rank."""
    network_alpha: float | None = None
    """Alpha; the delta is scaled by alpha / rank. Unset: equal to the rank. sd-scripts: 1."""
    network_dropout: float | None = None
    """Probability that an element of what the down matrices give is dropped in training."""
    network_args: dict[str, float | tuple[float, ...]] = field(default_factory=dict)
    """``["conv_dim=8", "conv_alpha=4"]``: rank and alpha of the UNet's convolutions; conv_alpha unset: its rank.
    ``rank_dropout``, ``module_dropout``: the share that is left out in training, of each module's ranks, of the
    modules. ``loraplus_lr_ratio``, or ``_unet_lr_ratio`` and ``_text_encoder_lr_ratio``: LoRA+ (arXiv 2402.12354), by
    which the ups learn faster than the downs; 16 is usual. ``block_dims``, ``block_alphas``, ``conv_block_dims`` and
    ``conv_block_alphas``: a number for each block of the UNet, 25 in SD 1.x, 23 in SDXL; rank 0 leaves one out."""
    network_weights: str | None = None
    """A LoRA file to go on from, with kohya's names: its modules, ranks and alpha must be those of this config."""
    dim_from_weights: bool = False
    """Take the ranks and alphas, convolutions included, from ``network_weights``, each module its own."""
    scale_weight_norms: float | None = None
    """Most that the delta of a module may amount to, as a norm; larger ones are scaled down after each step."""
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
    """Optimizer, any spelling of case. Those of 8 bits and the paged ones are bitsandbytes'."""
    optimizer_args: dict[str, Argument] = field(default_factory=dict)
    """Arguments of the optimizer, as ``["weight_decay=0.01", "betas=0.9,0.99"]``."""
    lr_scheduler: str = "constant"
    """How the learning rate goes on, under sd-scripts' names; ``adafactor`` leaves it to that optimizer."""
    lr_scheduler_num_cycles: int = 1
    """Cycles of ``cosine_with_restarts``; with 1 it is a plain cosine, which is reported."""
    lr_scheduler_power: float = 1.0
    """Power of ``polynomial``."""
    lr_scheduler_min_lr_ratio: float | None = None
    """What ``cosine_with_min_lr`` and ``warmup_stable_decay`` end at, as a share of the learning rate."""
    lr_scheduler_timescale: int | None = None
    """Steps in which ``inverse_sqrt`` falls to about 0.7; unset: as many as the warm-up has, else 10 000."""
    lr_decay_steps: int | float = 0
    """Of ``warmup_stable_decay``: steps in which it falls at the end, or as a float below 1 a share of all steps."""
    lr_scheduler_args: tuple[str, ...] = ()
    """Of ``piecewise_constant``: ``["step_rules=1:100,0.1:200,0.01"]``, each factor and the step it ends before."""
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
    stop_at_epoch: int | None = None
    """Stop after so many of them, to look; the schedule stays that of the whole run. ``resume`` goes on. Ours."""
    mixed_precision: str | None = None
    """``no``, ``fp16`` or ``bf16``; unset: bf16 where the GPU has it, else fp16; ``no`` on a CPU."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, a third more time."""
    min_resolution: int | None = None
    """Shortest side of ``resolution`` that a run may fall to when nothing else saves memory; unset: it fails. Ours."""
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
    validation_split: float | None = None
    """Share of the pictures that is not trained on but judged by; unset: about 7 %, from 30 pictures on. 0: none."""
    validation_seed: int | None = None
    """Chooses which ones those are."""
    validate_every_n_steps: int | None = None
    """Look at them every so many steps; unset: as often as costs a twentieth of the time."""
    validate_every_n_epochs: int | None = None
    """Look at them every so many epochs."""
    num_cpu_threads: int | None = None
    """Threads that torch uses; unset: measured at start on a CPU. Not a key of sd-scripts."""
    num_processes: int | None = None
    """GPUs that share the pictures of each step; unset: one. Steps and batches stay as they are. accelerate's name."""

    # --- section save ---
    output_dir: str | None = None
    """Where the finished files are copied; unset: the run's own folder only."""
    output_name: str = "last"
    """Name of the LoRA file, without ``.safetensors``."""
    save_precision: str = "fp16"
    """Type of the tensors in the file: ``float``, ``fp16`` or ``bf16``. sd-scripts: float."""
    save_format: str = "kohya"
    """Names in the file: ``kohya``, which every program reads, or ``diffusers``, with the alpha where diffusers alone
    looks for it: other programs take it for the rank. Ours."""
    save_every_n_steps: int | None = None
    """Write a LoRA file every so many steps, as ``NAME-step00000500.safetensors``."""
    save_every_n_epochs: int | None = None
    """Write a LoRA file every so many epochs, as ``NAME-000002.safetensors``."""
    save_last_n_epochs: int | None = None
    """Of the files by epoch keep the newest so many; unset: all. What a laptop has fetched stays there."""
    save_last_n_steps: int | None = None
    """Of the files by step keep those of the last so many steps; unset: all."""
    keep_every_n_epochs: int | None = None
    """With ``save_last_n_epochs``: keep the files of every so many-th epoch for good. Ours."""
    keep_every_n_steps: int | None = None
    """With ``save_last_n_steps``: keep the files of every so many-th step for good. Ours."""
    keep_best: bool = False
    """Look at the held-out pictures at every file; keep, and name, the one with the lowest error on them. Ours."""
    checkpoint_every_n_steps: int | None = None
    """Save the full training state every so many steps, for resuming; unset: about every two minutes. Ours."""
    trigger_word: str | None = None
    """Word that calls the concept; written to the file's metadata. Not a key of sd-scripts."""
    training_comment: str | None = None
    """Anything about the training, for the file's metadata."""
    metadata_title: str | None = None
    """Title in the file's metadata; unset: ``output_name``."""
    metadata_author: str | None = None
    """Author in the file's metadata."""
    metadata_description: str | None = None
    """Description in the file's metadata."""
    metadata_license: str | None = None
    """Licence of the LoRA, in the file's metadata. That of its base model is written there by itself, where known."""
    metadata_tags: str | None = None
    """Tags of the LoRA, in the file's metadata, with commas between them."""
    rights_statement: str | None = None
    """What you state of your rights to the pictures; written to the file's metadata; then nobody asks. Ours."""
    no_metadata: bool = False
    """Leave out of the file's metadata how it was trained and on what, and its thumbnail."""

    # --- section sample ---
    sample_prompts: tuple[str, ...] = ()
    """Prompts of the sample pictures, with sd-scripts' options (``--n --w --h --d --l --s``) behind them; a path to a
    text file with one a line is understood. Unset: samples that are asked for are made of a few captions."""
    sample_every_n_steps: int | None = None
    """Make sample pictures every so many steps."""
    sample_every_n_epochs: int | None = None
    """Make sample pictures every so many epochs."""
    sample_at_first: bool = False
    """Make sample pictures before the first step."""

    # --- section evaluate ---
    evaluate_checkpoints: int = 0
    """How many of the LoRA files are tried out and scored at the end, the last one among them; 0: none. Ours."""
    evaluate_loras: tuple[str, ...] = ()
    """LoRA files to try out and score in place of a training."""
    evaluate_together: str | None = None
    """Another LoRA file: there are pictures with both of them, too."""
    evaluate_weights: tuple[float, ...] = (0.0, 0.5, 0.7, 0.8, 1.0)
    """Weights that each is tried at; 0 is the base model alone, drawn once for all."""
    evaluate_seeds: int = 5
    """How many pictures there are of each prompt at each weight."""
    evaluate_prompts: tuple[str, ...] = ()
    """Prompts, with ``{trigger}`` where the trigger word goes, or the word itself; those without it show only what
    bleeds. Unset: scenes that the captions don't name."""
    evaluate_class_word: str | None = None
    """The ordinary word for what the trigger names, as "woman"; unset: as the folder ``N_trigger class`` says."""
    evaluate_dino: str | None = None
    """Model of the DINO family that measures likeness and copying, a hub id or a folder; unset: they are not."""
    evaluate_clip: str | None = None
    """CLIP model that is asked how prompts are followed, a hub id or a folder; unset: that is not measured."""

    # --- no section: [[datasets]] ---
    datasets: tuple[DatasetConfig, ...] = ()
    """Folders with settings of their own; none: ``train_data_dir`` and ``reg_data_dir``."""

    def __post_init__(self) -> None:
        """Check every value on its own and those that depend on each other.

        Raises:
            ConfigError: naming the key, what is wrong and what is allowed.
        """
        wrong = [(key, allowed) for holds, key, allowed in checks(self) if not holds]
        if wrong:
            raise ImpossibleError(
                [
                    Fault(key, f"{key} = {getattr(self, key)!r} is not possible", f"{key} must be {allowed}")
                    for key, allowed in wrong
                ]
            )
        check_datasets(self)

    @property
    def alpha(self) -> float:
        """Return the alpha that the file carries."""
        return float(self.network_dim) if self.network_alpha is None else self.network_alpha

    @property
    def conv_dim(self) -> int | None:
        """Return the rank of convolutions; None: they are not trained."""
        given = self._number("conv_dim")
        return None if given is None else int(given)

    @property
    def conv_alpha(self) -> float:
        """Return the alpha of convolutions."""
        given = self._number("conv_alpha")
        return float(self.conv_dim or 1) if given is None else given

    @property
    def rank_dropout(self) -> float:
        """Return the share of each module's ranks that is left out in training."""
        return self._number("rank_dropout") or 0.0

    @property
    def module_dropout(self) -> float:
        """Return the share of the modules that is left out in training."""
        return self._number("module_dropout") or 0.0

    @property
    def block_dims(self) -> tuple[int, ...]:
        """Return the rank of each block of the UNet, 0 for one that is left out; empty: ``network_dim`` in all."""
        return tuple(int(rank) for rank in self._numbers("block_dims"))

    @property
    def block_alphas(self) -> tuple[float, ...]:
        """Return the alpha of each block; empty: ``network_alpha`` in all."""
        return self._numbers("block_alphas")

    @property
    def conv_block_dims(self) -> tuple[int, ...]:
        """Return the rank of each block's convolutions; empty: ``conv_dim`` in all."""
        return tuple(int(rank) for rank in self._numbers("conv_block_dims"))

    @property
    def conv_block_alphas(self) -> tuple[float, ...]:
        """Return the alpha of each block's convolutions; empty: ``conv_alpha`` in all."""
        return self._numbers("conv_block_alphas")

    @property
    def trains_convolutions(self) -> bool:
        """Return whether the UNet's convolutions have modules."""
        return self.conv_dim is not None or bool(self.conv_block_dims)

    def loraplus_ratio(self, part: str) -> float | None:
        """Return how much faster the ups of a model, as pipelines call it, learn than its downs; None: as fast."""
        own = f"loraplus_{'unet' if part == 'unet' else 'text_encoder'}_lr_ratio"
        given = self._number(own)
        return self._number("loraplus_lr_ratio") if given is None else given

    def _number(self, name: str) -> float | None:
        given = self.network_args.get(name)
        return None if given is None or isinstance(given, tuple) else given

    def _numbers(self, name: str) -> tuple[float, ...]:
        given = self.network_args.get(name, ())
        return given if isinstance(given, tuple) else (given,)

    @property
    def effective_unet_lr(self) -> float:
        """Return the UNet's learning rate; 0 when it is not trained."""
        if self.network_train_text_encoder_only:
            return 0.0
        return self.learning_rate if self.unet_lr is None else self.unet_lr

    @property
    def effective_text_encoder_lrs(self) -> tuple[float, float]:
        """Return the learning rates of the first and, in SDXL, the second text encoder; 0 for one not trained."""
        return (0.0, 0.0) if self.network_train_unet_only else self.given_text_encoder_lrs

    @property
    def given_text_encoder_lrs(self) -> tuple[float, float]:
        """Return the same, whether or not they are trained."""
        rate = self.learning_rate if self.text_encoder_lr is None else self.text_encoder_lr
        return rate if isinstance(rate, tuple) else (rate, rate)


KEYS: tuple[str, ...] = tuple(f.name for f in fields(TrainingConfig))

SECTIONS: dict[str, tuple[str, str]] = {
    "model": ("pretrained_model_name_or_path", "clip_skip"),
    "dataset": ("train_data_dir", "flip_aug"),
    "network": ("network_module", "network_train_text_encoder_only"),
    "optimizer": ("learning_rate", "max_grad_norm"),
    "training": ("train_batch_size", "num_processes"),
    "save": ("output_dir", "no_metadata"),
    "sample": ("sample_prompts", "sample_at_first"),
    "evaluate": ("evaluate_checkpoints", "evaluate_clip"),
}
"""First and last key of each section of a native file, in the order of the fields above."""
