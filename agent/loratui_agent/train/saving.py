"""What a run leaves behind on its way: full-state checkpoints, LoRA files, sample pictures."""

import functools
import shutil
import time

import torch

from loratui_agent.files import write_atomically
from loratui_agent.train import export, lora, signals
from loratui_agent.train.brought_state import check_step
from loratui_agent.train.checkpoint import (
    TrainingState,
    flatten_optimizer,
    load_newest_state,
    restore_optimizer,
    save_state,
)
from loratui_agent.train.controls import Controls
from loratui_agent.train.metadata import file_metadata
from loratui_agent.train.run import Run
from loratui_agent.train.sampling import generate_encoded, new_pipeline
from loratui_protocol import messages
from loratui_protocol.errors import StorageError
from loratui_protocol.messages import ArtifactKind

CHECKPOINT_EVERY_S = 120.0
SAMPLE_SEED = 1000
_NUM_STATES_ON_DISK = 4
"""Two kept, one being written, and one that a client fetches."""


def load_state(run: Run) -> TrainingState | None:
    """Return the state of an earlier attempt, or of another machine; None for a fresh run."""
    state = load_newest_state(run.job.checkpoints, run.identity)
    if state is not None:
        check_step(state.step, run.plan.steps)
    return state


def restore(run: Run, state: TrainingState) -> None:
    """Put the run where ``state`` was saved."""
    with torch.no_grad():
        for name, parameter in _lora_tensors(run).items():
            parameter.copy_(state.tensors[name])
    restore_optimizer(run.optimizer, state.optimizer)
    run.lr_scheduler.load_state_dict(state.lr_scheduler)
    for group, lr in zip(run.optimizer.param_groups, run.lr_scheduler.get_last_lr(), strict=True):
        group["lr"] = lr
    # Empty where the state comes from a machine with another precision, when the config leaves that open.
    if run.accelerator.scaler is not None and state.scaler:
        run.accelerator.scaler.load_state_dict(state.scaler)
    run.step, run.num_skipped = state.step, state.num_skipped


def check_disk(run: Run) -> None:
    """Refuse to start when the disk can't hold the checkpoints and files.

    Raises:
        StorageError: with what is needed and what is free (code ``disk.too_small``).
    """
    num_bytes = sum(parameter.numel() * 4 for parameter in run.parameters)
    # A state is the weights and Adam's two moments; a LoRA file is at most as large as the weights.
    needed = num_bytes * (3 * _NUM_STATES_ON_DISK + (len(run.plan.save_points) + 1))
    free = shutil.disk_usage(run.job.folder).free
    if free < needed:
        raise StorageError(
            f"the disk is too small: this run writes up to {needed / 2**20:.0f} MiB, {free / 2**20:.0f} MiB are free. "
            "No step was taken.",
            fix=f"free space on the disk of {run.job.folder}, or save less often",
            code="disk.too_small",
        )


def save_what_is_due(run: Run, controls: Controls) -> None:
    """After a step: save and sample where the plan, the clock or a person wants it."""
    step, plan = run.step, run.plan
    for point in plan.save_points:
        if point.step == step:
            save_lora(run, f"{point.name}.safetensors", ArtifactKind.CHECKPOINT_LORA)
    if plan.checkpoint_steps is None:
        due = time.monotonic() - run.saved_at_s > CHECKPOINT_EVERY_S
    else:
        due = step in plan.checkpoint_steps
    if due and step < plan.steps:
        save_checkpoint(run)
    if step in plan.sample_steps:
        make_samples(run, controls)
    meet_requests(run, controls)


def meet_requests(run: Run, controls: Controls) -> None:
    """Save and sample where a person asked for it."""
    # Taken before the work: a request that arrives meanwhile is for the next step.
    wants_checkpoint, wants_samples = controls.wants_checkpoint, controls.wants_samples
    controls.wants_checkpoint = controls.wants_samples = False
    if wants_checkpoint and run.step:
        save_lora(run, step_file_name(run), ArtifactKind.CHECKPOINT_LORA)
        save_checkpoint(run)
    if wants_samples:
        make_samples(run, controls)


def save_checkpoint(run: Run) -> None:
    """Save the full training state, and offer it to clients: they go on from it should this machine vanish."""
    started_s = time.monotonic()
    scaler = run.accelerator.scaler
    size = save_state(
        run.job.checkpoints,
        TrainingState(
            step=run.step,
            identity=run.identity,
            num_skipped=run.num_skipped,
            num_cpu_threads=torch.get_num_threads(),
            seed=run.seed,
            tensors=_lora_tensors(run),
            optimizer=flatten_optimizer(run.optimizer),
            lr_scheduler=run.lr_scheduler.state_dict(),
            scaler=scaler.state_dict() if scaler is not None else {},
        ),
    )
    run.saved_at_s = time.monotonic()
    run.reporter.emit(messages.Checkpoint(step=run.step, size=size, seconds=run.saved_at_s - started_s))
    for part in run.job.published_state(run.step):
        run.reporter.emit(part)


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
    tensors = export.kohya_state_dict(run.models.kind, run.trained, export.DTYPES[config.save_precision])
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
    )
    # The user's name may hold anything; an id is safe as a file name.
    suffix = name.removeprefix(config.output_name).removesuffix(".safetensors")
    artifact_id = f"lora{suffix}.safetensors"
    path = run.job.artifacts / artifact_id
    export.write_lora(path, tensors, metadata)
    export.read_back(path, run.models, precision=config.save_precision)
    artifact = run.job.publish(artifact_id, kind, name, run.step)
    run.reporter.emit(artifact)
    signals.tell_norms(run)
    return artifact


def make_samples(run: Run, controls: Controls) -> None:
    """Make the configured sample pictures with the LoRA as it is now."""
    config, models = run.config, run.models
    if not config.sample_prompts or models.vae is None:
        run.reporter.emit(
            messages.Warn(code="samples.none", message="no samples were made: sample_prompts is not set in the config")
        )
        return
    device = run.accelerator.device
    models.vae.to(device)
    learning = [run.models.unet, *run.trained.values()]
    for module in learning:
        module.eval()  # no LoRA dropout in pictures
    pipeline = new_pipeline(models)
    total = len(config.sample_prompts)
    for index, prompt in enumerate(config.sample_prompts):
        if controls.stopping:
            break
        run.say("sample", index, total, "pictures")
        with torch.no_grad():
            text = run.prompts.encode(["", prompt])
        seed = SAMPLE_SEED + index
        picture = generate_encoded(pipeline, text, seed, size_px=config.resolution)
        artifact_id = f"sample-step{run.step:08d}-{index:02d}.png"
        write_atomically(run.job.artifacts / artifact_id, functools.partial(picture.save, format="PNG"))
        run.reporter.emit(run.job.publish(artifact_id, ArtifactKind.SAMPLE, artifact_id, run.step))
        run.reporter.emit(
            messages.Sample(
                step=run.step,
                index=index,
                prompt=prompt,
                seed=seed,
                artifact_id=artifact_id,
                width=picture.width,
                height=picture.height,
            )
        )
    for module in learning:
        module.train()
    models.vae.to("cpu")
