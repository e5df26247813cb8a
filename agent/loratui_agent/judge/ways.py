"""The two ways to a judgement: at the end of a training, of the files that it wrote, and as a job of its own."""

from dataclasses import replace
from pathlib import Path

import torch

from loratui_agent.demo.concept import CONCEPTS
from loratui_agent.judge.draw import Base
from loratui_agent.judge.judge import JUDGEMENT, Judge, Tried
from loratui_agent.model_path import resolve_model
from loratui_agent.train.controls import Controls
from loratui_agent.train.job import Job, Outcome
from loratui_agent.train.memory import is_out_of_vram
from loratui_agent.train.reporter import Reporter
from loratui_agent.train.run import Run
from loratui_protocol import messages
from loratui_protocol.dataset import scan_config
from loratui_protocol.errors import ModelError
from loratui_protocol.findings import plural
from loratui_protocol.judging.grid import TriedFile, spread_by_step
from loratui_protocol.judging.planning import files_named, steps_said
from loratui_protocol.messages import ArtifactKind, JobState


def judge_run(run: Run, controls: Controls) -> None:
    """Judge the files that a training wrote; its models are freed already.

    Raises:
        ModelError: a file can't be loaded.
        StorageError: the disk is full.
    """
    files = _written(run)
    chosen = [
        files[index] for index in spread_by_step([file.step for file, _ in files], run.config.evaluate_checkpoints)
    ]
    tried = Tried(files=chosen, pictures=run.dataset.pictures, concept=CONCEPTS.get(run.job.evaluate_concept))
    device = run.accelerator.device
    base = Base(path=run.models.path, configs=run.models.configs, device=device, dtype=_dtype(device))
    Judge(run.job, run.reporter, controls, tried).judge(base)


def judge_alone(job: Job, reporter: Reporter, controls: Controls) -> Outcome:
    """Judge the files that a config names, and train nothing.

    Raises:
        ModelError: the base model or one of the files can't be loaded.
        DatasetError: there are no pictures where the config says.
        StorageError: the disk is full; what was drawn is kept, and the next attempt goes on from there.
    """
    config = job.config
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    paths = [Path(each) for each in config.evaluate_loras]
    for path in paths:
        if not path.is_file():
            raise ModelError(f"evaluate_loras names {path}, and there is no such file", fix="correct the path")
    named = zip(files_named(config.evaluate_loras), steps_said(paths), strict=True)
    files = list(zip((replace(file, step=step) for file, step in named), paths, strict=True))
    is_known = bool(config.train_data_dir or config.datasets)
    pictures = scan_config(config).pictures if is_known else ()
    tried = Tried(files=files, pictures=pictures, concept=CONCEPTS.get(job.evaluate_concept))
    base_path = resolve_model(config.pretrained_model_name_or_path)
    reporter.emit(messages.State(state=JobState.RUNNING, detail=f"trying out {plural(len(files), 'file')}"))

    def between() -> None:
        controls.read()
        controls.refuse_training()
        controls.wait_while_paused(
            lambda state: reporter.emit(messages.State(state=state)), meet_requests=controls.refuse_training
        )

    judge = Judge(job, reporter, controls, tried, between)
    try:
        judge.judge(Base(path=base_path, configs=None, device=device, dtype=_dtype(device)))
    except RuntimeError as error:
        if not is_out_of_vram(error):
            raise
        width, height = config.resolution
        raise ModelError(
            f"the GPU has no room to draw one picture of {width}x{height}: {error}",
            fix="try the files out with --size smaller, or take a larger GPU",
            code="oom_vram",
        ) from error
    reporter.emit(messages.State(state=JobState.FINISHING))
    controls.refuse_training()
    if controls.stopping and not judge.is_whole:
        controls.answer_all(saved=True)
        return Outcome("stopped", what="stopped before all pictures were drawn; those that were are judged")
    done = job.publish(JUDGEMENT, ArtifactKind.JUDGEMENT, f"{config.output_name}-judgement.zip", 0)
    reporter.emit(messages.Done(artifact_id=done.id, name=done.name, size=done.size, sha256=done.sha256, steps=0))
    controls.answer_all(saved=True)
    return Outcome("done")


def _written(run: Run) -> list[tuple[TriedFile, Path]]:
    """Return the files of this run that are still there, by step; of two of one step the last, which is the result."""
    by_step: dict[int, tuple[TriedFile, Path]] = {}
    names = [(point.step, point.name) for point in run.plan.save_points]
    for step, name in sorted([*names, (run.step, run.config.output_name)], key=lambda each: each[0]):
        file_id = f"lora{name.removeprefix(run.config.output_name)}.safetensors"
        path = run.job.artifacts / file_id
        if path.exists() and f"{name}.safetensors" not in run.withdrawn:
            by_step[step] = TriedFile(id=file_id, name=f"{name}.safetensors", step=step), path
    return list(by_step.values())


def _dtype(device: torch.device) -> torch.dtype:
    """Return what pictures are drawn in: on a CPU 16 bits are slower, and a large VAE overflows in fp16."""
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
