"""Models that look at pictures: DINO for what they show, CLIP for whether a text says so.

From folders, offline: what a hub has was downloaded before the trainer started.
"""

# N pictures or texts, C colour channels, S side in pixels, D width of the features

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModel, CLIPModel, CLIPTokenizer

from loratui_protocol.errors import ModelError
from loratui_protocol.feature_models import CONFIG, check_feature_folder, read_feature_config
from loratui_protocol.inputs import ModelPurpose

_BATCH_SIZE = 16
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Dino:
    """A vision transformer of the DINO family: features of what a picture shows, whatever words there are for it."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Load it.

        Raises:
            ModelError: it is not there, or incomplete.
        """
        self._model = _load(AutoModel, folder, ModelPurpose.DINO).to(device)
        with _translated(folder):
            self._look = _Look(folder, self._model.config)

    @torch.no_grad()
    def pictures(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Return (N, D) features of length 1 on the CPU."""
        found = []
        for batch in _batches(pictures):
            said = self._model(pixel_values=self._look(batch).to(self._model.device))
            pooled = getattr(said, "pooler_output", None)
            found.append(_unit(said.last_hidden_state[:, 0] if pooled is None else pooled))
        return torch.cat(found)


class Clip:
    """CLIP: features of pictures and of texts in one space."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Load it.

        Raises:
            ModelError: it is not there, or incomplete.
        """
        self._model = _load(CLIPModel, folder, ModelPurpose.CLIP).to(device)
        with _translated(folder):
            self._tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
            self._look = _Look(folder, self._model.config.vision_config)

    @torch.no_grad()
    def pictures(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Return (N, D) features of length 1 on the CPU."""
        model = self._model
        return torch.cat(
            [
                _unit(model.visual_projection(model.vision_model(self._look(batch).to(model.device)).pooler_output))
                for batch in _batches(pictures)
            ]
        )

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Return (N, D) features of length 1 on the CPU; of long texts the end is not read."""
        model = self._model
        read = self._tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to(model.device)
        return _unit(model.text_projection(model.text_model(**read).pooler_output))


class _Look:
    """Brings pictures to the size and range that a model was trained with, as its preprocessor's file says."""

    def __init__(self, folder: Path, config: Any) -> None:
        path = folder / "preprocessor_config.json"
        said = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        crop = said.get("crop_size") or config.image_size
        self._side = int(crop["height"] if isinstance(crop, dict) else crop)
        mean, deviation = said.get("image_mean", _IMAGENET[0]), said.get("image_std", _IMAGENET[1])
        self._mean_C11, self._deviation_C11 = (torch.tensor(each).reshape(3, 1, 1) for each in (mean, deviation))

    def __call__(self, pictures: Sequence[Image.Image]) -> Tensor:
        return torch.stack(list(self._each(pictures)))

    def _each(self, pictures: Sequence[Image.Image]) -> Iterator[Tensor]:
        for picture in pictures:
            # The whole picture, not its middle: a likeness at the edge counts, too.
            small = picture.convert("RGB").resize((self._side, self._side), Image.Resampling.BICUBIC)
            pixels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8)
            pixels_CSS = pixels.reshape(self._side, self._side, 3).permute(2, 0, 1).float() / 255
            yield (pixels_CSS - self._mean_C11) / self._deviation_C11


def _batches(pictures: Sequence[Image.Image]) -> Iterator[Sequence[Image.Image]]:
    for start in range(0, len(pictures), _BATCH_SIZE):
        yield pictures[start : start + _BATCH_SIZE]


def _load(kind: Any, folder: Path, purpose: ModelPurpose) -> Any:
    with _translated(folder):
        check_feature_folder(folder, purpose)
        # The first DINO calls itself like any other, and was never trained with a pooling layer.
        is_first_dino = read_feature_config(folder / CONFIG).get("model_type") == "vit"
        options = {"add_pooling_layer": False} if is_first_dino else {}
        # Never a pickle, which could run anything.
        model, loading = kind.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True, **options
        )
    if loading["missing_keys"] or loading["mismatched_keys"]:
        # transformers only logs this and goes on with random weights.
        missing = sorted(loading["missing_keys"])[:3]
        raise ModelError(f"{folder} lacks weights: {missing}", fix="download it again", code="judge.features")
    return model.eval()


@contextlib.contextmanager
def _translated(folder: Path) -> Iterator[None]:
    """Have whatever is wrong with a model's files be said as such: strangers wrote them."""
    try:
        yield
    except ModelError as error:
        raise ModelError(error.what, fix=error.fix, code="judge.features") from error
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{folder} can't be loaded: {error}", fix="name a folder that transformers loads", code="judge.features"
        ) from error


def _unit(features: Tensor) -> Tensor:
    return torch.nn.functional.normalize(features.float(), dim=-1).cpu()
