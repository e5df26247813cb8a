"""Generate pictures with a pipeline: one fixed generator a picture, so that a batch size never changes a result."""

# L tokens, D width

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from PIL import Image
from torch import Tensor

from loratui_agent.train.models import Models

NUM_INFERENCE_STEPS = 25
GUIDANCE_SCALE = 4.0


def load_pipeline(folder: Path, dtype: torch.dtype = torch.float32) -> StableDiffusionPipeline:
    """Load a diffusers folder, offline, ready to sample.

    An explicit dtype, because an fp16 folder loaded without one comes up in mixed types.
    """
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, dtype=dtype, local_files_only=True, safety_checker=None, requires_safety_checker=False
    )
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def new_pipeline(models: Models) -> StableDiffusionPipeline:
    """Return a pipeline over the models that are being trained; prompts must come encoded."""
    pipeline = StableDiffusionPipeline(
        vae=models.vae,
        text_encoder=models.text_encoder,
        tokenizer=models.tokenizer,
        unet=models.unet,
        scheduler=DDIMScheduler.from_config(models.noise_scheduler.config, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generate(
    pipeline: StableDiffusionPipeline,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    size_px: tuple[int, int],
    num_inference_steps: int = NUM_INFERENCE_STEPS,
    guidance_scale: float = GUIDANCE_SCALE,
    batch_size: int = 8,
    on_picture: Callable[[int], None] | None = None,
) -> list[Image.Image]:
    """Return one picture for each (prompt, seed) pair; ``size_px`` is (width, height)."""
    pictures: list[Image.Image] = []
    for start in range(0, len(prompts), batch_size):
        generators = [torch.Generator().manual_seed(seed) for seed in seeds[start : start + batch_size]]
        result = pipeline(
            list(prompts[start : start + batch_size]),
            width=size_px[0],
            height=size_px[1],
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            generator=generators,
        )
        pictures += result.images
        if on_picture is not None:
            on_picture(len(pictures))
    return pictures


def generate_encoded(
    pipeline: StableDiffusionPipeline, hidden_LD: Tensor, empty_LD: Tensor, seed: int, *, size_px: tuple[int, int]
) -> Image.Image:
    """Return one picture for an encoded prompt; ``empty_LD`` is the encoded empty prompt."""
    result = pipeline(
        prompt_embeds=hidden_LD.unsqueeze(0),
        negative_prompt_embeds=empty_LD.unsqueeze(0),
        width=size_px[0],
        height=size_px[1],
        num_inference_steps=NUM_INFERENCE_STEPS,
        guidance_scale=GUIDANCE_SCALE,
        generator=torch.Generator().manual_seed(seed),
    )
    picture: Image.Image = result.images[0]
    return picture
