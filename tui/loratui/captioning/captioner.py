"""What drafts captions: the models that can be named, and what each of them needs."""

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loratui_protocol.errors import ExtraMissingError


class Captioner(Protocol):
    """A model that is loaded, and describes one picture after the other."""

    @property
    def name(self) -> str:
        """Return what its drafts are marked with."""

    def caption(self, path: Path) -> str:
        """Return a caption in one line; empty: it has nothing to say.

        Raises:
            DatasetError: the picture can't be read.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of captioner: which model it takes where none is named, and what has to be installed for it."""

    name: str
    hub_id: str
    packages: tuple[str, ...]
    extra: str
    writes_tags: bool = False


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            name="wd14",
            hub_id="SmilingWolf/wd-swinv2-tagger-v3",
            packages=("onnxruntime",),
            extra="caption",
            writes_tags=True,
        ),
        Kind(
            name="florence2",
            # Microsoft's own files need code from the hub to be run; these are the same weights for transformers' own.
            hub_id="florence-community/Florence-2-base",
            packages=("torch", "transformers"),
            extra="agent",
        ),
        Kind(
            name="blip",
            # The base model has its weights as a pickle alone, which is never loaded.
            hub_id="Salesforce/blip-image-captioning-large",
            packages=("torch", "transformers"),
            extra="agent",
        ),
    )
}


def check_installed(kind: Kind) -> None:
    """Return if this Python can run the model, without importing any of what that takes.

    Raises:
        ExtraMissingError: with the command that installs what is missing.
    """
    missing = [name for name in kind.packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ExtraMissingError(
            f"captions by {kind.name} need {', '.join(missing)}, which is not installed",
            fix=f'{sys.executable} -m pip install "loratui[{kind.extra}]"',
            code=f"extra.{kind.extra}",
        )


def load(kind: Kind, model: Path, threshold: float | None) -> Captioner:
    """Return the captioner whose model is in this folder or file; ``threshold`` is for tags alone.

    Raises:
        ModelError: it is none, or not of this kind.
    """
    if kind.writes_tags:
        from loratui.captioning.wd14 import GENERAL_THRESHOLD, Tagger

        return Tagger(model, GENERAL_THRESHOLD if threshold is None else threshold)
    from loratui.captioning.prose import Describer

    return Describer(model, kind.name)
