"""The question before something that can't be taken back: rows at the foot of the screen, not a window over it."""

from collections.abc import Callable

from textual.geometry import Size

from loratui.ui.frame import Frame
from loratui.ui.questions import Question
from loratui.ui.registry import Action, Registry, Scope
from loratui.ui.text import Role, Row, Span, row_width, wrap
from loratui.ui.widgets.pane import Pane

GUARD_S = 0.3
"""Keys typed this soon after the strip opened, or after another such key, were meant for something else."""
MOST_GUARDED_S = 2.0
"""Whoever presses a key again and again for longer means the question."""
_MOST_TYPED = 24
Ask = Callable[[Frame], Question]


class ConfirmStrip(Pane):
    """Asks one question at a time, which the actions of one scope answer, or a word that has to be typed."""

    scope: Scope | None = None
    word = ""
    """What has to be typed; empty: nothing, keys answer."""
    _typed = ""
    _done: Callable[[], None] | None = None
    _question: Ask | None = None
    _opened_s = 0.0
    _swallowed_s = 0.0
    _expected = Size()

    def __init__(self, actions: Registry, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._actions = actions

    @property
    def room(self) -> Size:
        """Return its size; before it has one, what it will be, so that it does not come up empty first."""
        return self.size or self._expected

    def open(
        self,
        scope: Scope,
        question: Ask,
        frame: Frame,
        *,
        word: str = "",
        done: Callable[[], None] | None = None,
    ) -> None:
        """Ask; ``frame`` is the moment at which the key was pressed. ``done`` is called once ``word`` is typed."""
        self.scope = scope
        self._question = question
        self._opened_s = self._swallowed_s = frame.now_s
        self.word, self._typed, self._done = word, "", done
        self.display = True
        self.show(frame)

    def close(self) -> None:
        """Stop asking."""
        self.scope = self._question = None
        self.word = ""
        self._expected = Size()
        self.display = False

    def swallows(self, now_s: float) -> bool:
        """Return whether a key comes too early for an answer: after the strip opened, or after another such key."""
        is_early = now_s - self._swallowed_s < GUARD_S and now_s - self._opened_s < MOST_GUARDED_S
        if is_early:
            self._swallowed_s = now_s
        return is_early

    def press(self, key: str, character: str | None) -> bool:
        """Take a key of the word while it is typed; return whether it was taken. The whole word is the answer."""
        if not self.word or (key != "backspace" and character is None):
            return False
        self._typed = self._typed[:-1] if key == "backspace" else (self._typed + (character or ""))[:_MOST_TYPED]
        if self._typed == self.word and self._done is not None:
            self._done()
        else:
            self.rebuild()
        return True

    def show(self, frame: Frame) -> None:
        """Take a new frame, and as many rows as the question needs."""
        # At the end there is a moment without any screen.
        width = self.screen.size.width if self.is_attached else 0
        if self._question is not None and width:
            num_rows = 1 + len(self.lines(frame, width, 0))
            self.styles.height = num_rows
            self._expected = Size(width, num_rows)
        super().show(frame)

    def title(self, frame: Frame) -> list[Span]:
        """Return what is asked, about which run."""
        return [] if self._question is None else [*self._question(frame).title]

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - as many as are needed
        """Return what is at stake and the keys that answer."""
        if self.scope is None or self._question is None:
            return []
        question = self._question(frame)
        stakes = (question.stake, *question.more)
        rows: list[Row] = [[(f" {line}", Role.TEXT)] for stake in stakes for line in wrap(stake, width - 2)]
        if self.word:
            rows.append([(f" Type {self.word} to go on: ", Role.TEXT), (self._typed, Role.STRONG), ("█", Role.KEY)])
        # What can't be done now is no answer.
        can_be = self._actions.within(self.scope)
        answers = [each for each in can_be if not (each.why_not(frame) or frame.refusals.get(each.id))]
        rows += wrapped([_hint(action) for action in answers], width)
        return [*rows, [(" Enter does nothing here.", Role.DIM)]]


def _hint(action: Action) -> Row:
    return [(action.key, Role.KEY), (f" {action.label}    ", Role.TEXT)]


def wrapped(hints: list[Row], width: int) -> list[Row]:
    """Return the hints one after the other, on as many rows of ``width`` cells as they need."""
    rows: list[Row] = [[(" ", Role.TEXT)]]
    for hint in hints:
        if len(rows[-1]) > 1 and row_width([*rows[-1], *hint]) - len("    ") > width:
            rows.append([(" ", Role.TEXT)])
        rows[-1] += hint
    # The gap after the last hint of a row would be cut, with a mark that something is.
    return [[*row[:-1], (row[-1][0].rstrip() or " ", row[-1][1])] for row in rows]
