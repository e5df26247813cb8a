"""What a run leaves behind on its way: full-state checkpoints, LoRA files, sample pictures."""

import shutil
import time

import torch

from loratui_agent.train import export, lora, optim, retention, signals
from loratui_agent.train.checkpoint import (
    TrainingState,
    flatten_optimizer,
    load_newest_state,
    restore_optimizer,
    save_state,
)
from loratui_agent.train.controls import Controls
from loratui_agent.train.diffusers_format import adapter_metadata, diffusers_state_dict
from loratui_agent.train.metadata import file_metadata
from loratui_agent.train.run import Run
from loratui_agent.train.samples import THUMBNAIL_BYTES, make_samples, newest_thumbnail
from loratui_protocol import messages
from loratui_protocol.base_license import base_license
from loratui_protocol.errors import StorageError
from loratui_protocol.messages import ArtifactKind
from loratui_protocol.run_end import replanned
from loratui_protocol.save_points import most_at_once

CHECKPOINT_EVERY_S = 120.0
_NUM_STATES_ON_DISK = 4
"""Two kept, one being written, and one that a client fetches."""


def load_state(run: Run) -> TrainingState | None:
    """Return the state of an earlier attempt, or of another machine; None for a fresh run."""
    return load_newest_state(run.job.checkpoints)


def restore(run: Run, state: TrainingState) -> None:
    """Put the run where ``state`` was saved."""
    with torch.no_grad():
        for name, parameter in _lora_tensors(run).items():
            parameter.copy_(state.tensors[name])
    if state.optimizer_type == _optimizer_type(run):
        restore_optimizer(run.optimizer, state.optimizer)
    else:
        what = f"the state is one of {state.optimizer_type}: {_optimizer_type(run)} begins anew with its averages"
        run.reporter.emit(messages.Warn(code="optimizer.anew", message=what))
    # The rates are the run's own: text encoders may have stopped learning, or learn again.
    kept = {key: value for key, value in state.lr_scheduler.items() if key != "base_lrs"}
    if len(kept["_last_lr"]) != len(run.optimizer.param_groups):
        del kept["_last_lr"]
    run.lr_scheduler.load_state_dict(kept)
    optim.plan_anew(run.lr_scheduler)
    for group, lr in zip(run.optimizer.param_groups, run.lr_scheduler.get_last_lr(), strict=True):
        group["lr"] = lr
    # Empty where the state comes from a machine with another precision, when the config leaves that open.
    if run.accelerator.scaler is not None and state.scaler:
        run.accelerator.scaler.load_state_dict(state.scaler)
    run.step, run.num_skipped = state.step, state.num_skipped
    if state.num_steps != run.plan.steps:
        _go_on_to_another_end(run, state)


def _go_on_to_another_end(run: Run, state: TrainingState) -> None:
    for sentence in replanned(run.config, state.step, state.num_steps, run.plan.steps):
        run.reporter.emit(messages.Warn(code="plan.anew", message=sentence))
    if state.step >= state.num_steps:
        # It was complete: its file bore the plain name, which the longer run takes.
        save_lora(run, step_file_name(run), ArtifactKind.CHECKPOINT_LORA)


def check_disk(run: Run) -> None:
    """Refuse to start when the disk can't hold the checkpoints and files.

    Raises:
        StorageError: with what is needed and what is free (code ``disk.too_small``).
    """
    num_bytes = sum(parameter.numel() * 4 for parameter in run.parameters)
    # A state is the weights and Adam's two moments; a LoRA file is at most as large as the weights.
    needed = num_bytes * (3 * _NUM_STATES_ON_DISK + most_at_once(run.config, run.plan.save_points) + 1)
    width, height = run.config.resolution
    sizes = [(prompt.width or width) * (prompt.height or height) for prompt in run.plan.samples.prompts]
    pictures_bytes = sum(3 * size + THUMBNAIL_BYTES for size in sizes)  # no PNG is much larger than its pixels
    needed += pictures_bytes * (len(run.plan.sample_steps) + 1 if run.plan.sample_steps else 0)
    free = shutil.disk_usage(run.job.folder).free
    if free < needed:
        raise StorageError(
            f"the disk is too small: this run writes up to {needed / 2**20:.0f} MiB, {free / 2**20:.0f} MiB are free. "
            "No step was taken.",
            fix=f"free space on the disk of {run.job.folder}, save and sample less often, or set save_last_n_epochs",
            code="disk.too_small",
        )


