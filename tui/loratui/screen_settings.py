"""Settings of the interface alone; that keys are given to actions that exist is checked where these are known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loratui.setting import Setting
from loratui_protocol.errors import ConfigError

THEMES = ("dark", "light", "contrast", "ansi-dark", "ansi-light")
NOTIFICATIONS = ("osc9", "osc777", "osc99", "bell", "off")
SWITCHED = ("auto", "on", "off")
_KEYS = "keys."

SCREEN = (
    Setting.of_words(
        "ui.theme",
        "colours of the interface: dark, light, contrast (high), ansi-dark or ansi-light (the terminal's own), "
        "auto (dark, or ansi-dark where there are 16 colours)",
        "auto",
        "auto",
        *THEMES,
    ),
    Setting.of_words(
        "ui.notify",
        "how the terminal is told that a run is over, about to stop, or needs money: osc9, osc777, osc99, "
        "bell, off, auto (what the terminal is known to understand)",
        "auto",
        "auto",
        *NOTIFICATIONS,
    ),
    Setting.of_words(
        "ui.mouse",
        "whether the mouse works in the interface, or is the terminal's, which can select text: on, off, "
        "auto (on, but not through SSH)",
        "auto",
        *SWITCHED,
    ),
    Setting.of_words(
        "ui.slow",
        "whether the interface sends fewer updates, for thin lines: on, off, auto (on through SSH)",
        "auto",
        *SWITCHED,
    ),
    Setting.of_words(
        "ui.ascii",
        "whether the interface draws plain characters only: on, off, auto (on where the terminal is not UTF-8)",
        "auto",
        *SWITCHED,
    ),
    Setting.of_words(
        "ui.frame_diff",
        "whether only what has changed on the screen is sent: on, off (whole regions of it)",
        "on",
        *SWITCHED[1:],
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenSettings:
    """How the interface looks, calls, and which keys it has."""

    theme: str = "auto"
    notify: str = "auto"
    mouse: str = "auto"
    slow: str = "auto"
    ascii: str = "auto"
    frame_diff: str = "on"
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Action id -> the keys that the user wants for it instead of its own."""


def is_key(key: str) -> bool:
    """Return whether an entry of the settings file names the keys of an action."""
    return key.startswith(_KEYS)


def key_text(key: str, value: Any, path: Path) -> str:
    """Return the keys of an action as one text, a space between two.

    Raises:
        ConfigError: it is neither a text nor a list of them.
    """
    wanted = value if isinstance(value, list) else [value]
    if not wanted or not all(isinstance(each, str) and each.strip() and len(each.split()) == 1 for each in wanted):
        raise ConfigError(
            f'{key} in {path} must be a key, or a list of keys, as in "P" or ["P", "f5"]; it is {value!r}',
            fix="a space is called space; to take a key away from an action, give it another one",
            code="config.type",
        )
    return " ".join(each.strip() for each in wanted)


def keys_of(texts: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return action id -> keys from the entries of the settings file."""
    return {key.removeprefix(_KEYS): tuple(text.split()) for key, (text, _) in texts.items() if is_key(key)}
