"""What the UNet is told: of the caption by the text encoders, and with SDXL of the picture's sizes too."""

# B batch, K chunks of a text, L tokens, D width, P width of the pooled text, S the six numbers of the sizes

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from loratui_protocol.buckets import Placement
from loratui_protocol.dataset import Picture

TextEncoder: TypeAlias = CLIPTextModel | CLIPTextModelWithProjection


@dataclass(frozen=True, slots=True)
class Conditioning:
    """The text of a batch as the UNet takes it."""

    hidden_BLD: Tensor
    """``encoder_hidden_states``."""
    pooled_BP: Tensor | None = None
    """One vector a caption: SDXL's ``text_embeds``. None with Stable Diffusion 1.x."""

    def to(self, device: torch.device | str) -> "Conditioning":
        """Return the same on a device."""
        return Conditioning(self.hidden_BLD.to(device), None if self.pooled_BP is None else self.pooled_BP.to(device))

    def rows(self, rows: slice) -> "Conditioning":
        """Return the part of the batch that the slice gives."""
        return Conditioning(self.hidden_BLD[rows], None if self.pooled_BP is None else self.pooled_BP[rows])

    def added_cond_kwargs(self, time_ids: Sequence[tuple[int, ...]]) -> dict[str, Tensor] | None:
        """Return the UNet's argument of that name; ``time_ids`` holds the sizes of each picture, see ``time_ids``."""
        if self.pooled_BP is None:
            return None
        # Not in 16 bits: they would round the sizes.
        time_ids_BS = torch.tensor(time_ids, dtype=torch.float32, device=self.pooled_BP.device)
        return {"text_embeds": self.pooled_BP, "time_ids": time_ids_BS}


def stack(conditionings: Sequence[Conditioning]) -> Conditioning:
    """Return several batches as one."""
    pooled = [each.pooled_BP for each in conditionings if each.pooled_BP is not None]
    return Conditioning(torch.cat([each.hidden_BLD for each in conditionings]), torch.cat(pooled) if pooled else None)


def time_ids(picture: Picture, placement: Placement, *, mirrored: bool) -> tuple[int, ...]:
    """Return SDXL's sizes: original height and width, top and left of the crop, height and width of the bucket.

    The crop is where the picture was cut in truth. sd-scripts computes one that fits a padded picture.
    """
    left, top, right, _ = placement.crop
    if mirrored:
        left = placement.resized[0] - right
    width, height = placement.bucket
    return picture.height, picture.width, top, left, height, width


def last_hidden_states(
    text_encoders: Sequence[TextEncoder], ids: Sequence[Tensor], clip_skip: int | None
) -> Conditioning:
    """Encode as Stable Diffusion 1.x does: the output of the only text encoder.

    ``clip_skip`` n takes the hidden state n layers from the end, with the final layer norm, as A1111 and kohya do.
    """
    [text_encoder], [ids_BKL] = text_encoders, ids
    ids_NL = ids_BKL.flatten(0, 1).to(text_encoder.device)
    if clip_skip is None or clip_skip == 1:
        return Conditioning(_one_text(text_encoder(ids_NL)[0], ids_BKL.shape[1]))
    states = text_encoder(ids_NL, output_hidden_states=True).hidden_states
    norm = getattr(text_encoder, "text_model", text_encoder).final_layer_norm
    # Under autocast the states come in float32, whatever the weights are.
    return Conditioning(_one_text(norm(states[-clip_skip].to(norm.weight.dtype)), ids_BKL.shape[1]))


def penultimate_hidden_states(
    text_encoders: Sequence[TextEncoder],
    ids: Sequence[Tensor],
    clip_skip: int | None,  # noqa: ARG001 - SDXL's UNet knows the penultimate states alone
) -> Conditioning:
    """Encode as SDXL does: the penultimate states of both, side by side, without the final layer norm.

    The pooled text is that of the first chunk.
    """
    outputs = [
        text_encoder(ids_BKL.flatten(0, 1).to(text_encoder.device), output_hidden_states=True)
        for text_encoder, ids_BKL in zip(text_encoders, ids, strict=True)
    ]
    num_chunks = ids[0].shape[1]
    hidden_NLD = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
    return Conditioning(_one_text(hidden_NLD, num_chunks), outputs[-1].text_embeds[::num_chunks])


def _one_text(hidden_NLD: Tensor, num_chunks: int) -> Tensor:
    """Return the states of chunks as those of whole texts: the first one's start, the last one's end, none between."""
    if num_chunks == 1:
        return hidden_NLD
    hidden_BKLD = hidden_NLD.reshape(-1, num_chunks, *hidden_NLD.shape[1:])
    inner_BLD = hidden_BKLD[:, :, 1:-1].flatten(1, 2)
    return torch.cat((hidden_BKLD[:, 0, :1], inner_BLD, hidden_BKLD[:, -1, -1:]), dim=1)
