"""What there is to tell of a config file while it is read: findings, and problems that refuse it."""

import math
import re
from dataclasses import dataclass
from typing import Any

from loratui_protocol.config_write import toml_value
from loratui_protocol.findings import Finding


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a config is refused."""

    code: str
    what: str
    fix: str


class Told:
    """Collects what is found in one file."""

    def __init__(self, text: str) -> None:
        """``text`` is the file's own, for the numbers of its lines."""
        self.findings: list[Finding] = []
        self.problems: list[Problem] = []
        self._text = text

    def _where(self, key: str) -> str:
        """Return the line of a key in words, as far as it is found."""
        lines = [
            number
            for number, line in enumerate(self._text.splitlines(), 1)
            if re.match(rf"""\s*["']?{re.escape(key)}["']?\s*[=.]""", line)
        ]
        return f" (line {lines[-1]})" if lines else ""

    def _warn(self, code: str, what: str, fix: str) -> None:
        self.findings.append(Finding(code=code, severity="warning", what=what, fix=fix))

    def _refuse(self, code: str, what: str, fix: str) -> None:
        self.problems.append(Problem(code, what, fix))

    def _wrong_type(self, key: str, value: Any, wanted: str, example: str) -> None:
        self._refuse(
            "config.type", f"{key}{self._where(key)} is {shown(value)}; {wanted} is wanted", f"write {key} = {example}"
        )


def shown(value: Any) -> str:
    """Return a value as it is written, and what kind of value that is."""
    kind = {str: "a text", bool: "a flag", int: "a whole number", float: "a number", list: "a list", dict: "a table"}
    name = kind.get(type(value), "a date")
    return name if isinstance(value, dict) else f"{toml_value(value)[:80]}, {name}"


def as_written(value: Any, wanted: type) -> str:
    """Return how the value is to be written as the wanted type, or an example where that is not certain."""
    bare = value.strip() if isinstance(value, str) else value
    if wanted is str:
        return toml_value(str(bare))
    if wanted is bool:
        return "true" if str(bare).lower() in ("true", "yes", "on", "1") else "false"
    try:
        number = float(bare)
    except (TypeError, ValueError):
        return "16" if wanted is int else "0.0001"
    if wanted is int and math.isfinite(number):
        return str(round(number))
    return str(bare) if isinstance(value, str) and math.isfinite(number) else "0.0001"
