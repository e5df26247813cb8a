"""What a setting is, and how the texts of settings are read."""

import difflib
import getpass
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from loratui.domain.download_policy import read_amount
from loratui.domain.formatting import parse_microusd
from loratui_protocol.errors import ConfigError

PORT_PROBE = "portquiz.net:20022, portquiz.net:40022"
"""A host that listens on every port for whoever wants to try this; docs/decisions.md says why it is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: its key in the file ("local.price_usd_per_h"), what it means, and how its text is read."""

    key: str
    meaning: str
    read: Callable[[str], Any]
    default: Callable[[], str]
    is_number: bool = False
    is_switch: bool = False
    env: str = ""
    in_file: bool = True
    choices: tuple[str, ...] = ()
    """The words that it can be, where there are few."""

    @classmethod
    def of_words(cls, key: str, meaning: str, default: str, *choices: str) -> "Setting":
        """Return a setting that is one of a few words."""
        return cls(key=key, meaning=meaning, read=one_of(*choices), default=lambda: default, choices=choices)

    @property
    def env_name(self) -> str:
        """Return the environment variable: dots of the key become ``__``."""
        return self.env or "LORATUI_" + self.key.upper().replace(".", "__")


def file_text(setting: Setting, value: Any, path: Path) -> str:
    """Return a value of the file at ``path`` as the text that its setting reads.

    Raises:
        ConfigError: it is of another type.
    """
    wanted = (bool,) if setting.is_switch else (int, Decimal) if setting.is_number else (str,)
    if type(value) not in wanted:
        kind = "true or false" if setting.is_switch else "a number" if setting.is_number else "a string"
        raise ConfigError(
            f"{setting.key} in {path} must be {kind}, it is {value!r}",
            fix=setting.meaning,
            code="config.type",
        )
    return str(value).casefold() if setting.is_switch else str(value)


def refuse_unknown_variables(environ: Iterable[str], known: Sequence[str]) -> None:
    """Refuse a nested variable that names no setting; flat ones may belong to scripts or hold keys."""
    for name in environ:
        if name.startswith("LORATUI_") and "__" in name and name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            raise ConfigError(
                f"the environment variable {name} names no setting",
                fix=f"did you mean {near[0]}?" if near else "unset it",
                code="config.unknown_key",
            )


def path(text: str) -> Path:
    """Return a path from the root."""
    return Path(text).expanduser().absolute()


def text_there(text: str) -> str:
    """Return a text that is not empty.

    Raises:
        ValueError: it is.
    """
    if not text.strip():
        raise ValueError("it is empty")
    return text.strip()


def one_of(*words: str) -> Callable[[str], str]:
    """Return what reads one of these words."""

    def read(text: str) -> str:
        word = text.strip().casefold()
        if word not in words:
            raise ValueError(text)
        return word

    return read


def switch(text: str) -> bool:
    """Return whether something is on.

    Raises:
        ValueError: the text is neither true nor false.
    """
    word = text.strip().casefold()
    if word not in ("true", "false"):
        raise ValueError(text)
    return word == "true"


def author() -> str:
    """Return who commands are sent as unless somebody says otherwise."""
    # On rented machines and in containers everybody is root: the machine's name tells two laptops apart.
    machine = platform.node().partition(".")[0] or "?"
    try:
        return f"{getpass.getuser()}@{machine}"
    except (KeyError, OSError, ImportError):
        # A container may run under a user id that has no name.
        return f"user@{machine}"


def folder_there(text: str) -> str:
    """Return a folder of another machine, or nothing.

    Raises:
        ValueError: it does not begin at the root.
    """
    folder = text.strip().rstrip("/")
    if folder and not folder.startswith("/"):
        raise ValueError("it begins with no /, and no shell over there would read a ~")
    return folder


def minutes(text: str) -> float:
    """Return the seconds in so many minutes.

    Raises:
        ValueError: it is no number, or below zero.
    """
    return 60.0 * read_amount(text)


def some_minutes(text: str) -> float:
    """Return the seconds in so many minutes, of which there have to be some.

    Raises:
        ValueError: there are none, or it is no number.
    """
    seconds = minutes(text)
    if not seconds:
        raise ValueError(text)
    return seconds


def some_seconds(text: str) -> float:
    """Return how long to wait between two questions, in seconds.

    Raises:
        ValueError: it is no number, below one second, or above an hour.
    """
    seconds = float(text)
    if not 1 <= seconds <= 3600:
        raise ValueError(text)
    return seconds


def some_money(text: str) -> int:
    """Return an amount of dollars above zero in micro-dollars.

    Raises:
        UsageError, ValueError: it is none.
    """
    microusd = parse_microusd(text)
    if not microusd:
        raise ValueError(text)
    return microusd


def endpoints(text: str) -> tuple[tuple[str, int], ...]:
    """Return the hosts and ports in "a.example:40022, b.example:51234"; none in an empty text, or in "none".

    Raises:
        ValueError: something else is there.
    """
    if text.strip().casefold() == "none":
        return ()
    found = []
    for each in filter(None, (part.strip() for part in text.split(","))):
        host, _, port = each.rpartition(":")
        if not host or not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
            raise ValueError(each)
        found.append((host.strip("[]"), int(port)))
    return tuple(found)
