"""A config as a form: one row for each key, changed one at a time in its own text, with a way back."""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from loratui_protocol.config import KEYS, TrainingConfig
from loratui_protocol.config_edit import canonical, section_of, with_value, without
from loratui_protocol.config_file import Loaded, parse_config, parse_partial, to_toml
from loratui_protocol.config_fix import without_secrets
from loratui_protocol.config_help import CHOICES, field_docstrings
from loratui_protocol.config_reading import TYPES
from loratui_protocol.config_write import toml_value
from loratui_protocol.errors import ConfigError
from loratui_protocol.foreign_text import parse_toml

FORM_KEYS = tuple(key for key in KEYS if key != "datasets")
_DEFAULTS = {field.name: field.default for field in fields(TrainingConfig)}
_ARGUMENTS = ("optimizer_args", "network_args")
_LINE = re.compile(r" \(line \d+\)")
Edit = Callable[[str], str]
_YES, _NO = ("true", "yes", "on"), ("false", "no", "off")
_MOST_BACK = 200
"""Changes that can be taken back."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the config can't be trained; ``keys`` are those that it is about, none: it is about datasets."""

    keys: tuple[str, ...]
    code: str
    what: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FormRow:
    """A key. ``value`` is what it is now, as people write it; empty: unset."""

    key: str
    section: str
    value: str
    is_set: bool
    """Whether the file sets it; else it is the default."""
    is_changed: bool
    """Whether that differs from what is on the disk."""
    trouble: Trouble | None


@cache
def help_texts() -> Mapping[str, str]:
    """Return what each key means."""
    return {key: text.replace("``", "") for key, text in field_docstrings().items()}


def default_of(key: str) -> str:
    """Return a key's default as people write it; empty: unset, or there is none."""
    return written(_DEFAULTS[key] if isinstance(_DEFAULTS[key], str | int | float | tuple) else None)


def written(value: object) -> str:
    """Return a value as people write it: text without quotes, lists with commas, nothing for unset."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={written(each)}" for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return ",".join(written(each) for each in value)
    return toml_value(value)


class ConfigForm:
    """A config that is being changed; ``base`` is the folder that its paths count from, ``saved`` what is on the disk.

    Raises:
        ConfigError: the text is no TOML.
    """

    def __init__(self, text: str, base: Path, saved: str | None = None) -> None:
        self.base = base
        self.saved = text if saved is None else saved
        self.text = ""
        self.rows: tuple[FormRow, ...] = ()
        self.troubles: tuple[Trouble, ...] = ()
        self.loaded: Loaded | None = None
        """None: it can't be trained as it is; ``troubles`` say why."""
        self._raw: dict[str, Any] = {}
        self._back: list[tuple[str, str]] = []
        self._take(text)

    @property
    def is_dirty(self) -> bool:
        """Return whether there is something to write."""
        return self.text != self.saved

    @property
    def num_changes(self) -> int:
        """Return the number of changes that can be taken back."""
        return len(self._back)

    def row(self, key: str) -> FormRow:
        """Return the row of a key."""
        return self.rows[FORM_KEYS.index(key)]

    def typed(self, key: str, is_shown: Callable[[str], bool] = str.isprintable) -> str:
        """Return a key's value as it would be typed: in TOML where plain words would say something else.

        ``is_shown`` tells whether a text, and each character, is seen as it is where it is typed.
        """
        value = self._raw.get(key, _DEFAULTS[key])
        if isinstance(value, str):
            is_plain = value and value == value.strip() and value[0] not in "\"'" and is_shown(value)
            return value if is_plain else _escaped(value, is_shown)
        if isinstance(value, (list, dict)) and not all(isinstance(each, int) for each in value):
            return _escaped(value, is_shown)
        return written(value) if isinstance(value, bool | int | float | list | tuple) else ""

    def next_choice(self, key: str) -> str | None:
        """Return what follows the value of a flag or of a key with a few choices, as it is typed; None: it is neither.

        A key that may be unset is that, too, between the last choice and the first.
        """
        now = self.row(key).value
        choices = [str(choice) for choice in CHOICES.get(key, ())] or (["false", "true"] if bool in TYPES[key] else [])
        if not choices:
            return None
        if _DEFAULTS[key] is None:
            choices.append("")
        return choices[(choices.index(now) + 1) % len(choices)] if now in choices else choices[0]

    # --- changes ------------------------------------------------------------------------------------------------------

    def set(self, key: str, typed: str) -> None:
        """Set a key to what was typed; nothing sets it back to its default.

        Raises:
            ConfigError: the value is refused, in the words of ``check``; the form stays as it is. What another key
                lacks because of it is no reason: that is one of ``troubles`` then.
        """
        if not typed.strip() and self._is_unset_by_nothing(key):
            self.reset(key)
            return
        value = _as_toml(key, typed)
        self._change(key, lambda text: with_value(text, key, value))

    def reset(self, key: str) -> None:
        """Take a key out of the file; errors as in ``set``."""
        if self.row(key).is_set:
            self._change(key, lambda text: without(text, key))

    def replace(self, text: str, what: str) -> None:
        """Take another text, as an editor made it; raises ``ConfigError`` where that is no TOML."""
        if text != self.text:
            before = self.text
            self._take(text)
            self._remember(before, what)

    def undo(self) -> str:
        """Take the last change back, and return the key that it was of; empty: there is none."""
        if not self._back:
            return ""
        text, what = self._back.pop()
        self._take(text)
        return what

    def written(self, text: str) -> None:
        """Take note of what is on the disk now."""
        self.saved = text
        self._take(self.text)

    def _is_unset_by_nothing(self, key: str) -> bool:
        return str not in TYPES[key] or _DEFAULTS[key] is None or bool(CHOICES.get(key))

    def _change(self, key: str, edit: Edit) -> None:
        known = {_LINE.sub("", trouble.what) for trouble in self.troubles}
        before, text = self.text, self._edited(key, edit)
        if key in self._raw and _raw(text).get(key) == self._raw[key]:
            # The same, written otherwise.
            return
        self._take(text)
        for trouble in self.troubles:
            if _LINE.sub("", trouble.what) not in known and (not trouble.keys or key in trouble.keys):
                self._take(before)
                raise ConfigError(trouble.what, fix=trouble.fix, code=trouble.code)
        if text != before:
            self._remember(before, key)

    def _edited(self, key: str, edit: Edit) -> str:
        """Return the text with the change in it, line by line if nothing else changes by that."""
        try:
            text = edit(self.text)
            if self._others(text, key) == self._others(self.text, key):
                return text
        except (ValueError, ConfigError):
            pass
        return self._rewritten(key, edit)

    def _others(self, text: str, key: str) -> dict[str, Any]:
        return {name: value for name, value in parse_partial(text, self.base).values.items() if name != key}

    def _rewritten(self, key: str, edit: Edit) -> str:
        """Return the change made in a text of our own, for one that can't be changed line by line."""
        if self.loaded is None:
            raise ConfigError(
                f"{key} can't be set line by line in this file, and it has other problems",
                fix="mend them first, or change it in an editor",
                code="config.syntax",
            )
        return edit(to_toml(self.loaded.config))

    def _remember(self, before: str, what: str) -> None:
        self._back = [*self._back, (before, what)][-_MOST_BACK:]

    def _take(self, text: str) -> None:
        raw, saved = _raw(text), _raw_or_nothing(self.saved)
        self.troubles, self.loaded = _judged(text, self.base)
        self.text, self._raw = text, raw
        by_key = {key: trouble for trouble in reversed(self.troubles) for key in trouble.keys}
        self.rows = tuple(
            FormRow(
                key=key,
                section=section_of(key),
                value=written(raw[key]) if key in raw else default_of(key),
                is_set=key in raw,
                is_changed=(key in raw, raw.get(key)) != (key in saved, saved.get(key)),
                trouble=by_key.get(key),
            )
            for key in FORM_KEYS
        )

    def diff(self, here: str, there: str) -> list[str]:
        """Return how the text differs from what is on the disk, line by line; secrets are not shown."""
        return diff(self.saved, self.text, here, there)


