"""A read-only interface watches: nothing that changes a run, a file or an account can be done, and it says why."""

import pytest

from loratui.ui.actions import ACTIONS
from loratui.ui.environment import UiOptions
from loratui.ui.keyboard import READ_ONLY
from loratui.ui.registry import Action, Danger
from support.ui_pilot import showing

_LOOKS = (
    *("attach", "rentals", "offers", "check", "logs", "config show"),
    *("files list", "files verify", "advice"),
)


def only_looks(action: Action) -> bool:
    """Return whether what does the same from a shell changes nothing."""
    looks = tuple(f"loratui {look} " for look in _LOOKS)
    commands = [f"{command} " for command in action.command.split("; ")]
    return all(
        command.startswith(looks) and not {"--fix", "--yes", "--write"} & {*command.split()} for command in commands
    )


@pytest.mark.parametrize("action", [action for action in ACTIONS if action.command], ids=lambda action: action.id)
def test_who_watches_may_do_what_only_looks(action: Action) -> None:
    # Opening a run that is done fetches it, which a read-only screen leaves out.
    assert action.is_for_watching == (only_looks(action) or action.id == "open_run")


def test_nothing_that_has_a_danger_is_for_watching() -> None:
    assert not [each.id for each in ACTIONS if each.danger >= Danger.SPENDS and each.is_for_watching]


async def test_every_change_is_refused_with_the_reason() -> None:
    async with showing(options=UiOptions(readonly=True)) as shown:
        shell = shown.screen
        for action in ACTIONS:
            refused = shell.keyboard.why_not(action, shell.frame()) == READ_ONLY
            assert refused != action.is_for_watching, action.id
        await shown.press("ctrl+t")
        assert f"Terminate…: not now, {READ_ONLY}" in shown.text()
        assert "read-only" in shown.rows()[0], "the first row says so all the time"
        await shown.press("L")
        assert "log · L m" in shown.text(), "what only changes the view works"
