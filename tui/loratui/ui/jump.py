"""Jumping: for one key, a letter stands over each pane of the screen and over each tab."""

from functools import partial
from typing import TYPE_CHECKING

from textual.events import Key
from textual.widget import Widget

from loratui.ui.places import PLACES
from loratui.ui.registry import Scope
from loratui.ui.widgets.rows import Rows

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

_OF_PANES = "asdfghjklzxcvbnm"
_OF_TABS = dict(zip((place.name for place in PLACES), "qwertyuio", strict=True))
"""On most keyboards each is under the number of its screen."""
_STAYS_S = 3600.0
_LAYOUT_S = 0.03
_MOST_LAYOUTS = 20
"""After so many a page has no panes at all, as that of a run while none is open."""


class Jump:
    """Takes the one key that comes after it was begun; one that is no letter only ends it."""

    def __init__(self, shell: "Shell") -> None:
        self._shell = shell
        self._panes: dict[str, Rows] = {}
        self.is_on = False

    def do_jump(self) -> None:
        """Show the letters; where something lay over the page, as soon as its panes have their places again."""
        self._begin(_MOST_LAYOUTS)

    def _begin(self, tries: int) -> None:
        if tries and not self._in_sight():
            self._shell.set_timer(_LAYOUT_S, partial(self._begin, tries - 1))
            return
        self._panes = dict(zip(_OF_PANES, self._in_sight(), strict=False))
        self._letter(is_on=True)
        self._shell.say("a letter goes there, any other key stays…", _STAYS_S)

    def press(self, event: Key) -> None:
        """Go where the key says."""
        panes = self._panes
        self.leave()
        place = next((name for name, letter in _OF_TABS.items() if letter == event.character), "")
        action = self._shell.actions.find(event.character or event.key, (Scope.PAGES,))
        if pane := panes.get(event.character or ""):
            self._shell.page.jump_to(pane)
        elif place:
            self._shell.go(place)
        elif action is not None and (action.id.startswith("go_") or not event.is_printable):
            # Numbers of screens, and what works even while a text is typed.
            self._shell.keyboard.perform(action)

    def leave(self) -> None:
        """Take the letters away."""
        if self.is_on:
            self._letter(is_on=False)
            self._shell.say("")

    def _letter(self, *, is_on: bool) -> None:
        self.is_on = is_on
        for letter, pane in self._panes.items():
            pane.letter = letter if is_on else ""
            pane.rebuild()
        self._shell.tabs.letters = _OF_TABS if is_on else {}
        self._shell.tabs.rebuild()
        if not is_on:
            self._panes = {}

    def _in_sight(self) -> list[Rows]:
        """Return the panes of the page that are shown, from the top left on."""
        shown = [
            pane for pane in self._shell.page.query(Rows) if pane.is_pane and pane.size.area and _is_displayed(pane)
        ]
        return sorted(shown, key=lambda pane: (pane.region.y, pane.region.x))


def _is_displayed(pane: Rows) -> bool:
    return all(node.display for node in pane.ancestors_with_self if isinstance(node, Widget))
