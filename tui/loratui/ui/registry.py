"""What an action is, and the rules that keys must keep; keys, footer, palette and help are all read from a registry."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, IntEnum

from loratui.ui.frame import Frame

_SHOWN = {
    "escape": "esc",
    "left": "←",
    "right": "→",
    "delete": "del",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "question_mark": "?",
}
# Taken by multiplexers or job control, or not told apart from other keys: ^i is tab, ^m enter, ^h backspace.
_FORBIDDEN = frozenset(
    (
        "ctrl+a",
        "ctrl+b",
        "ctrl+h",
        "ctrl+i",
        "ctrl+j",
        "ctrl+m",
        "ctrl+s",
        "ctrl+z",
        "ctrl+left_square_bracket",
        "ctrl+[",
    )
)
_NAMED = re.compile(r"\{(\w+)\}")
_FORBIDDEN_CHORDS = ("alt+", "shift+enter", "ctrl+enter", "ctrl+shift+", "ctrl+?")


class Scope(Enum):
    """Where an action's keys work. A scope that is modal takes all keys but the global ones."""

    GLOBAL = "Everywhere"
    PAGES = "Every screen"
    LIST = "Lists"
    MARKS = "Lists with marks"
    FOUND = "Lists while a filter stands"
    HOME = "Home"
    DATA = "Data"
    CONFIG = "Config"
    CONFIG_CHOICE = "Comparison and findings of a config"
    OFFERS = "Offers"
    OFFER_FORM = "Form of the filter of offers"
    RUN = "Run"
    CHART = "Chart"
    LOG = "Log of the run"
    COMPARE = "Compare with which run?"
    QUEUE = "Queue"
    FILES = "Files"
    SAMPLES = "Samples"
    NEXT_STEPS = "What to try next"
    LOG_PAGE = "Log"
    SETTINGS = "Settings"
    ASIDE = "Events and settings"
    RESUME_STRIP = "Go on with this run?"
    STOP_STRIP = "Stop this run?"
    DETACH_STRIP = "Leave the run alone?"
    CHANGE_STRIP = "Change these files?"
    END_STRIP = "Terminate this rental?"
    LOSS_STRIP = "Terminate it, with something to lose?"
    TYPE_STRIP = "Terminate it, and lose what is on it?"
    UNDO_WINDOW = "While a rental is about to be terminated"
    COST = "What it costs"
    CONFIG_WRITE_STRIP = "Write this config?"
    CONFIG_TRAIN_STRIP = "Train this config?"
    RATE_STRIP = "What is this file worth?"
    DELETE_FILE_STRIP = "Delete this file?"
    INSTALL_STRIP = "Install this file?"
    RIGHTS_STRIP = "May these pictures be trained on?"
    RENT_STRIP = "Rent this machine?"
    GIVE_UP_STRIP = "Give this rental up?"
    KEYS_STRIP = "Whose key?"
    HELP = "Help"

    def overlaps(self, other: "Scope") -> bool:
        """Return whether one key could mean an action of either scope."""
        return (
            self is other or Scope.GLOBAL in (self, other) or any(self in page and other in page for page in _TOGETHER)
        )


_PAGES_WITH_A_LIST = (
    Scope.HOME,
    Scope.DATA,
    Scope.OFFERS,
    Scope.QUEUE,
    Scope.FILES,
    Scope.COMPARE,
    Scope.OFFER_FORM,
)
_TOGETHER = (
    *((Scope.PAGES, Scope.LIST, Scope.MARKS, page) for page in _PAGES_WITH_A_LIST),
    (Scope.PAGES, Scope.LIST, Scope.MARKS, Scope.ASIDE, Scope.SETTINGS),
    (Scope.PAGES, Scope.LIST, Scope.CONFIG),
    (Scope.PAGES, Scope.LIST, Scope.CONFIG_CHOICE),
    (Scope.PAGES, Scope.RUN, Scope.CHART, Scope.LOG),
    (Scope.PAGES, Scope.SAMPLES),
    (Scope.PAGES, Scope.LIST, Scope.NEXT_STEPS),
    (Scope.PAGES, Scope.LOG_PAGE),
)
"""Scopes whose keys work at the same time. Those of a filter that stands come before what they mean else."""


