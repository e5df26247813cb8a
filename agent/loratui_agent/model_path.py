"""Names of base models and the folders or files behind them. Imports no torch: the supervisor answers with it too."""

from pathlib import Path

from loratui_protocol.base_model import BUILTIN_PREFIX
from loratui_protocol.errors import ModelError
from loratui_protocol.single_file import local_model

BUILTIN_MODELS = {"tiny": Path(__file__).parent / "demo" / "tiny"}


def resolve_model(name_or_path: str, *, text_width: int | None = None) -> Path:
    """Return the folder of ``builtin:NAME``, or the folder or file of a path.

    Raises:
        ModelError: there is no such built-in model or path, or the file is no checkpoint that can be trained.
    """
    if name_or_path.startswith(BUILTIN_PREFIX):
        name = name_or_path.removeprefix(BUILTIN_PREFIX)
        if name not in BUILTIN_MODELS:
            known = ", ".join(BUILTIN_PREFIX + known for known in BUILTIN_MODELS)
            raise ModelError(f"there is no built-in model {name!r}", fix=f"known: {known}", code="model.unknown")
        return BUILTIN_MODELS[name]
    return local_model(name_or_path, text_width=text_width)
