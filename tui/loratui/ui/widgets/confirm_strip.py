"""The question before something that can't be taken back: rows at the foot of the screen, not a window over it."""

from collections.abc import Callable

from textual.geometry import Size

from loratui.ui.frame import Frame
from loratui.ui.questions import Question
from loratui.ui.registry import Registry, Scope
from loratui.ui.text import Role, Row, Span
from loratui.ui.widgets.pane import Pane

_ROWS = 4
GUARD_S = 0.3
"""Keys typed this soon after the strip opened were meant for something else."""
Ask = Callable[[Frame], Question]


class ConfirmStrip(Pane):
    """Asks one question at a time, which the actions of one scope answer."""

    scope: Scope | None = None
    _question: Ask | None = None
    _opened_s = 0.0
    _expected = Size()

    def __init__(self, actions: Registry, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._actions = actions

    @property
    def room(self) -> Size:
        """Return its size; before it has one, what it will be, so that it does not come up empty first."""
        return self.size or self._expected

    def open(self, scope: Scope, question: Ask, frame: Frame) -> None:
        """Ask; ``frame`` is the moment at which the key was pressed."""
        self.scope = scope
        self._question = question
        self._opened_s = frame.now_s
        self._expected = Size(self.screen.size.width, _ROWS)
        self.display = True
        self.show(frame)

    def close(self) -> None:
        """Stop asking."""
        self.scope = self._question = None
        self._expected = Size()
        self.display = False

    def is_guarded(self, now_s: float) -> bool:
        """Return whether it is too early for an answer."""
        return now_s - self._opened_s < GUARD_S

    def title(self, frame: Frame) -> list[Span]:
        """Return what is asked, about which run."""
        return [] if self._question is None else [*self._question(frame).title]

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - three rows
        """Return what is at stake and the keys that answer."""
        if self.scope is None or self._question is None:
            return []
        keys: Row = [(" ", Role.TEXT)]
        for action in self._actions.within(self.scope):
            keys += [(action.key, Role.KEY), (f" {action.label}    ", Role.TEXT)]
        stake = self._question(frame).stake
        return [[(f" {stake}", Role.TEXT)], keys, [(" Enter does nothing here.", Role.DIM)]]
