"""Reads the lists of the section ``evaluate``."""

import re
from typing import Any

from loratui_protocol.config_paths import Paths, absolute
from loratui_protocol.config_told import Told

_WEIGHTS = "[0, 0.5, 1]"


class Evaluate(Paths, Told):
    """Knows what is tried out, of one file."""

    def _read_evaluate_loras(self, value: Any) -> tuple[str, ...] | None:
        files = self._texts("evaluate_loras", value, '["my-style.safetensors"]')
        if files is None:
            return None
        here = [self._here("evaluate_loras", each) for each in files]
        return tuple(absolute(each, self._base) for each in here if each is not None)

    def _read_evaluate_prompts(self, value: Any) -> tuple[str, ...] | None:
        return self._texts("evaluate_prompts", value, '["{trigger} on a beach"]')

    def _read_evaluate_weights(self, value: Any) -> tuple[float, ...] | None:
        if isinstance(value, str) and re.fullmatch(r"\s*\d{1,4}(\.\d*)?\s*(,\s*\d{1,4}(\.\d*)?\s*)*", value):
            # As resolution is understood, too.
            value = [float(each) for each in value.split(",")]
        if isinstance(value, list) and all(type(each) in (int, float) for each in value):
            return tuple(map(float, value))
        self._wrong_type("evaluate_weights", value, "a list of numbers", _WEIGHTS)
        return None

    def _texts(self, key: str, value: Any, example: str) -> tuple[str, ...] | None:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self._wrong_type(key, value, "a list of texts", example)
        return None
