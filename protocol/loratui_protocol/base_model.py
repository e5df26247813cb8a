"""How a config names its base model: a built-in one, or a folder."""

from pathlib import Path

from loratui_protocol.errors import ModelError

BUILTIN_PREFIX = "builtin:"


def model_folder(path: str) -> Path:
    """Return the folder that a config names, on this machine.

    Raises:
        ModelError: there is no such folder.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise ModelError(
            f"the base model {path} is no folder on this machine",
            fix="give the path of a diffusers folder, or builtin:tiny",
            code="model.missing",
        )
    return folder.resolve()
