"""Captions to the UNet's encoder_hidden_states."""

# B batch, L tokens, D width

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from loratui_agent.train.models import Models
from loratui_protocol.errors import ConfigError


def tokenize(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> Tensor:
    """Return token ids, shape (B, L), padded and cut to the model's length."""
    encoded = tokenizer(
        list(captions),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    ids: Tensor = encoded.input_ids
    return ids


def num_cut_captions(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> int:
    """Return how many captions are longer than the model reads."""
    lengths = (len(tokenizer(caption, truncation=False, verbose=False).input_ids) for caption in set(captions))
    return sum(length > tokenizer.model_max_length for length in lengths)


def encode(text_encoder: CLIPTextModel, ids_BL: Tensor, clip_skip: int | None) -> Tensor:
    """Return encoder_hidden_states, shape (B, L, D).

    ``clip_skip`` n takes the hidden state n layers from the end, with the final layer norm, as A1111 and kohya do.
    """
    ids = ids_BL.to(text_encoder.device)
    if clip_skip is None or clip_skip == 1:
        hidden: Tensor = text_encoder(ids)[0]
        return hidden
    states = text_encoder(ids, output_hidden_states=True).hidden_states
    inner = getattr(text_encoder, "text_model", text_encoder)
    norm = inner.final_layer_norm
    # Under autocast the states come in float32, whatever the weights are.
    normed: Tensor = norm(states[-clip_skip].to(norm.weight.dtype))
    return normed


class Prompts:
    """Hidden states of captions: cached when the text encoder is frozen, computed when it learns."""

    def __init__(self, models: Models, *, trained: bool, clip_skip: int | None) -> None:
        """Raise ConfigError if the text encoder has fewer layers than ``clip_skip``."""
        assert models.text_encoder is not None
        num_layers = models.text_encoder.config.num_hidden_layers
        if (clip_skip or 1) > num_layers:
            raise ConfigError(
                f"clip_skip = {clip_skip} is not possible: the text encoder has {num_layers} layers",
                fix=f"clip_skip must be at most {num_layers}; 1 or 2 is usual",
                code="config.value",
            )
        self._models = models
        self._trained = trained
        self._clip_skip = clip_skip
        self._cache: dict[str, Tensor] = {}

    @torch.no_grad()
    def prepare(self, captions: Sequence[str]) -> None:
        """Encode every distinct caption once, unless the text encoder is trained."""
        assert self._models.text_encoder is not None
        if self._trained:
            return
        for caption in sorted(set(captions)):
            ids = tokenize(self._models.tokenizer, [caption])
            self._cache[caption] = encode(self._models.text_encoder, ids, self._clip_skip)[0]

    def encode(self, captions: Sequence[str]) -> Tensor:
        """Return encoder_hidden_states, shape (B, L, D); with gradients when the text encoder is trained."""
        if all(caption in self._cache for caption in captions):
            return torch.stack([self._cache[caption] for caption in captions])
        if self._models.text_encoder is None:
            raise ValueError("a caption that was not prepared, and the text encoder is freed")
        return encode(self._models.text_encoder, tokenize(self._models.tokenizer, captions), self._clip_skip)
