"""Gradient checkpointing keeps less, in the UNet and in every text encoder that learns, and learns the same."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from loratui_agent.train import gradients, loop
from loratui_agent.train.run import Run, add_optimizer, use_fit
from support.small_memory import SmallMemory
from support.tiny_run import new_run
from support.tiny_sdxl import write_tiny_sdxl

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]


def ready(folder: Path, **changes: Any) -> Run:
    run = new_run(folder, **changes)
    loop.encode_prompts(run)
    loop.cache_latents(run)
    add_optimizer(run)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for parameter in run.parameters:  # ups are zero at first, and the downs' gradients with them
            parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
    return run


def kept_by_text(run: Run) -> int:
    """Return how many bytes the text encoders keep for the backward pass of a caption."""
    memory = SmallMemory(1 << 40)
    with memory.counting():
        told = run.prompts.encode(["a zorbix on a red background"])
    assert told.hidden_BLD.requires_grad
    return memory.peak_bytes()


def gradients_of(run: Run) -> list[Tensor]:
    gradients.of_batch(run, run.schedule.batch(1, 0))
    given = [parameter.grad.clone() for parameter in run.parameters if parameter.grad is not None]
    run.optimizer.zero_grad()
    return given


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_text_encoders_keep_less_and_learn_the_same(tmp_path: Path, kind: str):
    base = {} if kind == "sd1" else {"pretrained_model_name_or_path": str(write_tiny_sdxl(tmp_path / "sdxl"))}
    run = ready(tmp_path, network_dropout=0.3, **base)
    plain, kept = gradients_of(run), kept_by_text(run)
    use_fit(run, replace(run.fit, checkpointing=True))
    assert kept_by_text(run) < 0.5 * kept
    for text_encoder in run.models.text_encoders.values():
        embeddings = text_encoder.get_input_embeddings()
        assert not embeddings(torch.tensor([1])).requires_grad, "nobody uses gradients of the embeddings"
    checkpointed = gradients_of(run)
    assert len(plain) == len(checkpointed)
    assert all(torch.allclose(one, other, atol=1e-7) for one, other in zip(plain, checkpointed, strict=True))
    assert all(gradient.abs().sum() > 0 for gradient in plain)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what transformers thinks of its own names is nothing for a run's log
        for on in (True, True, False):  # the probe tries one way after the other
            use_fit(run, replace(run.fit, checkpointing=on))
    assert kept_by_text(run) == kept, "switched off, nothing is left of it"


def test_a_frozen_text_encoder_keeps_nothing_either_way(tmp_path: Path):
    run = ready(tmp_path, network_train_unet_only=True, gradient_checkpointing=True, shuffle_caption=True)
    assert not run.prompts.encode(["a zorbix, red"]).hidden_BLD.requires_grad
