"""Captions to token ids, and those to what the UNet is told: cached where no text encoder learns."""

# B batch, K chunks of a text, L tokens

from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from transformers import CLIPTokenizer

from loratui_agent.train.conditioning import Conditioning, stack
from loratui_agent.train.models import Models
from loratui_protocol.errors import ConfigError


def tokenize(tokenizer: CLIPTokenizer, captions: Sequence[str], max_token_length: int | None = None) -> Tensor:
    """Return token ids, shape (B, L), with start and end, padded and cut to ``max_token_length``; None: the model's."""
    ids: Tensor = tokenizer(
        list(captions),
        padding="max_length",
        max_length=tokenizer.model_max_length if max_token_length is None else max_token_length + 2,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    return ids


def tokenize_in_chunks(tokenizer: CLIPTokenizer, captions: Sequence[str], max_token_length: int | None) -> Tensor:
    """Return token ids, shape (B, K, L): as many chunks as ``max_token_length`` tokens take, each with start and end.

    They are cut and padded as sd-scripts does it: anywhere, in the middle of a word too.
    """
    ids_BL = tokenize(tokenizer, captions, max_token_length)
    inner_BKL = ids_BL[:, 1:-1].reshape(len(captions), -1, tokenizer.model_max_length - 2)
    if inner_BKL.shape[1] == 1:
        return ids_BL[:, None]
    start_BK1, last_BK1 = (ids_BL[:, [at], None].expand(-1, inner_BKL.shape[1], -1) for at in (0, -1))
    chunks_BKL = torch.cat((start_BK1, inner_BKL, last_BK1), dim=-1)
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    # SDXL's second tokenizer pads with another token than the end: a chunk that is full, or empty, has none yet.
    chunks_BKL[..., -1].masked_fill_((inner_BKL[..., -1] != end) & (inner_BKL[..., -1] != pad), end)
    chunks_BKL[..., 1].masked_fill_(inner_BKL[..., 0] == pad, end)
    return chunks_BKL


def num_cut_captions(tokenizer: CLIPTokenizer, captions: Sequence[str], max_token_length: int) -> int:
    """Return how many captions are longer than ``max_token_length``."""
    counts = Counter(captions)
    lengths = {caption: len(tokenizer(caption, truncation=False, verbose=False).input_ids) - 2 for caption in counts}
    return sum(count for caption, count in counts.items() if lengths[caption] > max_token_length)


class Prompts:
    """What the UNet is told of captions: cached when the text encoders are frozen, computed when one learns."""

    def __init__(
        self, models: Models, *, trained: bool, clip_skip: int | None, max_token_length: int | None = None
    ) -> None:
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
        self._max_token_length = max_token_length
        # In the machine's memory: the device's is for training.
        self._cache: dict[str, Conditioning] = {}
        self._ahead: dict[str, Conditioning] = {}

    @torch.no_grad()
    def prepare(self, captions: Sequence[str]) -> None:
        """Encode every distinct caption once, unless a text encoder is trained."""
        if self._trained:
            return
        for caption in sorted(set(captions)):
            self._cache[caption] = self._encode([caption]).to("cpu")

    @torch.no_grad()
    def encode_ahead(self, captions: Iterable[str], device: torch.device) -> None:
        """Encode what the next steps show and forget the last ones'; the text encoders are on the device meanwhile."""
        for text_encoder in self._models.text_encoders.values():
            text_encoder.to(device)
        new = sorted({caption for caption in captions if caption not in self._cache})
        self._ahead = {caption: self._encode([caption]).to("cpu") for caption in new}
        for text_encoder in self._models.text_encoders.values():
            text_encoder.to("cpu")

    def encode(self, captions: Sequence[str]) -> Conditioning:
        """Return the conditioning of a batch; with gradients when a text encoder is trained."""
        known = [self._cache.get(caption) or self._ahead.get(caption) for caption in captions]
        if None not in known:
            return stack([each for each in known if each is not None]).to(self._models.unet.device)
        if not self._models.text_encoders:
            raise ValueError("a caption that was not prepared, and the text encoders are freed")
        return self._encode(captions)

    def _encode(self, captions: Sequence[str]) -> Conditioning:
        models = self._models
        ids = [
            tokenize_in_chunks(tokenizer, captions, self._max_token_length) for tokenizer in models.tokenizers.values()
        ]
        return models.kind.encode(list(models.text_encoders.values()), ids, self._clip_skip)