class Danger(IntEnum):
    """What can't be taken back, and so how an action asks."""

    SAFE = 0
    REVERSIBLE = 1
    SPENDS = 2
    IRREVERSIBLE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something that the user can do.

    ``keys`` are named as they are typed ("p", "+", "ctrl+p", "left"); the first is the one shown. ``footer`` is the
    short form for the footer, empty when it has no place there. ``why_not`` returns why it can't be done now, in a
    few words, or nothing. In ``help`` the key of another action stands as its id, "{undo}". ``opens`` is the strip in
    which the action asks before it is done, ``or_opens`` the one where less is at stake. ``command`` is what does the
    same from a shell, empty for what only changes the view.
    """

    id: str
    keys: tuple[str, ...]
    label: str
    help: str
    scope: Scope
    footer: Callable[[Frame], str] = lambda _: ""
    danger: Danger = Danger.SAFE
    changes: bool | None = None
    """Whether it changes more than the view: a run, a file, an account. None: if it has a danger, or asks first."""
    opens: Scope | None = None
    or_opens: Scope | None = None
    why_not: Callable[[Frame], str] = lambda _: ""
    command: str = ""

    @property
    def key(self) -> str:
        """Return the first key as the screen shows it."""
        return shown(self.keys[0])

    @property
    def is_for_watching(self) -> bool:
        """Return whether it may be done by who only watches."""
        if self.changes is not None:
            return not self.changes
        return self.danger is Danger.SAFE and self.opens is None


class KeyConflictError(Exception):
    """The actions break a rule about keys: a mistake in the program."""


def shown(key: str) -> str:
    """Return the key as people read it."""
    if key.startswith("ctrl+"):
        return "^" + key.removeprefix("ctrl+")
    return _SHOWN.get(key, key.upper() if key[:1] == "f" and key[1:].isdigit() else key)


class Registry:
    """All actions, checked.

    Raises:
        KeyConflictError: two actions share a key where both could be meant, a key is one that terminals swallow, a
            slip of the shift key could do harm, or a harmful action is confirmed with the key that asked for it.
    """

    def __init__(self, actions: Iterable[Action]) -> None:
        self._actions = {action.id: action for action in actions}
        by_key = defaultdict[str, list[Action]](list)
        for action in self:
            _check_alone(action)
            for key in action.keys:
                by_key[key].append(action)
        for action in self:
            # Only those with a key in common, but for the shift key, can get in each other's way.
            near = {id(other): other for key in action.keys for like in (key, key.swapcase()) for other in by_key[like]}
            for other in near.values():
                if other is not action:
                    _check_together(action, other)

    def __iter__(self) -> Iterator[Action]:
        return iter(self._actions.values())

    def __getitem__(self, action_id: str) -> Action:
        return self._actions[action_id]

    def name_of(self, action_id: str) -> str:
        """Return the key of an action as every text has to call it: it may be one of the user's."""
        return self[action_id].key

    def fill(self, text: str) -> str:
        """Return a text of ours in which the keys of actions stand for their ids, as in "{undo} takes it back"."""
        return _NAMED.sub(lambda found: self.name_of(found[1]), text)

    def find(self, key: str, scopes: Iterable[Scope]) -> Action | None:
        """Return the action that ``key`` means in these scopes."""
        wanted = (*scopes, Scope.GLOBAL)
        return next((action for action in self if action.scope in wanted and key in action.keys), None)

    def within(self, *scopes: Scope) -> list[Action]:
        """Return the actions of these scopes, in their order."""
        return [action for action in self if action.scope in scopes]


def _check_alone(action: Action) -> None:
    for key in action.keys:
        if key in _FORBIDDEN or key.startswith(_FORBIDDEN_CHORDS):
            raise KeyConflictError(f"{action.id}: {key} does not reach a program on every terminal")
        if action.danger >= Danger.SPENDS and key in ("enter", "space"):
            raise KeyConflictError(f"{action.id}: {key} is pressed without thinking")


def _check_together(action: Action, other: Action) -> None:
    harmful = action.danger >= Danger.SPENDS
    if action.scope.overlaps(other.scope):
        if shared := set(action.keys) & set(other.keys):
            raise KeyConflictError(f"{action.id} and {other.id} share {shared.pop()}")
        if harmful and other.danger < Danger.SPENDS:
            for key in action.keys:
                if len(key) == 1 and key.swapcase() != key and key.swapcase() in other.keys:
                    raise KeyConflictError(f"{action.id} ({key}) and {other.id} differ only by shift")
    if harmful and action.scope in (other.opens, other.or_opens) and set(action.keys) & set(other.keys):
        raise KeyConflictError(f"{action.id} is confirmed with the key that {other.id} is asked with")
