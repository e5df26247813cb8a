"""Everything the user can do, done by its key and by its name."""

import time
from pathlib import Path

import pytest

from loratui.domain.run import LinkState
from loratui.ui.actions import ACTIONS
from loratui.ui.actions.run import UNDO_S
from loratui.ui.environment import UiOptions
from loratui.ui.registry import Scope
from loratui_protocol.errors import UsageError
from loratui_protocol.messages import CommandResult, JobState, State
from support.scripted_source import HandClock, ScriptedSource
from support.ui_effects import EFFECTS
from support.ui_effects.effect import Effect
from support.ui_pilot import Shown, showing

_WAIT_S = 5.0
_ASKED = (
    Scope.STOP_STRIP,
    Scope.DETACH_STRIP,
    Scope.CHANGE_STRIP,
    Scope.END_STRIP,
    Scope.LOSS_STRIP,
    Scope.TYPE_STRIP,
    Scope.UNDO_WINDOW,
    Scope.COST,
    Scope.CONFIG_WRITE_STRIP,
    Scope.CONFIG_TRAIN_STRIP,
    Scope.RESUME_STRIP,
    Scope.RATE_STRIP,
    Scope.INSTALL_STRIP,
    Scope.DELETE_FILE_STRIP,
    Scope.RIGHTS_STRIP,
    Scope.RENT_STRIP,
    Scope.GIVE_UP_STRIP,
    Scope.KEYS_STRIP,
    Scope.HELP,
)
IN_PALETTE = [action.id for action in ACTIONS if action.scope not in _ASKED and action.id != "palette"]


async def comes(effect: Effect, shown: Shown) -> bool:
    """Wait until an action has done what it should; what a screen does may come from a thread."""
    end_s = time.monotonic() + _WAIT_S
    while not effect.check(shown):
        if time.monotonic() > end_s:
            return False
        await shown.pilot.pause(0.01)
    return True


def test_the_table_names_every_action() -> None:
    assert set(EFFECTS) == {action.id for action in ACTIONS}


@pytest.mark.parametrize(("action_id", "key"), [(action.id, key) for action in ACTIONS for key in action.keys])
async def test_an_action_is_done_by_each_of_its_keys(action_id: str, key: str, tmp_path: Path) -> None:
    effect = EFFECTS[action_id]
    async with effect.start(tmp_path) as shown:
        for earlier in effect.before:
            await shown.press(earlier)
            shown.clock.advance(1)
        sent, errands = shown.source.sent, shown.screen.errands.all
        before = len(sent), len(errands)
        await shown.press(key)

        assert await comes(effect, shown), shown.text()
        is_shown_only = not ACTIONS[action_id].command
        assert not is_shown_only or (len(sent), len(errands)) == before, "what changes something names its command"


@pytest.mark.parametrize("action_id", IN_PALETTE)
async def test_an_action_is_done_by_its_name_in_the_palette(action_id: str, tmp_path: Path) -> None:
    effect = EFFECTS[action_id]
    async with effect.start(tmp_path) as shown:
        for earlier in effect.before:
            await shown.press(earlier)
            shown.clock.advance(1)
        await shown.press("f2")
        await shown.type(ACTIONS[action_id].label)
        await shown.press("enter")

        assert await comes(effect, shown), shown.text()


async def test_an_action_that_can_not_be_done_says_why(tmp_path: Path) -> None:
    async with showing() as shown:
        await shown.press("i")

        assert "Sample pictures: not now, no samples yet" in shown.text()


async def test_without_a_link_commands_are_refused_and_named_in_the_palette() -> None:
    clock = HandClock()
    source = ScriptedSource(clock)
    source.run.heard(LinkState.DOWN, clock.monotonic_s())
    async with showing(source, clock) as shown:
        await shown.press("c")
        assert "Checkpoint now: not now, no link to the agent" in shown.text()

        await shown.press("ctrl+p")
        await shown.type("checkpoint")
        assert "not now: no link to the agent" in shown.text()
        await shown.press("enter")
        assert source.sent == []


async def test_a_read_only_screen_sends_nothing() -> None:
    async with showing(options=UiOptions(readonly=True)) as shown:
        for action in ACTIONS.within(Scope.RUN):
            if action.id != "pictures":
                await shown.press(action.keys[0])

        assert shown.source.sent == []
        assert "read-only" in shown.text()


async def test_an_extension_can_be_taken_back_for_ten_seconds_only() -> None:
    async with showing() as shown:
        await shown.press("e")
        assert "+30 min, up to +$0.34" in shown.text()
        shown.clock.advance(UNDO_S + 1)
        await shown.press("u")

        assert shown.source.sent == [("extend", 1800)]
        assert "no extension in the last 10 s" in shown.text()


async def test_each_extension_is_taken_back_once() -> None:
    async with showing() as shown:
        await shown.press("e", "e", "u", "u", "u")
        assert [seconds for _, seconds in shown.source.sent] == [1800, 1800], "nobody knows yet what became of them"
        for answer in shown.source.answers[:2]:
            answer.set_result(done(ok=True))
        await shown.tick()

        assert [seconds for _, seconds in shown.source.sent] == [1800, 1800, -1800, -1800]


async def test_an_extension_that_is_through_is_taken_back_at_once() -> None:
    async with showing() as shown:
        await shown.press("e")
        shown.source.answers[0].set_result(done(ok=True))
        await shown.press("u")

        assert shown.source.sent == [("extend", 1800), ("extend", -1800)]


@pytest.mark.parametrize("is_known", [True, False])
async def test_an_extension_that_came_to_nothing_is_not_taken_back(is_known: bool) -> None:
    """Else what there was before would be shortened."""
    async with showing() as shown:
        await shown.press("e")
        if not is_known:
            await shown.press("u")
        shown.source.answers[0].set_exception(UsageError("there is too little on the account"))
        if is_known:
            await shown.press("u")
        await shown.tick()

        assert shown.source.sent == [("extend", 1800)]


def done(*, ok: bool) -> CommandResult:
    return CommandResult(id="1", command="extend", author="me", ok=ok)


@pytest.mark.parametrize("state", [JobState.PAUSED, JobState.STOPPED, JobState.FAILED])
async def test_the_pause_key_resumes_what_does_not_train(state: JobState) -> None:
    async with showing() as shown:
        shown.source.add(State(state=state))
        await shown.tick()
        assert "p Resume" in shown.text()
        await shown.press("p")

        assert shown.source.sent == [("resume", 0)]


async def test_leaving_a_run_that_is_over_asks_nothing(tmp_path: Path) -> None:
    async with showing() as shown:
        shown.source.finish(tmp_path)
        await shown.tick()
        await shown.press("q")

        assert shown.app.return_value == 0
