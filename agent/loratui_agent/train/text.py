"""Captions to token ids, and those to what the UNet is told: cached where no text encoder learns."""

# B batch, L tokens

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from transformers import CLIPTokenizer

from loratui_agent.train.conditioning import Conditioning, stack
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


class Prompts:
    """What the UNet is told of captions: cached when the text encoders are frozen, computed when one learns."""

    def __init__(self, models: Models, *, trained: bool, clip_skip: int | None) -> None:
        """Raise ConfigError if the text encoder has fewer layers than ``clip_skip``."""
        num_layers = min(text_encoder.config.num_hidden_layers for text_encoder in models.text_encoders.values())
        if (clip_skip or 1) > num_layers:
            raise ConfigError(
                f"clip_skip = {clip_skip} is not possible: the text encoder has {num_layers} layers",
                fix=f"clip_skip must be at most {num_layers}; 1 or 2 is usual",
                code="config.value",
            )
        self._models = models
        self._trained = trained
        self._clip_skip = clip_skip
        self._cache: dict[str, Conditioning] = {}
        self._ahead: dict[str, Conditioning] = {}

    @torch.no_grad()
    def prepare(self, captions: Sequence[str]) -> None:
        """Encode every distinct caption once, unless a text encoder is trained."""
        if self._trained:
            return
        for caption in sorted(set(captions)):
            self._cache[caption] = self._encode([caption])

    @torch.no_grad()
    def encode_ahead(self, captions: Iterable[str], device: torch.device) -> None:
        """Encode what the next steps show and forget the last ones'; the text encoders are on the device meanwhile."""
        for text_encoder in self._models.text_encoders.values():
            text_encoder.to(device)
        self._ahead = {
            caption: self._encode([caption]) for caption in sorted(set(captions)) if caption not in self._cache
        }
        for text_encoder in self._models.text_encoders.values():
            text_encoder.to("cpu")

    def encode(self, captions: Sequence[str]) -> Conditioning:
        """Return the conditioning of a batch; with gradients when a text encoder is trained."""
        known = self._cache | self._ahead
        if all(caption in known for caption in captions):
            return stack([known[caption] for caption in captions])
        if not self._models.text_encoders:
            raise ValueError("a caption that was not prepared, and the text encoders are freed")
        return self._encode(captions)

    def _encode(self, captions: Sequence[str]) -> Conditioning:
        models = self._models
        ids = [tokenize(tokenizer, captions) for tokenizer in models.tokenizers.values()]
        return models.kind.encode(list(models.text_encoders.values()), ids, self._clip_skip)
