"""The one place that knows in what the kinds of base models differ: how they are read, told, written and drawn with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from loratui_agent.train.conditioning import (
    Conditioning,
    TextEncoder,
    last_hidden_states,
    penultimate_hidden_states,
)
from loratui_protocol import architecture
from loratui_protocol.architecture import Architecture
from loratui_protocol.lora_names import lora_names

Pipeline: TypeAlias = StableDiffusionPipeline | StableDiffusionXLPipeline


def _as_it_is(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors of a text encoder under transformers' names, which they have behind the prefix."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if not name.endswith(".position_ids")  # counts from 0 to 76, and is made anew
    }


def _from_open_clip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    # The module is only asked for a width, and only if there is no projection.
    converted: dict[str, Tensor] = convert_open_clip_checkpoint(None, tensors, prefix=prefix)
    return converted


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPart:
    """One text encoder of a pipeline."""

    name: str
    """Its folder, and what pipelines call it."""
    tokenizer: str
    model: type[TextEncoder]
    prefix: str
    """What its tensors in a single file begin with."""
    convert: Callable[[dict[str, Tensor], str], dict[str, Tensor]] = _as_it_is
    """Give those tensors transformers' names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of base model as the trainer deals with it."""

    architecture: Architecture
    configs: Path
    """A diffusers folder of it without weights: what a single file does not say of itself."""
    text_parts: tuple[TextPart, ...]
    encode: Callable[[Sequence[TextEncoder], Sequence[Tensor], int | None], Conditioning]
    """Turn token ids, one (B, K, L) a text encoder, into what the UNet takes; the last argument is ``clip_skip``."""
    clip_skip: int | None
    """The only one there is; None: the config's."""
    pipeline: type[Pipeline]
    pipeline_arguments: Mapping[str, Any]
    base_model_version: str
    """kohya's ``ss_base_model_version``, by which loaders tell the kinds apart."""
    modelspec: str
    """The same for ``modelspec.architecture``."""
    is_large: bool
    """Whether it fits usual GPUs in 16 bits alone, and its pictures one at a time."""

    def lora_name(self, part: str, name: str) -> str:
        """Return kohya's name of a module; ``part`` is the model that has it under the dotted ``name``."""
        return lora_names(self.architecture, part, name)[0]


SD1 = Kind(
    architecture=architecture.SD1,
    configs=Path(__file__).parent / "sd15",
    text_parts=(
        TextPart(
            name="text_encoder",
            tokenizer="tokenizer",
            model=CLIPTextModel,
            prefix=architecture.SD1.text_prefixes[0],
        ),
    ),
    encode=last_hidden_states,
    clip_skip=None,
    pipeline=StableDiffusionPipeline,
    pipeline_arguments={"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False},
    base_model_version="sd_v1",
    modelspec="stable-diffusion-v1/lora",
    is_large=False,
)
SDXL = Kind(
    architecture=architecture.SDXL,
    configs=Path(__file__).parent / "sdxl",
    text_parts=(
        TextPart(
            name="text_encoder",
            tokenizer="tokenizer",
            model=CLIPTextModel,
            prefix=architecture.SDXL.text_prefixes[0],
        ),
        TextPart(
            name="text_encoder_2",
            tokenizer="tokenizer_2",
            model=CLIPTextModelWithProjection,
            prefix=architecture.SDXL.text_prefixes[1],
            convert=_from_open_clip,
        ),
    ),
    encode=penultimate_hidden_states,
    clip_skip=2,
    pipeline=StableDiffusionXLPipeline,
    pipeline_arguments={"add_watermarker": False},
    base_model_version="sdxl_base_v1-0",
    modelspec="stable-diffusion-xl-v1-base/lora",
    is_large=True,
)
_KINDS = {kind.architecture: kind for kind in (SD1, SDXL)}


def kind_of(architecture: Architecture) -> Kind:
    """Return how the trainer deals with an architecture."""
    return _KINDS[architecture]


def kind_of_pipeline(pipeline: Pipeline) -> Kind:
    """Return the kind of the model in a pipeline."""
    return next(kind for kind in _KINDS.values() if isinstance(pipeline, kind.pipeline))
