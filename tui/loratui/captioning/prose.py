"""Describes pictures in sentences with a model of BLIP's or Florence-2's class, where torch is installed anyway.

Only transformers' own code and safetensors are used: no code of a model's author is run, and nothing is unpickled.
"""

import re
from pathlib import Path
from typing import Any

from loratui.captioning.pictures import opened
from loratui_protocol.errors import ModelError
from loratui_protocol.harmless import clean

_MAX_NEW_TOKENS = 120
"""More than a text encoder reads of two chunks."""
_NUM_BEAMS = 3
_TASKS = {"florence2": "<DETAILED_CAPTION>"}
"""What Florence-2 is asked in so many words; BLIP describes what it sees without being asked."""
_OPENING = re.compile(r"^(?:the|this) (?:image|photo|picture) (?:shows|features|depicts|is of)\s+", re.IGNORECASE)


class Describer:
    """A loaded model."""

    def __init__(self, folder: Path, model_type: str) -> None:
        """Load the model; ``model_type`` is what its config must say.

        Raises:
            ModelError: it can't be loaded, or is of another kind.
        """
        from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
        from transformers.utils import logging

        # Weights are loaded in a moment; the bars for it would stay on the screen.
        logging.disable_progress_bar()
        logging.set_verbosity_error()
        self.name = model_type
        try:
            config: Any = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            if config.model_type != model_type:
                raise _not_loaded(folder, f"it is a model of the kind {clean(str(config.model_type), 40)}", model_type)
            self._processor: Any = AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            self._model: Any = AutoModelForImageTextToText.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype="float32"
            ).eval()
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            raise _not_loaded(folder, clean(str(error), 300), model_type) from error

    def caption(self, path: Path) -> str:
        """Return a description of a picture; errors as in ``Captioner``."""
        import torch

        task = _TASKS.get(self.name)
        asked = {"text": task} if task else {}
        given = self._processor(images=opened(path), return_tensors="pt", **asked)
        with torch.inference_mode():
            ids = self._model.generate(**given, max_new_tokens=_MAX_NEW_TOKENS, num_beams=_NUM_BEAMS, do_sample=False)
        (text,) = self._processor.batch_decode(ids, skip_special_tokens=True)
        return tidy(text)


def tidy(text: str) -> str:
    """Return a model's sentences as a caption: in one line, without the words that say that it is a picture."""
    return _OPENING.sub("", " ".join(clean(text).split()))


def _not_loaded(folder: Path, why: str, model_type: str) -> ModelError:
    return ModelError(
        f"{folder} can't be used as a {model_type} model: {why}",
        fix="give a folder in transformers' format, with model.safetensors and no code of its own",
        code="model.captioner",
    )
