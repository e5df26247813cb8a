"""The settings as the interface shows them, and those of its own that are chosen here and kept."""

import json
import os
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from loratui.screen_settings import SCREEN, ScreenSettings
from loratui.settings import SETTINGS, Settings, Shown, load
from loratui.ui.environment import UiOptions, settle
from loratui.ui.keyboard import READ_ONLY
from loratui_protocol.errors import LoratuiError

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

CHOICES = {setting.key: setting.choices for setting in SCREEN}
TYPED = frozenset(each.key for each in SETTINGS if each.in_file and (each.is_number or each.is_switch))
"""Prices, limits and the like: what is sent out from then on heeds them. A path or an address may have a secret."""
_KEPT_S = 10.0
_WHO = re.compile(r"//[^/@\s]*@")
"""A name, and perhaps a secret, in an address."""


class Preferences:
    """Begins with what was read when loratui started."""

    def __init__(self, shell: "Shell") -> None:
        self._shell = shell
        self._shown = {each.key: each for each in shell.desk.preferences.shown}

    @property
    def shown(self) -> list[Shown]:
        """Return all settings as they are now, those of the interface first; whose key an address has is not told."""
        ordered = sorted(self._shown.values(), key=lambda each: each.key not in CHOICES)
        return [replace(each, value=_WHO.sub("//…@", each.value)) for each in ordered]

    def outranks(self, key: str) -> str:
        """Return the variable that says otherwise than ``config.toml``, if one does."""
        origin = self._shown[key].origin
        return "" if origin in ("default", str(self._shell.desk.preferences.config_file)) else origin

    def following(self, key: str) -> str:
        """Return the choice after the one that holds."""
        choices = CHOICES[key]
        return choices[(choices.index(self._shown[key].value) + 1) % len(choices)]

    def in_effect(self, key: str) -> str:
        """Return what a choice has come to on this terminal."""
        options = self._shell.options
        held: str | bool = getattr(options, key.removeprefix("ui."))
        return ("on" if held else "off") if isinstance(held, bool) else held or "of TEXTUAL_THEME"

    def choose(self, key: str, value: str) -> None:
        """Use a choice at once, and keep it where that is possible."""
        before, path = self._shown[key], self._shell.desk.preferences.config_file
        why_not = READ_ONLY if self._shell.options.readonly else ""
        if variable := self.outranks(key):
            why_not = f"{variable} says otherwise the next time"
        if not why_not:
            self._shown[key] = Shown(key=key, value=value, origin=str(path))
        self._apply(key, value)
        said = f"{key.removeprefix('ui.')} {value}"
        if why_not:
            self._shell.say(f"{said}, for now: {why_not}", _KEPT_S)
            return

        def keep() -> None:
            # What writes files takes a while to load: not before the first paint.
            from loratui.sessions.keep_setting import keep_setting

            try:
                keep_setting(path, key, json.dumps(value))
            except LoratuiError as error:
                fix = f"; {error.fix}" if error.fix else ""
                self._shell.app.call_from_thread(self._not_kept, before, f"! {said}, for now: {error.what}{fix}")
            else:
                kept = f'{said} · kept as {key} = "{value}" in {path.name}'
                self._shell.app.call_from_thread(self._shell.say, kept, _KEPT_S)

        self._shell.work(keep, f"keeping {key}")

    def keep(self, key: str, typed: str) -> None:
        """Keep what was typed for a setting, if it can be that, and heed it."""
        before = self._shell.desk.preferences

        def work() -> None:
            # What writes files takes a while to load: not before the first paint.
            from loratui.sessions.keep_setting import as_toml, keep_setting

            written = as_toml(key, typed)
            keep_setting(before.config_file, key, written)
            self._shell.app.call_from_thread(self._kept, key, _read_again(before))

        self._shell.work(work, f"{key} stays as it was")

    def _kept(self, key: str, now: Settings) -> None:
        self._shell.desk.preferences = now
        self._shown[key] = next(each for each in now.shown if each.key == key)
        self._shell.refresh_view()
        self._shell.say(f"kept: {key} = {self._shown[key].value}", _KEPT_S)

    def _not_kept(self, before: Shown, why: str) -> None:
        self._shown[before.key] = before
        self._shell.refresh_view()
        self._shell.say(why, _KEPT_S)

    def _apply(self, key: str, value: str) -> None:
        name, shell = key.removeprefix("ui."), self._shell
        held: str | bool = value
        if value == "auto":
            # A terminal that does not say how it is written to is not the one that this runs in.
            asked = UiOptions(theme="auto", notify="auto")
            held = getattr(settle(asked, ScreenSettings(), os.environ, sys.stdout.encoding or "utf-8"), name)
        elif isinstance(getattr(shell.options, name), bool):
            held = value == "on"
        changes: dict[str, Any] = {name: held}
        shell.options = replace(shell.options, **changes)
        shell.post_message(shell.Changed(name))
        shell.refresh_view()


def _read_again(before: Settings) -> Settings:
    """Return the settings with what their file says now; what a flag or a variable has said holds on."""
    of_file = ("default", str(before.config_file))
    outside = {each.key: each.value for each in before.shown if each.origin not in of_file}
    return load(outside, {"LORATUI_CONFIG_DIR": str(before.config_dir)})
