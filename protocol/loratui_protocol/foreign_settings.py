"""What the readers of foreign configs share: each key is taken once, and ends as a setting, a finding or a problem."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from loratui_protocol.config_reading import TYPES
from loratui_protocol.config_told import Told

_MAX_NUMBER_CHARS = 60
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.IGNORECASE)
_FLAGS = {"true": True, "false": False}
_MAX_SHOWN_CHARS = 60


class Settings(Told):
    """Takes the keys of one file to ``values`` under our names; what is not taken is unknown in the end."""

    program = ""
    """Whose file it is, for what is told."""

    def __init__(self, given: Mapping[str, Any], text: str) -> None:
        super().__init__(text)
        self.values: dict[str, Any] = {}
        self.claims_sdxl: bool | None = None
        self._left = dict(given)
        self._idle: list[str] = []
        self._off: list[str] = []

    def read(self) -> None:
        """Fill ``values``, ``findings`` and ``problems``."""
        raise NotImplementedError

    def _take(self, name: str, default: Any = None) -> Any:
        """Return a key's value, which the caller accounts for; unset ones are among those that say nothing."""
        if self._left.get(name) in (None, ""):
            self._pass_over([name])
            return default
        if is_off(self._left[name]):
            self._off.append(name)
        return self._left.pop(name)

    def _pass_over(self, names: Iterable[str]) -> None:
        """Count the keys, as far as they are there, among those that say nothing."""
        passed = frozenset(names)
        for name in [name for name in self._left if name in passed]:
            del self._left[name]
            self._idle.append(name)

    def _drop_unset(self) -> None:
        self._pass_over([name for name, value in self._left.items() if value is None or value in ("", [], {})])

    def _tell_idle(self) -> None:
        """Tell once of all the keys that say nothing to a training here, of what is off as far as it set nothing."""
        used = {*self.values, *self.names.values()}
        self._idle += [name for name in self._off if name not in used]
        if self._idle:
            names = ", ".join(dict.fromkeys(self._idle))
            self._note(
                "config.gui_keys",
                f"{len(set(self._idle))} keys of {self.program} are left out: unset, or nothing to a training here "
                f"({names})",
                "nothing is to be done",
            )

    def _set(self, key: str, value: Any, name: str = "") -> None:
        """Set one of our keys; text that is a number, or a flag, in whole becomes one where the key wants it.

        ``name`` is what the file calls it.
        """
        self.values[key] = fitting(key, value)
        if name:
            self.names[key] = name


def fitting(key: str, value: Any) -> Any:
    """Return the value as the key's type, where it certainly is one; otherwise as it is, to be refused."""
    accepted = TYPES.get(key, (int, float, bool))
    if isinstance(value, float) and float not in accepted and value.is_integer():
        return int(value)
    if not isinstance(value, str) or str in accepted or len(value) > _MAX_NUMBER_CHARS:
        return value
    if value.strip().lower() in _FLAGS and bool in accepted:
        return _FLAGS[value.strip().lower()]
    if _WHOLE.fullmatch(value) and (int in accepted or float in accepted):
        return int(value.strip())
    if _NUMBER.fullmatch(value):
        number = float(value.strip())
        if float in accepted:
            return number
        if int in accepted and number.is_integer():
            return int(number)
    return value


def number(value: Any) -> float | None:
    """Return the number that a value is, as one or as text; None: it is none, or not finite."""
    if isinstance(value, str) and len(value) <= _MAX_NUMBER_CHARS and _NUMBER.fullmatch(value):
        value = float(value.strip())
    try:
        found = float(value) if type(value) in (int, float) else math.inf
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def is_off(value: Any) -> bool:
    """Return whether a value asks for nothing."""
    return value in (None, False, 0, "", [], {}, "0", "0.0", "none", "None", "False", "false", "NONE", "OFF")


def shown(value: Any) -> str:
    """Return a value for a sentence, on one line and not too long."""
    return re.sub(r"[^\x20-\x7e\xa0-\u200a\u2030-\ud7ff]", "?", str(value)[: _MAX_SHOWN_CHARS * 2])[:_MAX_SHOWN_CHARS]
