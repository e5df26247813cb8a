"""The command palette: every action by name, with its key; one that can't be done now says why."""

from typing import TYPE_CHECKING

from loratui.ui.frame import Frame
from loratui.ui.registry import Action, Scope
from loratui.ui.text import Role, Row, Span, spread
from loratui.ui.widgets.pane import Pane

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

_LONGEST_QUERY = 60


class Palette(Pane):
    """Shown over the body; takes all printable keys while it is open."""

    def __init__(self, shell: "Shell", *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._shell = shell
        self._query = ""
        self._chosen = 0

    def open(self, frame: Frame) -> None:
        """Start with an empty query."""
        self._query, self._chosen = "", 0
        self.show(frame)

    def press(self, key: str, character: str | None) -> Action | None:
        """Take a key; return the action to do when one was chosen."""
        found = self._found()
        if key == "enter":
            return found[self._chosen] if found else None
        if key in ("up", "down"):
            self._chosen = max(0, min(len(found) - 1, self._chosen + (1 if key == "down" else -1)))
        elif key == "backspace":
            self._query, self._chosen = self._query[:-1], 0
        elif character is not None and character.isprintable() and len(self._query) < _LONGEST_QUERY:
            self._query, self._chosen = self._query + character, 0
        self.rebuild()
        return None

    def _found(self) -> list[Action]:
        scopes = (*self._shell.keyboard.of_page, Scope.GLOBAL)
        actions = [action for action in self._shell.actions.within(*scopes) if action.id != "palette"]
        told = [(action, f"{action.label} {self._shell.actions.fill(action.help)}") for action in actions]
        ranked = [(rank, action) for action, name in told if (rank := _rank(self._query, action, name)) is not None]
        return [action for _, action in sorted(ranked, key=lambda pair: pair[0])]

    def title(self, _: Frame) -> list[Span]:
        """Return the query."""
        return [("commands", Role.TITLE), (f"  > {self._query}", Role.STRONG), ("█", Role.KEY)]

    def remark(self, _: Frame) -> str:
        """Return how to choose and leave."""
        return "enter does it · esc closes"

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the actions that match, the chosen one in sight."""
        found = self._found()
        if not found:
            return [[(" nothing matches", Role.DIM)]]
        first = max(0, self._chosen - height + 1)
        return [
            self._entry(action, frame, width, is_chosen=index == self._chosen)
            for index, action in enumerate(found[first : first + height], first)
        ]

    def _entry(self, action: Action, frame: Frame, width: int, *, is_chosen: bool) -> Row:
        reason = self._shell.keyboard.why_not(action, frame)
        role = Role.DIM if reason else Role.STRONG if is_chosen else Role.TEXT
        about = f"not now: {reason}" if reason else frame.keys.fill(action.help)
        left: Row = [(" > " if is_chosen else "   ", Role.KEY), (f"{action.label:<24}", role), (about, Role.DIM)]
        return spread(left, [(f"{action.key} ", Role.KEY)], width)


def _rank(query: str, action: Action, name: str) -> tuple[int, int] | None:
    """Return how well an action matches, less being better; None if letters of the query are missing in ``name``."""
    name, query = name.lower(), query.lower().strip()
    if query == action.label.lower():
        return 0, -1
    if query in name:
        return 0, name.index(query)
    at = -1
    for letter in query.replace(" ", ""):
        at = name.find(letter, at + 1)
        if at < 0:
            return None
    return 1, at
