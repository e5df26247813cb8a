"""Write docs/keys.md from the registry of actions: write_keys_docs.py.

The registry is what the interface itself reads; a test fails when the file is not up to date.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from loratui.ui.actions import ACTIONS
from loratui.ui.places import PLACES
from loratui.ui.registry import Action, Danger, Scope, shown

DOCUMENT = Path(__file__).parents[1] / "docs" / "keys.md"

INTRODUCTION = """\
# Keys

<!-- Written by scripts/write_keys_docs.py from tui/loratui/ui/actions; change the actions instead. -->

`?` shows these keys on the screen, and `^p` finds any action by its name. `^` is the control key. While a text is
typed, only control and function keys mean something, and tab completes a path. What is asked at the foot of the screen
is never answered by Enter, and keys typed ahead of a question are ignored. The last columns are what does the same from
a shell, and the name under which `config.toml` gives an action other keys:

```toml
[keys]
pause = "P"             # instead of p
help = ["f1", "ctrl+g"] # several
```

These keep the same rules as those below: no key means two things at once, nothing that can't be taken back is one
slip of the shift key away from something harmless, or is confirmed with Enter, space or the key that asked.
"""

_DANGERS = {
    Danger.SAFE: "",
    Danger.REVERSIBLE: "can be undone",
    Danger.SPENDS: "spends money: asked before",
    Danger.IRREVERSIBLE: "can't be taken back: asked before",
}


def document() -> str:
    """Return the whole document."""
    tabs = ", ".join(f"`{place.key}` {place.title} ({place.about})" for place in PLACES)
    parts = [INTRODUCTION, f"\nThe screens: {tabs}.\n"]
    parts += (_section(scope) for scope in Scope if ACTIONS.within(scope))
    return "".join(parts)


def _section(scope: Scope) -> str:
    head = f"\n## {scope.value}\n\n| Keys | Action | | | Command | Name |\n| --- | --- | --- | --- | --- | --- |\n"
    return head + "".join(_rows(ACTIONS.within(scope)))


def _rows(actions: Iterable[Action]) -> Iterable[str]:
    for action in actions:
        keys = " ".join(f"`{shown(key)}`" for key in action.keys)
        command, about = f"`{action.command}`" if action.command else "", ACTIONS.fill(action.help)
        yield f"| {keys} | {action.label} | {about} | {_DANGERS[action.danger]} | {command} | `{action.id}` |\n"


def main() -> int:
    """Write the document."""
    DOCUMENT.write_text(document(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
