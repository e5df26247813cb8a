"""Sample pictures on the way: fixed seeds, with the LoRA as it is and once without; small ones travel ahead of them."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from PIL import Image

from loratui_agent.files import write_atomically
from loratui_agent.train import lora
from loratui_agent.train.controls import Controls
from loratui_agent.train.kinds import Pipeline
from loratui_agent.train.run import Run
from loratui_agent.train.sampling import GUIDANCE_SCALE, NUM_INFERENCE_STEPS, generate_encoded, new_pipeline
from loratui_protocol import messages
from loratui_protocol.messages import ArtifactKind
from loratui_protocol.sample_prompts import SamplePrompt

SAMPLE_SEED = 1000
THUMBNAIL_SIDE_PX = 256
THUMBNAIL_BYTES = 12_000
"""At most: a second on a line of 100 kbit/s."""
_SMALL = "-small.jpg"
_QUALITIES = (85, 70, 55, 40, 25, 10)


def make_samples(run: Run, controls: Controls) -> None:
    """Make a picture of every prompt with the LoRA as it is now, at first also without; no weight is changed."""
    samples = run.plan.samples
    if not samples.prompts:
        run.reporter.emit(
            messages.Warn(
                code="samples.none",
                message="no samples were made: sample_prompts is not set, and there are no captions to make them of",
            )
        )
        return
    try:
        with _ready(run) as pipeline:
            if not run.base_is_drawn:
                if samples.told:
                    run.reporter.emit(messages.Log(level="INFO", line=samples.told))
                with lora.switched_off(run.trained.values()):
                    run.base_is_drawn = _draw_all(run, controls, pipeline, weight=0.0)
            _draw_all(run, controls, pipeline, weight=1.0)
    except torch.OutOfMemoryError:
        run.reporter.emit(
            messages.Warn(code="samples.oom", message="the GPU has no room for sample pictures; training goes on")
        )


@contextmanager
def _ready(run: Run) -> Iterator[Pipeline]:
    """Give a pipeline over the training's models, which are as before after the block, whatever happens in it."""
    models = run.models
    assert models.vae is not None
    learning = [models.unet, *run.learning.values()]
    try:
        models.vae.to(run.accelerator.device)
        for module in learning:
            module.eval()  # no LoRA dropout in pictures
        yield new_pipeline(models)
    finally:
        for module in learning:
            module.train()
        models.vae.to("cpu")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def newest_thumbnail(artifacts: Path, last_step: int) -> Path | None:
    """Return the small picture of the first prompt, with the LoRA as it was at ``last_step`` or last before it.

    At step 0 there was none yet.
    """
    with_lora = sorted(artifacts.glob(f"sample-step*-00{_SMALL}"), reverse=True)
    return next((path for path in with_lora if 0 < _step_of(path) <= last_step), None)


def _step_of(path: Path) -> int:
    return int(path.name.removeprefix("sample-step").partition("-")[0])


def _draw_all(run: Run, controls: Controls, pipeline: Pipeline, *, weight: float) -> bool:
    """Make and publish a picture of every prompt; return whether nobody stopped it."""
    prompts = run.plan.samples.prompts
    for index, prompt in enumerate(prompts):
        if controls.stopping:
            return False
        run.say("sample", index, len(prompts), "pictures")
        _publish(run, pipeline, index, prompt, weight)
    run.say("sample", len(prompts), len(prompts), "pictures")
    return True


def _publish(run: Run, pipeline: Pipeline, index: int, prompt: SamplePrompt, weight: float) -> None:
    stem = f"sample-step{run.step:08d}-{index:02d}" if weight else f"sample-base-{index:02d}"
    path, small = (run.job.artifacts / f"{stem}{suffix}" for suffix in (".png", _SMALL))
    seed = SAMPLE_SEED + index if prompt.seed is None else prompt.seed
    if not weight and path.exists():
        # Of an earlier attempt: without the LoRA it is the same at every step.
        picture = Image.open(path).convert("RGB")
    else:
        picture = _draw(run, pipeline, prompt, seed)
        write_atomically(path, functools.partial(picture.save, format="PNG"))
    write_atomically(small, functools.partial(_save_small, picture))
    for artifact, kind in ((small, ArtifactKind.THUMBNAIL), (path, ArtifactKind.SAMPLE)):
        run.reporter.emit(run.job.publish(artifact.name, kind, artifact.name, run.step))
    run.reporter.emit(
        messages.Sample(
            step=run.step,
            index=index,
            prompt=prompt.text,
            seed=seed,
            artifact_id=path.name,
            width=picture.width,
            height=picture.height,
            weight=weight,
            thumbnail_id=small.name,
        )
    )


def _draw(run: Run, pipeline: Pipeline, prompt: SamplePrompt, seed: int) -> Image.Image:
    with torch.no_grad():
        text = run.prompts.encode([prompt.negative, prompt.text])
    width, height = run.config.resolution
    return generate_encoded(
        pipeline,
        text,
        seed,
        size_px=(prompt.width or width, prompt.height or height),
        num_inference_steps=prompt.num_inference_steps or NUM_INFERENCE_STEPS,
        guidance_scale=GUIDANCE_SCALE if prompt.guidance_scale is None else prompt.guidance_scale,
    )


def _save_small(picture: Image.Image, path: Path) -> None:
    """Write the picture as a JPEG, as good as it may be without being large."""
    small = picture.copy()
    small.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX), Image.Resampling.LANCZOS)
    for quality in _QUALITIES:
        small.save(path, format="JPEG", quality=quality, optimize=True)
        if path.stat().st_size <= THUMBNAIL_BYTES:
            return
