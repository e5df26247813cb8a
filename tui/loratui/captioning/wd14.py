"""Tags pictures with a WD14 tagger (SmilingWolf's v3 and whatever is made alike) through onnxruntime, on the CPU.

The model takes BGR from 0 to 255 and gives a probability for each row of ``selected_tags.csv``, which lies beside it.
"""

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loratui.captioning.pictures import opened
from loratui_protocol.errors import ModelError
from loratui_protocol.harmless import clean

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

MODEL_FILE, TAGS_FILE = "model.onnx", "selected_tags.csv"
GENERAL_THRESHOLD = 0.35
CHARACTER_THRESHOLD = 0.85
"""The defaults of SmilingWolf's own demonstration (Space wd-tagger, app.py); sd-scripts' tagger has 0.35, too."""
_GENERAL, _CHARACTER = 0, 4
"""Categories of Danbooru's; 9 is the rating, which says nothing of what a picture shows."""
_MAX_TAGS_BYTES = 8 << 20
_MAX_TAG_CHARS = 100
_MAX_THREADS = 4
"""More make no picture faster by much, and the machine is somebody's."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A row of the list: how it is written in captions, and its category."""

    text: str
    category: int


class Tagger:
    """A loaded model and its list of tags."""

    name = "wd14"

    def __init__(self, model: Path, threshold: float = GENERAL_THRESHOLD) -> None:
        """Load the model: a folder that holds it, or the ``.onnx`` file with the list beside it.

        Raises:
            ModelError: it is no such model, or its list is another model's.
        """
        path = model / MODEL_FILE if model.is_dir() else model
        self._thresholds = {_GENERAL: threshold, _CHARACTER: max(threshold, CHARACTER_THRESHOLD)}
        self._tags = read_tags(path.with_name(TAGS_FILE))
        self._session = _session(path)
        taken, given = self._session.get_inputs(), self._session.get_outputs()
        shape = taken[0].shape if len(taken) == 1 else []
        side = shape[1] if len(shape) == 4 else None
        if not isinstance(side, int) or shape[2:] != [side, 3] or len(given) != 1:
            raise _no_tagger(path, f"it takes {[each.shape for each in taken]}, a tagger squares of three colours")
        if isinstance(given[0].shape[-1], int) and given[0].shape[-1] != len(self._tags):
            raise _no_tagger(path, f"it knows {given[0].shape[-1]} tags, {TAGS_FILE} beside it has {len(self._tags)}")
        self._input, self._side_px = taken[0].name, side

    def caption(self, path: Path) -> str:
        """Return the tags of a picture, the surest first; errors as in ``Captioner``."""
        return ", ".join(text for text, _ in self.tags(path))

    def tags(self, path: Path) -> list[tuple[str, float]]:
        """Return the tags of a picture and the probability of each, the surest first; errors as in ``Captioner``."""
        picture = squared(opened(path), self._side_px)
        (given,) = self._session.run(None, {self._input: picture[None]})
        scores = [float(score) for score in given.reshape(-1)]
        if len(scores) != len(self._tags) or not all(0 <= score <= 1 for score in scores):
            raise _no_tagger(path, f"what it gives are no probabilities of the {len(self._tags)} tags")
        chosen = [
            (tag.text, score)
            for tag, score in zip(self._tags, scores, strict=True)
            if score >= self._thresholds.get(tag.category, 2)
        ]
        return sorted(chosen, key=lambda each: -each[1])


def squared(picture: "Image", side_px: int) -> "np.ndarray[Any, Any]":
    """Return a picture as the model wants it, (side, side, 3): in the middle of a white square, BGR, float32 to 255."""
    import numpy as np
    from PIL import Image

    longest = max(picture.size)
    square = Image.new("RGB", (longest, longest), "white")
    square.paste(picture, ((longest - picture.width) // 2, (longest - picture.height) // 2))
    if longest != side_px:
        square = square.resize((side_px, side_px), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(square, dtype=np.float32)[:, :, ::-1])


def read_tags(path: Path) -> list[Tag]:
    """Return the list of tags, a row for each output of the model.

    Raises:
        ModelError: it is missing, or no such list.
    """
    try:
        if path.stat().st_size > _MAX_TAGS_BYTES:
            raise _no_list(path, f"it has {path.stat().st_size} bytes")
        rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
        return [Tag(written(row["name"]), int(row["category"])) for row in rows]
    except OSError as error:
        raise _no_list(path, error.strerror or str(error)) from error
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise _no_list(path, f"it is no table with the columns name and category ({error})") from error


def written(tag: str) -> str:
    """Return a tag as captions have it: words apart; a face, such as ``>_<`` or ``o_o``, is left as it is."""
    text = clean(tag, _MAX_TAG_CHARS).replace("\n", " ").replace(",", " ").strip()
    sides = text.split("_")
    is_face = len(sides) == 2 and all(sum(char.isalnum() for char in side) <= 1 for side in sides)
    return text if is_face else " ".join(filter(None, sides))


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(_MAX_THREADS, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    # What it warns of concerns those who make models.
    options.log_severity_level = 3
    if not path.is_file():
        raise ModelError(
            f"there is no {path.name} in {path.parent}",
            fix=f"give a folder with {MODEL_FILE} and {TAGS_FILE}, or the .onnx file",
            code="model.missing",
        )
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    # Its errors have no class in common but this one.
    except Exception as error:
        raise _no_tagger(path, clean(str(error), 200)) from error


def _no_tagger(path: Path, why: str) -> ModelError:
    return ModelError(
        f"{path.name} is no WD14 tagger: {why}",
        fix="give a model by SmilingWolf, or one that is made alike",
        code="model.tagger",
    )


def _no_list(path: Path, why: str) -> ModelError:
    return ModelError(
        f"{path} can't be read: {why}",
        fix=f"put the model's own {TAGS_FILE} beside it: without it nobody knows what it says",
        code="model.tags",
    )