def save_what_is_due(run: Run, controls: Controls) -> None:
    """After a step: save and sample where the plan, the clock or a person wants it."""
    step, plan = run.step, run.plan
    for point in plan.save_points:
        if point.step == step:
            artifact = save_lora(run, f"{point.name}.safetensors", ArtifactKind.CHECKPOINT_LORA)
            retention.retain(run, point, artifact)
    if step in plan.sample_steps:
        make_samples(run, controls)
    if plan.checkpoint_steps is None:
        due = time.monotonic() - run.saved_at_s > CHECKPOINT_EVERY_S
    else:
        due = step in plan.checkpoint_steps
    # After all else: whoever goes on from it has everything of this step, the pictures too.
    if due and step < plan.stop_step:
        save_checkpoint(run)
    meet_requests(run, controls)


def meet_requests(run: Run, controls: Controls) -> None:
    """Save and sample where a person asked for it."""
    # Taken before the work: a request that arrives meanwhile is for the next step.
    wants_checkpoint, wants_samples = controls.wants_checkpoint, controls.wants_samples
    controls.wants_checkpoint = controls.wants_samples = False
    if wants_checkpoint and run.step:
        retention.keep_for_good(run, save_lora(run, step_file_name(run), ArtifactKind.CHECKPOINT_LORA))
        save_checkpoint(run)
    if wants_samples:
        make_samples(run, controls)


def save_checkpoint(run: Run) -> None:
    """Save the full training state, and offer it to clients: they go on from it should this machine vanish."""
    started_s = time.monotonic()
    run.say("checkpoint", 0, 1)
    scaler = run.accelerator.scaler
    size = save_state(
        run.job.checkpoints,
        TrainingState(
            step=run.step,
            num_steps=run.plan.steps,
            identity=run.identity,
            num_skipped=run.num_skipped,
            num_cpu_threads=torch.get_num_threads(),
            seed=run.seed,
            tensors=_lora_tensors(run),
            optimizer=flatten_optimizer(run.optimizer),
            optimizer_type=_optimizer_type(run),
            lr_scheduler=run.lr_scheduler.state_dict(),
            scaler=scaler.state_dict() if scaler is not None else {},
        ),
    )
    run.saved_at_s = time.monotonic()
    run.reporter.emit(messages.Checkpoint(step=run.step, size=size, seconds=run.saved_at_s - started_s))
    for part in run.job.published_state(run.step):
        run.reporter.emit(part)
    run.say("checkpoint", 1, 1)


def _optimizer_type(run: Run) -> str:
    """Return the name of the optimizer at work, which may be another one than was asked for."""
    # accelerate wraps it.
    return type(getattr(run.optimizer, "optimizer", run.optimizer)).__name__


def _lora_tensors(run: Run) -> dict[str, torch.Tensor]:
    return {key: p for name, model in run.trained.items() for key, p in lora.lora_tensors(name, model).items()}


def step_file_name(run: Run) -> str:
    """Return kohya's name for a file of the current step."""
    return f"{run.config.output_name}-step{run.step:08d}.safetensors"


def save_lora(run: Run, name: str, kind: ArtifactKind) -> messages.Artifact:
    """Write the LoRA file of this step, prove that it loads and does what was trained, and publish it.

    Raises:
        JobError: the file is wrong (see ``export.read_back``).
        StorageError: the disk is full.
    """
    config = run.config
    dtype = export.DTYPES[config.save_precision]
    if config.save_format == "diffusers":
        tensors, of_format = diffusers_state_dict(run.trained, dtype), adapter_metadata(run.trained)
    else:
        tensors, of_format = export.kohya_state_dict(run.models.kind, run.trained, dtype), {}
    metadata = file_metadata(
        config,
        run.dataset,
        run.plan,
        step=run.step,
        base=run.base,
        seed=run.seed,
        precision=run.precision,
        kind=run.models.kind,
        is_v=run.objective.is_v,
        base_license=base_license(run.models.path, run.job.base_address),
        # A file on the way is written before the pictures of its step: those of another attempt are not for it.
        thumbnail=newest_thumbnail(run.job.artifacts, run.step - (kind is not ArtifactKind.LORA)),
    )
    # The user's name may hold anything; an id is safe as a file name.
    suffix = name.removeprefix(config.output_name).removesuffix(".safetensors")
    artifact_id = f"lora{suffix}.safetensors"
    path = run.job.artifacts / artifact_id
    export.write_lora(path, tensors, {**metadata, **of_format})
    export.read_back(path, run.models, precision=config.save_precision)
    artifact = run.job.publish(artifact_id, kind, name, run.step)
    run.reporter.emit(artifact)
    signals.tell_norms(run)
    return artifact
