"""What comes next with a dataset that was checked, in one row: the key to press, and why."""

from collections.abc import Sequence

from loratui.sessions.dataset import Found, Listed
from loratui.ui.text import Role, Row


def next_row(found: Sequence[Found], pictures: Sequence[Listed], *, has_config: bool) -> Row:
    """Return the row for what was found of the pictures; ``has_config``: a config was opened, and not a folder."""
    kinds = [each.finding.severity for each in found]
    errors, warnings = kinds.count("error"), kinds.count("warning")
    missing = sum(each.state == "missing" for each in pictures)
    if errors:
        return [(f" ! {_many(errors, 'error')}: ", Role.ALARM), ("f", Role.KEY), (" tells what to do", Role.TEXT)]
    on: Row = [("n", Role.KEY), (" shows the config" if has_config else " makes a config", Role.TEXT)]
    if missing:
        return [(f" - {missing} without a caption: ", Role.WARN), ("t", Role.KEY), (" adds a trigger", Role.TEXT)]
    if warnings:
        return [(f" OK, {_many(warnings, 'warning')}: ", Role.GOOD), ("f", Role.KEY), (" tells; ", Role.TEXT), *on]
    return [(" OK, no warnings: ", Role.GOOD), *on]


def _many(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
