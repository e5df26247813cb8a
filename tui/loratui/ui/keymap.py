"""The keys that the user wants instead of an action's own, held to the same rules."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace

from loratui.ui.registry import KeyConflictError, Registry
from loratui_protocol.errors import UsageError

_ALSO_CALLED = {"esc": "escape", "pgup": "pageup", "pgdn": "pagedown", "return": "enter", "←": "left", "→": "right"}
_NAMED = (
    *("escape", "enter", "space", "tab", "shift+tab", "backspace", "delete", "insert"),
    *("home", "end", "pageup", "pagedown", "up", "down", "left", "right"),
)
_FUNCTION_OR_CONTROL = re.compile(r"f([1-9]|1[0-9]|2[0-4])|ctrl\+[a-z\\\]\[^_@]")


def with_keys(registry: Registry, wanted: Mapping[str, tuple[str, ...]]) -> Registry:
    """Return the registry with the keys that were wanted; the others stay.

    Raises:
        UsageError: there is no such action or key, or the keys break a rule of the registry.
    """
    if not wanted:
        return registry
    ids = [action.id for action in registry]
    for action_id in wanted:
        if action_id not in ids:
            near = difflib.get_close_matches(action_id, ids, 1, 0.5)
            raise UsageError(
                f"config.toml gives keys to {action_id!r}, which is no action",
                fix=f"did you mean keys.{near[0]}?" if near else "docs/keys.md has the names of all actions",
                code="config.unknown_key",
            )
    keys = {action_id: tuple(_key(action_id, key) for key in typed) for action_id, typed in wanted.items()}
    try:
        return Registry(replace(action, keys=keys.get(action.id, action.keys)) for action in registry)
    except KeyConflictError as error:
        raise UsageError(
            f"the keys of config.toml can't be used: {error}",
            fix="choose another key, or give the other action another one as well",
            code="config.keys",
        ) from error


def _key(action_id: str, typed: str) -> str:
    """Return the key as the registry names it."""
    if len(typed) == 1:
        key = _ALSO_CALLED.get(typed, typed)
    else:
        low = typed.lower()
        low = f"ctrl+{low[1:]}" if re.fullmatch(r"\^.", low) else low
        key = _ALSO_CALLED.get(low, low)
    if (len(key) == 1 and key.isprintable()) or key in _NAMED or _FUNCTION_OR_CONTROL.fullmatch(key):
        return key
    near = difflib.get_close_matches(key, _NAMED, 1, 0.5)
    raise UsageError(
        f"keys.{action_id} in config.toml is {typed!r}, which is no key",
        fix=f"did you mean {near[0]!r}?" if near else 'keys are written as in "p", "ctrl+p", "f5", "space", "left"',
        code="config.keys",
    )
