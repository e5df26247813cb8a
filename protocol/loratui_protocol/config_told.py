"""What there is to tell of a config file while it is read: findings, and problems that refuse it."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from loratui_protocol.config_write import toml_value
from loratui_protocol.findings import Finding
from loratui_protocol.impossible import Fault

_KEY = re.compile(r"""\s*["']?([^\s"'=.:#\[]+)["']?\s*[=.:]""")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a config is refused."""

    code: str
    what: str
    fix: str
    fixable: bool = False
    """Whether it is certain what is meant; what was read is that."""


@dataclass(frozen=True, slots=True)
class Correction:
    """How a file is to be written for what it was read as; nothing that is trained changes by it."""

    key: str
    """As it is written there; of a dataset as ``place_in_datasets`` says."""
    occurrence: int
    """Which one it is of those with that key, from 0, in the order of the file."""
    line: str
    """What takes the statement's place; empty: it is to go."""
    why: str
    is_new: bool = False
    """The line comes behind the statement, which stays; without such a statement, at the top."""


class Told:
    """Collects what is found in one file."""

    def __init__(self, text: str) -> None:
        """``text`` is the file's own, for the numbers of its lines."""
        self.findings: list[Finding] = []
        self.problems: list[Problem] = []
        self.corrections: list[Correction] = []
        self.places: dict[str, tuple[str, int]] = {}
        """Where the keys stand that can be corrected: as they are written, and which of several."""
        self.names: dict[str, str] = {}
        """What the file calls keys that have another name there."""
        self._text = text
        self._lines: dict[str, int] | None = None
        """Where each key stands last; None: not looked up yet."""

    def _where(self, key: str) -> str:
        """Return the line of a key in words, as far as it is found, and its name there if it is another one."""
        if self._lines is None:
            found = ((_KEY.match(line), number) for number, line in enumerate(self._text.splitlines(), 1))
            self._lines = {match[1]: number for match, number in found if match}
        name = self.names.get(key, key)
        places = [name] if name != key else []
        places += [f"line {self._lines[name]}"] if name in self._lines else []
        return f" ({', '.join(places)})" if places else ""

    def _warn(self, code: str, what: str, fix: str, *, fixable: bool = False) -> None:
        self.findings.append(Finding(code=code, severity="warning", what=what, fix=fix, fixable=fixable))

    def _note(self, code: str, what: str, fix: str) -> None:
        self.findings.append(Finding(code=code, severity="info", what=what, fix=fix))

    def _correct(self, key: str, line: str, why: str) -> bool:
        """Keep how the key is to be written; return whether it stands where it can be corrected."""
        if key not in self.places:
            return False
        self.corrections.append(Correction(*self.places[key], line, why))
        return True

    def _refuse(self, code: str, what: str, fix: str, *, fixable: bool = False) -> None:
        self.problems.append(Problem(code, what, fix, fixable))

    def _wrong_type(self, key: str, value: Any, wanted: str, example: str, *, fixable: bool = False) -> None:
        what = f"{key}{self._where(key)} is {shown(value)}; {wanted} is wanted"
        self._refuse("config.type", what, f"write {key} = {example}", fixable=fixable)

    def refuse_impossible(self, faults: Iterable[Fault]) -> None:
        """Refuse values that can't be trained with, each by itself and with its line."""
        for fault in faults:
            where = "" if fault.place else self._where(fault.key)
            self._refuse("config.value", f"{fault.what}{where}", fault.fix)


def place_in_datasets(place: str, key: str) -> str:
    """Return what a key is called in ``Correction`` that stands in [general], a dataset or a subset."""
    return f"{place}: {key}"


def shown(value: Any) -> str:
    """Return a value as it is written, and what kind of value that is."""
    kind = {str: "a text", bool: "a flag", int: "a whole number", float: "a number", list: "a list", dict: "a table"}
    name = kind.get(type(value), "a date")
    if isinstance(value, float) and not math.isfinite(value):
        name = "no finite number"
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
    except (TypeError, ValueError, OverflowError):
        return "16" if wanted is int else "0.0001"
    if wanted is int and math.isfinite(number):
        return str(round(number))
    return str(bare) if isinstance(value, str) and math.isfinite(number) else "0.0001"
