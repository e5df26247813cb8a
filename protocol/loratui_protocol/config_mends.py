"""What is certainly meant by a misspelt key or a value of a wrong type; where it could be two things, it is neither.

Such a config is refused all the same: it is mended in a file that its author looks at, never on the way to a training.
"""

import difflib
import math
import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loratui_protocol import kohya
from loratui_protocol.config_checks import NETWORK_ARGS
from loratui_protocol.config_traps import Traps
from loratui_protocol.config_write import toml_value

SIZE = 'a width and a height, as "512,512" or [512, 512]'
WANTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text in quotes"}
_MAX_SHOWN_CHARS = 40
_OTHERS = (*kohya.CERTAIN, *kohya.SAME, *NETWORK_ARGS, "sdxl", "general", "datasets")
"""What no misspelt key is, and none is read as."""
_ALIKE = 0.85
"""From here on two names are one and a slip of a finger: netwrok_dim and network_dim are at 0.91."""
_WORD_ALIKE = 0.6
"""Above it two words are: save and sample are at 0.6."""
_WHOLE = re.compile(r"[+-]?[0-9]{1,15}")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_SIDES = re.compile(r"\s*([0-9]{1,9})\s*[xX*]\s*([0-9]{1,9})\s*")
_FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_NAMES = ("output_name", "trigger_word")
"""Keys that take any text, which people write as bare numbers."""


@dataclass(frozen=True, slots=True)
class Meant:
    """A value of the right type, and how TOML writes it."""

    value: Any
    written: str


def misspelt(names: Collection[str], known: Collection[str], ours: Collection[str]) -> dict[str, str]:
    """Return the keys that are certainly meant by names that are none of the ``known``.

    Certain is one that is the only known name so much alike, is one of ``ours``, and is set nowhere else in the file.
    """
    meant = {name: near[0] for name in names if name not in known and len(near := list(_near(name, known))) == 1}
    wanted = Counter(meant.get(name, name) for name in names)
    return {name: key for name, key in meant.items() if key in ours and wanted[key] == 1}


def _near(name: str, known: Iterable[str]) -> Iterator[str]:
    """Yield the names that are written almost alike, word by word: steps are no epochs."""
    words = _words(name)
    if len(name) > 2 * max(map(len, known)):
        return
    for each in known:
        others = _words(each)
        if "".join(words) == "".join(others):
            yield each
        elif len(words) == len(others) and _figures(name) == _figures(each):
            is_each_alike = all(map(_is_word_alike, words, others))
            if is_each_alike and difflib.SequenceMatcher(None, "_".join(words), "_".join(others)).ratio() >= _ALIKE:
                yield each


def _words(name: str) -> list[str]:
    return name.lower().replace("-", "_").split("_")


def _figures(name: str) -> list[str]:
    return re.findall("[0-9]", name)


def _is_word_alike(word: str, other: str) -> bool:
    return difflib.SequenceMatcher(None, word, other).ratio() > _WORD_ALIKE


def meant_value(key: str, value: Any, accepted: tuple[Any, ...]) -> Meant | None:
    """Return what a value of a wrong type certainly means; None where it is right, or only its author knows."""
    if key == "resolution":
        return _resolution(value)
    if type(value) in accepted or value == "":
        return None
    if type(value) is int and key in _NAMES:
        return Meant(str(value), toml_value(str(value)))
    if type(value) is float and int in accepted and value.is_integer() and _WHOLE.fullmatch(str(int(value))):
        return Meant(int(value), str(int(value)))
    return _of_text(value.strip(), accepted) if isinstance(value, str) else None


def _of_text(text: str, accepted: tuple[Any, ...]) -> Meant | None:
    if bool in accepted and text.lower() in _FLAGS:
        flag = _FLAGS[text.lower()]
        return Meant(flag, toml_value(flag))
    if int in accepted and _WHOLE.fullmatch(text):
        return Meant(int(text), str(int(text)))
    if float in accepted and _NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
        return Meant(number, text if _is_toml(text) else repr(number))
    return None


def _is_toml(text: str) -> bool:
    try:
        return type(tomllib.loads(f"x = {text}")["x"]) in (int, float)
    except tomllib.TOMLDecodeError:
        return False


def _resolution(value: Any) -> Meant | None:
    """Return the sides that 512x512, ["512", "512"] or 512.0 mean; what is read as it is needs nothing."""
    if isinstance(value, str):
        found = _SIDES.fullmatch(value)
        sides = [int(side) for side in found.groups()] if found else []
    else:
        given = value if isinstance(value, list) else [value]
        sides = [] if all(type(each) is int for each in given) else [each for each in map(_side, given) if each]
        sides = sides if len(sides) == len(given) else []
    return Meant(f"{sides[0]},{sides[-1]}", f'"{sides[0]},{sides[-1]}"') if len(sides) in (1, 2) else None


def _side(value: Any) -> int:
    """Return a number of pixels, or 0."""
    text = str(int(value)) if type(value) is float and value.is_integer() else str(value).strip()
    return int(text) if type(value) in (int, float, str) and re.fullmatch("[0-9]{1,9}", text) else 0


class Mends(Traps):
    """Refuses the slips of one file, and reads on with what they mean where that is certain."""

    keys: tuple[str, ...]
    types: Mapping[str, tuple[Any, ...]]

    def _misspelt(self, names: Collection[str]) -> dict[str, str]:
        """Return what those of the names that are no keys certainly mean."""
        ours = {*self.keys, *kohya.WITHOUT_EFFECT} - set(map(right_name, names))
        return misspelt(names, {*self._known(), *_OTHERS}, ours)

    def _known(self) -> tuple[str, ...]:
        return (*self.keys, "dataset_config", *kohya.WITHOUT_EFFECT, *kohya.UNSUPPORTED, *kohya.LIKELY)

    def _read_as(self, key: str, written: str, value: Any) -> None:
        fixable = self._correct(key, f"{key} = {toml_value(value)}", f"was {written}")
        self._refuse_unknown(written, key, fixable=fixable)

    def _unknown(self, key: str) -> None:
        close = difflib.get_close_matches(key[:_MAX_SHOWN_CHARS].lower(), self._known(), n=1, cutoff=0.6)
        self._refuse_unknown(key, kohya.LIKELY.get(close[0], close[0]) if close else "")

    def _refuse_unknown(self, key: str, meant: str, *, fixable: bool = False) -> None:
        fix = f"did you mean {meant}?" if meant else "remove it, or see docs/config.md for the keys there are"
        what = f"{key}{self._where(key)} is no key of a training config"
        self._refuse("config.unknown_key", what, fix, fixable=fixable)

    def _meant(self, key: str, value: Any) -> Any:
        """Return the value, or what is certainly meant by one of a wrong type, which is refused."""
        meant = meant_value(key, value, self.types[key]) if key in self.places else None
        if meant is None:
            return value
        wanted = SIZE if key == "resolution" else WANTED[type(meant.value)]
        fixable = self._correct(key, f"{key} = {meant.written}", f"was {toml_value(value)}")
        self._wrong_type(key, value, wanted, meant.written, fixable=fixable)
        return meant.value


def all_names(tables: Mapping[str, Any]) -> list[str]:
    """Return all keys as they are written, whatever section they stand in."""
    parts = (content if isinstance(content, dict) else (name,) for name, content in tables.items())
    return [name for part in parts for name in part]


def right_name(written: str) -> str:
    """Return the key that a name stands for, which may be the only one that sd-scripts knows."""
    return kohya.CERTAIN.get(written) or kohya.SAME.get(written, written)
