"""Generate pictures with a pipeline: one fixed generator a picture, so that a batch size never changes a result."""

# L tokens, D width

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from PIL import Image
from torch import Tensor

from loratui_agent.train.models import Models, load_models
from loratui_agent.train.single_file import PACKAGED_CONFIGS
from loratui_agent.train.text import encode, tokenize
from loratui_protocol.buckets import VAE_FACTOR

NUM_INFERENCE_STEPS = 25
GUIDANCE_SCALE = 4.0


def load_pipeline(
    path: Path, dtype: torch.dtype = torch.float32, *, configs: Path = PACKAGED_CONFIGS
) -> StableDiffusionPipeline:
    """Load a diffusers folder, or a single file with the ``configs`` that belong to it, offline, ready to sample.

    An explicit dtype, because an fp16 folder loaded without one comes up in mixed types.
    """
    if path.is_file():
        models = load_models(str(path), dtype, configs=configs)
        assert models.vae is not None
        models.vae.to(dtype)
        return new_pipeline(models)
    pipeline = StableDiffusionPipeline.from_pretrained(
        path, dtype=dtype, local_files_only=True, safety_checker=None, requires_safety_checker=False
    )
    pipeline.scheduler = _sampler(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def new_pipeline(models: Models) -> StableDiffusionPipeline:
    """Return a pipeline over the models that are being trained; prompts must come encoded."""
    pipeline = StableDiffusionPipeline(
        vae=models.vae,
        text_encoder=models.text_encoder,
        tokenizer=models.tokenizer,
        unet=models.unet,
        scheduler=_sampler(models.noise_scheduler.config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _sampler(config: Mapping[str, Any]) -> DDIMScheduler:
    # Where the last timestep is all noise it has to be the first of the sampling (arXiv 2305.08891).
    spacing = {"timestep_spacing": "trailing"} if config.get("rescale_betas_zero_snr") else {}
    scheduler: DDIMScheduler = DDIMScheduler.from_config(config, clip_sample=False, **spacing)
    return scheduler


def generate(
    pipeline: StableDiffusionPipeline,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    size_px: tuple[int, int],
    num_inference_steps: int = NUM_INFERENCE_STEPS,
    guidance_scale: float = GUIDANCE_SCALE,
    clip_skip: int | None = None,
    batch_size: int = 8,
    on_picture: Callable[[int], None] | None = None,
) -> list[Image.Image]:
    """Return one picture for each (prompt, seed) pair; ``size_px`` is (width, height), rounded down to whole latents.

    ``clip_skip`` counts as in the config.
    """
    width, height = _whole_latents(size_px)
    pictures: list[Image.Image] = []
    for start in range(0, len(prompts), batch_size):
        generators = [torch.Generator().manual_seed(seed) for seed in seeds[start : start + batch_size]]
        result = pipeline(
            **_prompt_arguments(pipeline, prompts[start : start + batch_size], clip_skip),
            width=width,
            height=height,
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
    """Return one picture for an encoded prompt; ``empty_LD`` is the empty prompt, the size as in ``generate``."""
    width, height = _whole_latents(size_px)
    result = pipeline(
        prompt_embeds=hidden_LD.unsqueeze(0),
        negative_prompt_embeds=empty_LD.unsqueeze(0),
        width=width,
        height=height,
        num_inference_steps=NUM_INFERENCE_STEPS,
        guidance_scale=GUIDANCE_SCALE,
        generator=torch.Generator().manual_seed(seed),
    )
    picture: Image.Image = result.images[0]
    return picture


def _prompt_arguments(
    pipeline: StableDiffusionPipeline, prompts: Sequence[str], clip_skip: int | None
) -> dict[str, list[str] | Tensor]:
    """Return the prompts as the pipeline takes them: encoded here where its own clip_skip would be needed."""
    if clip_skip is None or clip_skip == 1:
        return {"prompt": list(prompts)}
    # diffusers' clip_skip asks for an attribute that newer transformers' text encoder no longer has.
    with torch.no_grad():
        ids_BL = tokenize(pipeline.tokenizer, [*prompts, *[""] * len(prompts)])
        hidden_BLD = encode(pipeline.text_encoder, ids_BL, clip_skip)
    return {"prompt_embeds": hidden_BLD[: len(prompts)], "negative_prompt_embeds": hidden_BLD[len(prompts) :]}


def _whole_latents(size_px: tuple[int, int]) -> tuple[int, int]:
    """Return the size that the pipeline takes: with buckets a resolution is an area, and its sides are any numbers."""
    return size_px[0] // VAE_FACTOR * VAE_FACTOR, size_px[1] // VAE_FACTOR * VAE_FACTOR
