"""Everything that a running training holds, and how it is built: models, data, schedule, and later the optimizer."""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import torch
from accelerate import Accelerator
from torch import nn

from loratui_agent.model_path import resolve_model
from loratui_agent.train import lora, single_file, starting
from loratui_agent.train.base_hash import BaseHash, base_hash
from loratui_agent.train.checkpoint import check_newest_state
from loratui_agent.train.checkpointing import checkpoint_text_encoder, checkpoint_unet
from loratui_agent.train.delta_norms import DeltaNorms
from loratui_agent.train.fit import fit_of, reserves_here
from loratui_agent.train.identity import identity_of
from loratui_agent.train.job import Job, fixed_seed
from loratui_agent.train.latents import LatentCache
from loratui_agent.train.models import Models, agree_on_prediction, load_models, native_area_px
from loratui_agent.train.objective import Objective, new_objective
from loratui_agent.train.optim import new_lr_scheduler, new_optimizer, parts_of
from loratui_agent.train.pace import Pace
from loratui_agent.train.ranks import Ranks
from loratui_agent.train.reporter import Reporter
from loratui_agent.train.text import Prompts
from loratui_protocol import messages
from loratui_protocol.config import TrainingConfig
from loratui_protocol.dataset import Dataset, scan_config
from loratui_protocol.effective_lr import rates_of
from loratui_protocol.errors import ConfigError
from loratui_protocol.memory_ladder import Fit, Reserves
from loratui_protocol.originals import originals_of
from loratui_protocol.plan import Plan, Schedule, plan
from loratui_protocol.subsets import largest_resolution

