"""Generate pictures with a pipeline: one fixed generator a picture, so that a batch size never changes a result."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler
from PIL import Image
from torch import Tensor

from loratui_agent.train.conditioning import Conditioning
from loratui_agent.train.kinds import Pipeline, kind_of_pipeline
from loratui_agent.train.models import Models, load_models
from loratui_agent.train.text import tokenize_in_chunks
from loratui_protocol.buckets import drawn_size

NUM_INFERENCE_STEPS = 25
GUIDANCE_SCALE = 4.0


def load_pipeline(path: Path, dtype: torch.dtype = torch.float32, *, configs: Path | None = None) -> Pipeline:
    """Load a diffusers folder, or a single file, offline, ready to sample; ``configs`` as in ``load_models``."""
    models = load_models(str(path), dtype, configs=configs)
    assert models.vae is not None
    models.vae.to(dtype)
    return new_pipeline(models)


def new_pipeline(models: Models) -> Pipeline:
    """Return a pipeline over these models. Those that are trained take prompts encoded alone."""
    kind = models.kind
    pipeline = kind.pipeline(
        vae=models.vae,
        unet=models.unet,
        scheduler=_sampler(models.noise_scheduler.config),
        # A freed one is None.
        **{part.name: models.text_encoders.get(part.name) for part in kind.text_parts},
        **models.tokenizers,
        **kind.pipeline_arguments,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _sampler(config: Mapping[str, Any]) -> DDIMScheduler:
    # Where the last timestep is all noise it has to be the first of the sampling (arXiv 2305.08891).
    spacing = {"timestep_spacing": "trailing"} if config.get("rescale_betas_zero_snr") else {}
    scheduler: DDIMScheduler = DDIMScheduler.from_config(config, clip_sample=False, **spacing)
    return scheduler


def generate(
    pipeline: Pipeline,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    size_px: tuple[int, int],
    num_inference_steps: int = NUM_INFERENCE_STEPS,
    guidance_scale: float = GUIDANCE_SCALE,
    clip_skip: int | None = None,
    max_token_length: int | None = None,
    negatives: Sequence[str] | None = None,
    batch_size: int = 8,
    on_picture: Callable[[int], None] | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> list[Image.Image]:
    """Return one picture for each (prompt, seed) pair; ``size_px`` is (width, height), rounded down to whole latents.

    ``on_step`` is called after every denoising step; what it raises ends the drawing.
    ``clip_skip`` and ``max_token_length`` are the config's. ``negatives`` are as many as prompts; None: all empty.
    """
    width, height = drawn_size(size_px)

    def tell(_pipeline: Pipeline, _step: int, _timestep: int, kept: dict[str, Any]) -> dict[str, Any]:
        on_step()
        return kept

    pictures: list[Image.Image] = []
    negatives = negatives or [""] * len(prompts)
    for start in range(0, len(prompts), batch_size):
        batch = slice(start, start + batch_size)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds[batch]]
        result = pipeline(
            **_encoded(pipeline, prompts[batch], negatives[batch], clip_skip, max_token_length),
            width=width,
            height=height,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            generator=generators,
            callback_on_step_end=tell,
        )
        pictures += result.images
        if on_picture is not None:
            on_picture(len(pictures))
    return pictures


def generate_encoded(
    pipeline: Pipeline,
    text: Conditioning,
    seed: int,
    *,
    size_px: tuple[int, int],
    num_inference_steps: int = NUM_INFERENCE_STEPS,
    guidance_scale: float = GUIDANCE_SCALE,
) -> Image.Image:
    """Return one picture for an encoded prompt; ``text`` is the negative one and that, the rest as in ``generate``."""
    width, height = drawn_size(size_px)
    result = pipeline(
        **_prompt_arguments(text.rows(slice(1, 2)), text.rows(slice(0, 1))),
        width=width,
        height=height,
        num_inference_steps=num_inference_steps,
        guidance_scale=guidance_scale,
        generator=torch.Generator().manual_seed(seed),
    )
    picture: Image.Image = result.images[0]
    return picture


@torch.no_grad()
def _encoded(
    pipeline: Pipeline,
    prompts: Sequence[str],
    negatives: Sequence[str],
    clip_skip: int | None,
    max_token_length: int | None,
) -> dict[str, Tensor]:
    """Return the prompts as the pipeline takes them.

    Encoded here: diffusers' clip_skip asks for an attribute that newer transformers' text encoder no longer has, and
    its SDXL pipeline takes zeros for an empty prompt, where training and other programs take the empty text.
    """
    kind = kind_of_pipeline(pipeline)
    text_encoders = [getattr(pipeline, part.name) for part in kind.text_parts]
    tokenizers = [getattr(pipeline, part.tokenizer) for part in kind.text_parts]

    def encode(texts: Sequence[str]) -> Conditioning:
        ids = [tokenize_in_chunks(tokenizer, texts, max_token_length) for tokenizer in tokenizers]
        return kind.encode(text_encoders, ids, kind.clip_skip or clip_skip)

    return _prompt_arguments(encode(prompts), encode(negatives))


def _prompt_arguments(prompts: Conditioning, negatives: Conditioning) -> dict[str, Tensor]:
    arguments = {"prompt_embeds": prompts.hidden_BLD, "negative_prompt_embeds": negatives.hidden_BLD}
    if prompts.pooled_BP is not None and negatives.pooled_BP is not None:
        arguments["pooled_prompt_embeds"] = prompts.pooled_BP
        arguments["negative_pooled_prompt_embeds"] = negatives.pooled_BP
    return arguments