def diff(old: str, new: str, here: str, there: str) -> list[str]:
    """Return how two texts differ, line by line; secrets are not shown."""
    before, after = ([without_secrets(line) for line in text.splitlines()] for text in (old, new))
    return list(difflib.unified_diff(before, after, here, there, n=1, lineterm=""))


def _judged(text: str, base: Path) -> tuple[tuple[Trouble, ...], Loaded | None]:
    partial = parse_partial(text, base)
    if partial.problems:
        return tuple(Trouble(_about(each.what), each.code, each.what, each.fix) for each in partial.problems), None
    try:
        return (), parse_config(text, base)
    except ConfigError as error:
        return tuple(_parts(error)), None


def _parts(error: ConfigError) -> Iterator[Trouble]:
    """Yield what a schema refuses, a trouble for each key."""
    whats = re.split(r"; (?=\w+ = )", error.what)
    fixes = re.split(r"; (?=\w+ must be )", error.fix)
    if len(whats) != len(fixes):
        whats, fixes = [error.what], [error.fix]
    for what, fix in zip(whats, fixes, strict=True):
        yield Trouble(_about(what), error.code, what, fix)


def key_of(what: str) -> str:
    """Return the key that a sentence begins with; empty: none."""
    first = re.match(r"\w+", what)
    return first[0] if first and first[0] in FORM_KEYS else ""


def _about(what: str) -> tuple[str, ...]:
    key = key_of(what)
    return (key,) if key else ()


def _raw(text: str) -> dict[str, Any]:
    """Return what the file says of each key, as it says it; the last of several counts."""
    raw: dict[str, Any] = {}
    for name, content in parse_toml(text).items():
        for key, value in content.items() if isinstance(content, dict) else ((name, content),):
            raw[canonical(key)] = value
    return raw


def _raw_or_nothing(text: str) -> dict[str, Any]:
    try:
        return _raw(text)
    except ConfigError:
        return {}


def _as_toml(key: str, typed: str) -> str:
    """Return what was typed as TOML of one line: what is no TOML of the key's type is text, for the schema to judge."""
    text = " ".join(typed.split("\n")).strip()
    accepted = TYPES[key]
    if bool in accepted and text.lower() in (*_YES, *_NO):
        return toml_value(text.lower() in _YES)
    value = _parsed(text)
    if isinstance(value, str) or (value is not None and str not in accepted):
        return toml_value(value) if "#" in text else text
    if key in (*_ARGUMENTS, "lr_scheduler_args") and value is None:
        return toml_value(text.split())
    return toml_value(typed if str in accepted else text)


def _parsed(text: str) -> Any:
    """Return a value of TOML; None: it is none, or a table, which would pass for a section."""
    try:
        value = tomllib.loads(f"value = {text}").get("value")
    except (ValueError, RecursionError):
        return None
    return None if isinstance(value, dict) else value


def _escaped(value: object, is_shown: Callable[[str], bool]) -> str:
    """Return a value as TOML in which every character can be seen."""
    return "".join(char if is_shown(char) else _escape(char) for char in toml_value(value))


def _escape(char: str) -> str:
    return f"\\u{ord(char):04X}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08X}"