DTYPES = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""What the frozen models have at each ``mixed_precision``."""
_SMALL_SHARE = 0.5
"""Of the area that a model was made for: below it a picture is not what the model knows."""


@dataclass(slots=True)
class Run:
    """The state of one training process. Filled phase by phase; ``step`` counts finished optimizer steps."""

    job: Job
    config: TrainingConfig
    """As it is trained: the job's own, but for what ``fit`` has changed."""
    reporter: Reporter
    accelerator: Accelerator
    ranks: Ranks
    precision: str
    seed: int
    dataset: Dataset
    plan: Plan
    schedule: Schedule
    models: Models
    base: BaseHash
    identity: dict[str, str]
    """All that decides the weights, by name, taken once: files may change while the run goes on."""
    learning_rates: dict[str, float]
    """Of each model that learns, by what pipelines call it, the UNet first."""
    prompts: Prompts
    objective: Objective
    fit: Fit
    reserves: Reserves
    encoded_until: int = 0
    """The last step whose captions are encoded ahead."""
    measured_picture_s: float | None = None
    """Seconds a picture, as measured before the first step; None: nothing was."""
    latents: LatentCache = field(default_factory=lambda: LatentCache([], {}))
    optimizer: torch.optim.Optimizer = field(init=False)
    lr_scheduler: torch.optim.lr_scheduler.LambdaLR = field(init=False)
    step: int = 0
    num_skipped: int = 0
    last_look: messages.Validation | None = None
    """At pictures that are not trained on."""
    withdrawn: set[str] = field(default_factory=set)
    """Names of files of which the agent was told, by this process, that they need not stay."""
    base_is_drawn: bool = False
    """Whether this process has shown what the base model makes of the sample prompts."""
    saved_at_s: float = field(default_factory=time.monotonic)
    """When the last checkpoint was saved, by the monotonic clock."""
    pace: Pace = field(default_factory=Pace)
    metrics_at_s: float = field(default_factory=time.monotonic)
    """When the pace was last told, by the monotonic clock."""
    delta_norms: DeltaNorms = field(default_factory=DeltaNorms)

    @property
    def learns_text(self) -> bool:
        """Return whether a text encoder learns."""
        return any(name != "unet" for name in self.learning)

    @property
    def learning(self) -> dict[str, nn.Module]:
        """Return the models that learn: those that have LoRA modules, but for text encoders that were given up."""
        return {name: model for name, model in self.trained.items() if name == "unet" or self.fit.learns_text}

    @property
    def trained(self) -> dict[str, nn.Module]:
        """Return the models that have LoRA modules."""
        models = {"unet": self.models.unet, **self.models.text_encoders}
        return {name: models[name] for name in self.learning_rates}

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Return all LoRA parameters in a fixed order."""
        return [p for model in self.trained.values() for p in lora.trainable_parameters(model)]

    def say(self, phase: str, done: int = 0, total: int = 0, unit: str = "", message: str = "") -> None:
        """Report progress of something that is not a step."""
        self.reporter.emit(messages.Setup(phase=phase, done=done, total=total, unit=unit, message=message))


def set_up(job: Job, reporter: Reporter, ranks: Ranks | None = None, *, configs: Path | None = None) -> Run:
    """Read the dataset, load the base model, attach the LoRA modules; ``configs`` as in ``load_models``.

    ``ranks`` is this process among others of the training; None: it trains alone.

    Raises:
        DatasetError, ModelError, ConfigError: before anything is written.
        StorageError: the saved state is of another run; no model was loaded.
    """
    text_width = None if configs is None else single_file.text_width(configs)
    model = resolve_model(job.config.pretrained_model_name_or_path, text_width=text_width)
    job, start = starting.fit_start(job, model, configs)
    fit = fit_of(job)
    config = fit.fitted(job.config)
    seed = fixed_seed(job)
    reporter.emit(messages.Setup(phase="dataset", message="reading the dataset"))
    dataset = scan_config(config, verify=True, originals=originals_of(job.folder))
    planned = plan(config, dataset.pictures)
    base = base_hash(model)
    identity = identity_of(job.config, dataset, base.sha256, seed, starting.start_sha256(start))
    check_newest_state(job.checkpoints, identity, planned.steps)
    reporter.emit(messages.Setup(phase="load_model", message="loading the base model"))
    precision = _precision(config)
    ranks = ranks or Ranks()
    ranks.meet()
    # Told that it is a CPU, accelerate looks for others there as well.
    accelerator = Accelerator(mixed_precision=precision, cpu=ranks.count > 1 and not torch.cuda.is_available())
    torch.backends.cuda.matmul.allow_tf32 = True
    models = load_models(config.pretrained_model_name_or_path, DTYPES[precision], configs=configs)
    agree_on_prediction(models, config)
    for finding in (*dataset.findings, *planned.findings):
        if finding.severity != "info":
            reporter.emit(messages.Warn(code=finding.code, message=finding.what))
    _warn_of_small_pictures(config, models, reporter)
    learning_rates = _learning_rates(config, models)
    clip_skip = _clip_skip(config, models, reporter)
    run = Run(
        job=job,
        config=config,
        reporter=reporter,
        accelerator=accelerator,
        ranks=ranks,
        precision=precision,
        seed=seed,
        dataset=dataset,
        plan=planned,
        schedule=Schedule(config, dataset.pictures, seed),
        models=models,
        base=base,
        identity=identity,
        objective=new_objective(config, models.noise_scheduler),
        fit=fit,
        reserves=reserves_here(
            config, trains_text=learning_rates.keys() != {"unet"}, trains_unet="unet" in learning_rates
        ),
        prompts=Prompts(
            models,
            trained=learning_rates.keys() != {"unet"} and fit.learns_text,
            clip_skip=clip_skip,
            max_token_length=config.max_token_length,
        ),
        learning_rates=learning_rates,
    )
    # PEFT draws the downs from torch's global generator.
    torch.manual_seed(seed)
    starting.attach(models, learning_rates, config, start)
    return run


def _learning_rates(config: TrainingConfig, models: Models) -> dict[str, float]:
    """Return the learning rate of every model that learns.

    Raises:
        ConfigError: there are more rates than text encoders, or nothing would learn.
    """
    if isinstance(config.text_encoder_lr, tuple) and len(models.text_encoders) == 1:
        raise ConfigError(
            f"text_encoder_lr has two rates, but {models.path.name} has one text encoder",
            fix="write one number",
            code="config.value",
        )
    rates = {
        "unet": config.effective_unet_lr,
        **dict(zip(models.text_encoders, config.effective_text_encoder_lrs, strict=False)),
    }
    return {name: rate for name, rate in rates.items() if rate > 0}


def _warn_of_small_pictures(config: TrainingConfig, models: Models, reporter: Reporter) -> None:
    width, height = largest_resolution(config)
    native = native_area_px(models)
    if width * height < native * _SMALL_SHARE:
        side = math.isqrt(native)
        what = f"resolution is {width}x{height}, but the base model was made for {side}x{side}: it will draw badly"
        reporter.emit(messages.Warn(code="plan.small_resolution", message=what))


def _clip_skip(config: TrainingConfig, models: Models, reporter: Reporter) -> int | None:
    fixed = models.kind.clip_skip
    if fixed is None:
        return config.clip_skip
    if config.clip_skip not in (None, fixed):
        what = f"clip_skip = {config.clip_skip} has no effect: {models.kind.architecture.name} is made for {fixed}"
        reporter.emit(messages.Warn(code="config.overridden", message=what))
    return fixed


def _precision(config: TrainingConfig) -> str:
    if config.mixed_precision == "fp16" and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        raise ConfigError(
            "mixed_precision = 'fp16' is not possible on a CPU",
            fix="remove mixed_precision, or train on a GPU",
            code="config.value",
        )
    if config.mixed_precision is not None:
        return config.mixed_precision
    if not torch.cuda.is_available():
        # Measured on CPUs with and without AMX: bf16 is no faster for models that a CPU can train.
        return "no"
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"


def add_optimizer(run: Run) -> None:
    """Create optimizer and schedule, and let accelerate place everything."""
    config = run.config
    parts = [
        part
        for name, model in run.learning.items()
        for part in parts_of(rates_of(config, name, run.learning_rates[name]), model)
    ]
    optimizer = new_optimizer(
        config, parts, lambda text: run.reporter.emit(messages.Warn(code="optimizer.fallback", message=text))
    )
    run.lr_scheduler = new_lr_scheduler(config, optimizer, run.plan.steps)
    for name, model in run.trained.items():
        if name not in run.learning:
            model.requires_grad_(requires_grad=False)
    for module in (run.models.unet, *run.learning.values()):
        module.train()
    use_fit(run, run.fit)
    # Placed and cast, and not wrapped for several GPUs: gradients are exchanged once a step, see share.py.
    run.models.unet = run.accelerator.prepare_model(run.models.unet, evaluation_mode=True)
    for name, text_encoder in run.models.text_encoders.items():
        if name in run.learning_rates:
            run.models.text_encoders[name] = run.accelerator.prepare_model(text_encoder, evaluation_mode=True)
    run.optimizer = run.accelerator.prepare(optimizer)


def use_fit(run: Run, fit: Fit) -> None:
    """From now on use memory so; what needs another optimizer or other pictures is for another attempt."""
    run.fit = fit
    checkpoint_unet(run.models.unet, on=fit.checkpointing)
    needs_text = run.learns_text or run.reserves.has_text_on_device(fit)
    for name, text_encoder in run.models.text_encoders.items():
        checkpoint_text_encoder(text_encoder, on=fit.checkpointing and name in run.learning)
        text_encoder.to(run.accelerator.device if needs_text else "cpu")


def resident_gib() -> float:
    """Return this process's resident memory."""
    return float(psutil.Process().memory_info().rss) / 2**30
