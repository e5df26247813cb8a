"""Where a config's paths lead: from its own folder, unless they are another machine's."""

from pathlib import Path, PureWindowsPath
from typing import Any

from loratui_protocol.base_model import BUILTIN_PREFIX
from loratui_protocol.config_told import Told
from loratui_protocol.config_write import toml_value
from loratui_protocol.harmless import clean
from loratui_protocol.known_models import current_address

_BASE_MODEL = "pretrained_model_name_or_path"
_MODELS = (_BASE_MODEL, "evaluate_dino", "evaluate_clip")
"""What a hub may have."""
_KEYS = frozenset(
    {
        *("image_dir", "train_data_dir", "reg_data_dir", "conditioning_data_dir", "network_weights"),
        *(*_MODELS, "output_dir", "evaluate_together"),
    }
)
_HAS_DRIVES = isinstance(Path(), PureWindowsPath)
_MAX_SHOWN_CHARS = 200


class Paths(Told):
    """Knows the paths of one file."""

    _base: Path
    """The folder that relative ones count from."""

    def _path(self, key: str, value: Any) -> Any:
        """Return a value, and a path in whole; None where its key is better unset."""
        if key not in _KEYS or (key == _BASE_MODEL and value.startswith(BUILTIN_PREFIX)):
            return value
        here = self._here(key, value)
        if here is None:
            return None if key == "output_dir" else value
        path = absolute(here, self._base)
        # A hub id looks like a relative path; it is one if there is something at it.
        if key not in _MODELS or here.startswith((".", "~")) or _exists(path):
            return path
        return self._address(key, here) if key == _BASE_MODEL else here

    def _here(self, key: str, value: str) -> str | None:
        """Return a path as this machine writes it; None: it is another machine's, from here it leads nowhere."""
        if is_elsewhere(value):
            self._tell_elsewhere(key, clean(value, _MAX_SHOWN_CHARS))
            return None
        if "\\" not in value or _HAS_DRIVES or _exists(absolute(value, self._base)):
            return value
        here = value.replace("\\", "/")
        self._warn(
            "config.backslash",
            f"{key}{self._where(key)} is read as {clean(here, _MAX_SHOWN_CHARS)}: this machine separates folders by /",
            f"write {key} = {toml_value(here)}",
            fixable=self._correct(key, f"{key} = {toml_value(here)}", "this machine separates folders by /"),
        )
        return here

    def _tell_elsewhere(self, key: str, value: str) -> None:
        name = self.names.get(key, key)
        what = f"{key}{self._where(key)} is {value}, a path of another machine, which has Windows"
        if key == "output_dir":
            fix = f"name a folder of this machine as {name}, or remove it"
            self._warn("config.other_machine", f"{what}: the files stay in the run's own folder", fix)
            return
        example = PureWindowsPath(value).name or "pictures"
        fix = f'write {name} = "{example}" if it lies beside the config here, and otherwise its whole path here'
        self._refuse("config.other_machine", what, fix)

    def _address(self, key: str, value: str) -> str:
        current = current_address(value)
        if current != value:
            self._warn(
                "model.moved",
                f"{key}{self._where(key)} is read as {current}: {value.partition('#')[0]} is gone, or a page",
                f'write {key} = "{current}"',
                fixable=self._correct(key, f"{key} = {toml_value(current)}", "the old address is gone, or a page"),
            )
        return current


def absolute(value: str, base: Path) -> str:
    """Return a path in whole; a relative one counts from ``base``."""
    try:
        path = Path(value).expanduser() if value.startswith("~") else Path(value)
    except RuntimeError:  # "~name" of a user who is not there
        path = Path(value)
    return str(path) if path.is_absolute() else str((base / path).resolve())


def is_elsewhere(value: str) -> bool:
    """Return whether a path begins with a drive or a server, and this machine has none: it was written on Windows."""
    return PureWindowsPath(value).is_absolute() and not _HAS_DRIVES


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # too long to be a path
        return False
