"""One line to type something into, in the place of the footer, and above it what there is to know to answer."""

import re
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Key
from textual.geometry import Region
from textual.widgets import Input
from textual.widgets.input import Selection

from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, cells, plain, retyped
from loratui.ui.typed_path import completed_path
from loratui.ui.widgets.rows import Rows

_WITHOUT = ("copy", "cut", "paste")
"""^c leaves the program everywhere; what a terminal pastes comes as text."""
_ACTION = re.compile(r"(\w+)(\(True\))?")


class Typed(Enum):
    """What is asked for."""

    TEXT = auto()
    """Goes on from what stands there."""
    ANSWER = auto()
    """What stands there is a whole answer: what is typed takes its place, and arrow keys let it be changed."""
    SECRET = auto()
    """Hidden while it is typed."""
    MONEY = auto()
    """An answer, how much may be spent: never offered out of an earlier session."""
    PATH = auto()
    """Of this machine: tab completes it."""


class Field(Input, inherit_bindings=False):
    """A line of text without anything that blinks. The shell hands it its keys, so that they keep their order.

    Textual types letters at once, and does what backspace or enter says a round later: of keys that come together,
    as they do on a slow line, the later ones first.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        binding for binding in Input.BINDINGS if not (isinstance(binding, Binding) and binding.action in _WITHOUT)
    ]

    def __init__(self, submitted: Callable[[], None], *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id, compact=True, select_on_focus=False)
        self.cursor_blink = False
        self.is_path = False
        self._submitted = submitted

    def press(self, event: Key) -> bool:
        """Do what a key means to a line of text; return whether it means anything."""
        if event.is_printable and event.character is not None:
            self.paste(event.character)
            return True
        if event.key == "tab" and self.is_path:
            before, behind = self.value[: self.cursor_position], self.value[self.cursor_position :]
            completed = completed_path(before)
            self.value, self.cursor_position = completed + behind, len(completed)
            return True
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            if binding.action == "submit":
                self._submitted()
            elif match := _ACTION.fullmatch(binding.action):
                getattr(self, f"action_{match[1]}")(*([True] if match[2] else []))
            return True
        return False

    def paste(self, text: str) -> None:
        """Put text in the place of what is selected, or at the cursor; of several lines the first."""
        self.replace("".join(text.splitlines()[:1]), *self.selection)

    def show_cursor(self) -> None:
        """Bring the part of the text into sight in which the cursor is."""
        before = cells(self.value[: self.cursor_position])
        self.scroll_to_region(Region(before, 0, 1, 1), force=True, animate=False)


class _Label(Rows):
    text = ""

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - one row
        return [[(f" {self.text} ", Role.TITLE)]]


class _Told(Rows):
    lines: Sequence[str] = ()

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - cut by the caller
        return [[(f" {line}", Role.DIM)] for line in self.lines]


class Prompt(Vertical):
    """Asks for one text at a time; enter takes it, escape does not."""

    is_open = False
    _held: object | None = None

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._told = _Told(id="prompt-told")
        self._label = _Label(id="prompt-label")
        self._field = Field(self._take, id="prompt-field")
        self._done: Callable[[str], None] = lambda _: None
        self._value = ""

    def compose(self) -> ComposeResult:
        """Put the label before the field, and both below what is told."""
        yield self._told
        with Horizontal():
            yield self._label
            yield self._field

    def open(self, label: str, value: str, done: Callable[[str], None], frame: Frame, kind: Typed = Typed.TEXT) -> None:
        """Ask; ``done`` gets the text.

        What is not touched of ``value`` is handed over as it was, though not all of it can be shown.
        """
        self._label.text = plain(label)
        self._label.styles.width = cells(self._label.text) + 2
        self._field.password, self._field.is_path = kind is Typed.SECRET, kind is Typed.PATH
        self._field.value = plain(value)
        end = len(self._field.value)
        self._field.selection = Selection(0 if kind in (Typed.ANSWER, Typed.MONEY) else end, end)
        self._done, self._value = done, value
        self.is_open = self.display = True
        self._held = None
        self._label.show(frame)
        self.tell(["tab completes it"] if kind is Typed.PATH else [])
        # At once: the next key may be in the queue already.
        self.screen.set_focus(self._field)
        # Until it is laid out it has no width, and would show the beginning of what is long.
        self.call_after_refresh(self._field.show_cursor)

    def tell(self, lines: Sequence[str]) -> None:
        """Say above the field what helps to answer."""
        self._told.lines = [plain(line) for line in lines]
        self._told.styles.height = len(lines)
        self._told.display = bool(lines)
        if self._label.frame is not None:
            self._told.show(self._label.frame)

    def hold(self, label: str, frame: Frame) -> object:
        """Keep the keys until the next question is there: what is typed ahead is neither a command nor its answer.

        Returns what ``holds`` is asked with whether it is still this one that is waited for.
        """
        self.open(label, "", lambda _: None, frame)
        self._held = object()
        return self._held

    @property
    def is_held(self) -> bool:
        """Return whether the next question is still being prepared; what is typed meanwhile is for nothing."""
        return self._held is not None

    def holds(self, held: object) -> bool:
        """Return whether the keys are kept since then, neither given up by escape nor taken for something else."""
        return self._held is held

    def close(self) -> None:
        """Stop asking, and forget what was typed."""
        self.is_open = self.display = False
        self._held = None
        self._field.value = self._value = ""

    def press(self, event: Key) -> bool:
        """Do what a key means while a text is typed; return whether it means anything."""
        return self.is_held or self._field.press(event)

    @property
    def text(self) -> str:
        """Return what stands there now; nothing while no question does."""
        return retyped(self._value, self._field.value) if self.is_open and not self.is_held else ""

    def paste(self, text: str) -> None:
        """Type all of a text."""
        if not self.is_held:
            self._field.paste(text)

    def _take(self) -> None:
        """Hand the text over."""
        done, text = self._done, retyped(self._value, self._field.value)
        self.screen.set_focus(None)
        self.close()
        done(text)
