"""The base models that come with the program: the agent's package has their files, and is never imported here."""

import importlib.util
from pathlib import Path

from loratui_protocol.base_model import BUILTIN_PREFIX
from loratui_protocol.errors import ModelError


def built_in_model(model: str) -> Path:
    """Return the folder of a model that a config names as ``builtin:NAME``.

    Raises:
        ModelError: there is no such model.
    """
    spec = importlib.util.find_spec("loratui_agent")
    name = model.removeprefix(BUILTIN_PREFIX)
    for place in spec.submodule_search_locations or () if spec else ():
        folder = Path(place) / "demo" / name
        if name.isidentifier() and (folder / "model_index.json").is_file():
            return folder
    raise ModelError(f"there is no built-in model {name!r}", fix="builtin:tiny is one", code="model.unknown")
