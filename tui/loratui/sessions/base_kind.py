"""Of which kind a run's base model is, and what it predicts, as far as this machine can tell without asking anyone."""

from pathlib import Path

from loratui.domain.base_kinds import TINY, BaseKind, kind_of
from loratui_protocol.base_model import BUILTIN_PREFIX
from loratui_protocol.errors import ModelError
from loratui_protocol.known_models import known_architecture, known_prediction
from loratui_protocol.single_file import Prediction, local_architecture, local_prediction


def kind_told_here(name: str) -> BaseKind | None:
    """Return the kind of a base model as a config names it, None where that would have to be asked, or is not clear."""
    if name.startswith(BUILTIN_PREFIX):
        return TINY
    if not Path(name).expanduser().exists():
        known = known_architecture(name)
        return kind_of(known) if known else None
    try:
        return kind_of(local_architecture(name))
    except ModelError:
        return None


def prediction_told_here(name: str) -> Prediction | None:
    """Return what a base model predicts, as its files say or as it is known to; None: it would have to be asked."""
    if name.startswith(BUILTIN_PREFIX):
        return None
    if not Path(name).expanduser().exists():
        return known_prediction(name)
    try:
        return local_prediction(name)
    except ModelError:
        return None
