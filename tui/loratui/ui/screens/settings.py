"""The settings screen: what loratui is told, by whom, and what of it the interface can be told here."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from loratui.settings import SETTINGS, Shown
from loratui.ui.frame import Frame
from loratui.ui.page import Page
from loratui.ui.preferences import CHOICES, TYPED
from loratui.ui.registry import Scope
from loratui.ui.text import Role, Row, Span, cells, cut, plain, wrap
from loratui.ui.widgets.list_pane import ListPane
from loratui.ui.widgets.pane import Pane
from loratui.ui.widgets.prompt import Typed

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

_KEY, _SHORT_KEY = 30, 18
_VALUE = 24
_NARROW = 70
"""Below so many cells keys of other parts are cut, so that there is room for the origin."""
_MEANINGS = {setting.key: setting.meaning for setting in SETTINGS}


class SettingList(ListPane[Shown]):
    """All settings, with where each comes from."""

    in_effect: Mapping[str, str] = {}
    """Of those of the interface: what they have come to."""

    def name_of(self, entry: Shown) -> str:
        """Return its key."""
        return entry.key

    def matches(self, entry: Shown, query: str) -> bool:
        """Look in key, value and origin."""
        words = f"{entry.key} {entry.value} {entry.origin}".lower()
        return all(word in words for word in query.lower().split())

    def heading(self, _: Frame) -> list[Span]:
        """Return the name of the list."""
        return [("settings", Role.TITLE)]

    def entry_row(self, entry: Shown, width: int) -> Row:
        """Return key, value and origin; of the file its name."""
        now, value = self.in_effect.get(entry.key, entry.value), plain(entry.value)
        role = Role.STRONG if entry.key in (*CHOICES, *TYPED) else Role.DIM
        told = value if now in (value, entry.value) else f"{value}, now {now}"
        return [
            *_column(entry.key, _SHORT_KEY if width < _NARROW else _KEY, role),
            *_column(told or "nothing", _VALUE, Role.TEXT),
            (Path(entry.origin).name, Role.DIM),
        ]


def _column(text: str, limit: int, role: Role) -> Row:
    text = cut(text, limit - 1)
    return [(text + " " * (limit - cells(text)), role)]


class SettingHelp(Pane):
    """What the chosen setting means."""

    entry: Shown | None = None

    def title(self, _: Frame) -> list[Span]:
        """Return its key."""
        return [("setting" if self.entry is None else plain(self.entry.key), Role.TITLE)]

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - the same at all times
        """Return what it means, and its whole value."""
        if self.entry is None:
            return []
        key = self.entry.key
        meaning = _MEANINGS.get(key) or "the keys of an action, instead of its own"
        said = [*wrap(meaning, width - 2), *wrap(f"{key} = {self.entry.value} ({self.entry.origin})", width - 2)]
        return [[(f" {line}", Role.TEXT)] for line in said[: max(0, height)]]


class SettingsPage(Page):
    """Lists the settings; what is secret is none of them."""

    place = "settings"
    own_scopes = (Scope.ASIDE, Scope.SETTINGS)

    def __init__(self, shell: "Shell") -> None:
        super().__init__(shell)
        self.main_list = self._list = SettingList(id="setting-list")
        self._about = SettingHelp(id="setting")

    def compose(self) -> ComposeResult:
        """Put the list over the help."""
        yield self._list
        yield self._about

    def show(self, frame: Frame) -> None:
        """Fill the list."""
        preferences = self.shell.preferences
        self._list.in_effect = {key: preferences.in_effect(key) for key in CHOICES}
        self._list.fill(preferences.shown)
        self._about.entry = self._list.chosen
        super().show(frame)

    def on_list_pane_moved(self) -> None:
        """Show what the chosen one means."""
        self._about.entry = self._list.chosen
        self.shell.refresh_view()

    def refusals(self) -> Mapping[str, str]:
        """Return that most settings are changed in the file."""
        chosen = self._list.chosen
        if chosen is None:
            return {"setting_change": "no setting is chosen"}
        if chosen.key in CHOICES:
            return {}
        if chosen.key not in TYPED:
            return {"setting_change": "this one is changed in config.toml"}
        outranks = self.shell.preferences.outranks(chosen.key)
        return {"setting_change": f"{outranks} says otherwise"} if outranks else {}

    def do_setting_change(self) -> None:
        """Take the next choice, or let a number be typed."""
        if (chosen := self._list.chosen) is None:
            return
        key, preferences = chosen.key, self.shell.preferences
        if key in CHOICES:
            preferences.choose(key, preferences.following(key))
        else:
            self.shell.ask_text(
                f"{key} =", lambda text: preferences.keep(key, text.strip()), chosen.value, Typed.ANSWER
            )
            self.shell.prompt.tell([_MEANINGS[key]])

    def yank_text(self) -> str:
        """Return the path of the settings file."""
        return str(self.shell.desk.preferences.config_file)
