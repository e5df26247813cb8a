"""Everything the user can do, done by its key and by its name."""

from collections.abc import Callable
from pathlib import Path

import pytest

from loratui.domain.run import LinkState
from loratui.ui.actions import ACTIONS, UNDO_S
from loratui.ui.environment import UiOptions
from loratui.ui.registry import Action, Scope
from loratui.ui.widgets.palette import Palette
from loratui_protocol.errors import UsageError
from loratui_protocol.messages import CommandResult, JobState, State
from support.scripted_source import HandClock, ScriptedSource
from support.ui_pilot import Shown, showing

PROMPTS = ("a zog", "a red zog", "a zog at night", "a zog in snow")


def exits_with(status: int) -> Callable[[Shown], bool]:
    return lambda shown: shown.app.return_value == status


def shows(*texts: str) -> Callable[[Shown], bool]:
    return lambda shown: all(text in shown.text() for text in texts)


def lacks(text: str) -> Callable[[Shown], bool]:
    return lambda shown: text not in shown.text()


def sent(*commands: tuple[str, float]) -> Callable[[Shown], bool]:
    return lambda shown: shown.source.sent == list(commands)


def column_of(label: str, shown: Shown) -> int:
    """Return where on the x axis the label stands."""
    axis = next(index for index, row in enumerate(shown.rows()) if row.startswith("      └"))
    return shown.rows()[axis + 1].index(label)


# What is pressed before the action, and what must be so after it.
EFFECTS: dict[str, tuple[tuple[str, ...], Callable[[Shown], bool]]] = {
    "pause": ((), sent(("pause", 0))),
    "checkpoint": ((), sent(("checkpoint", 0))),
    "sample": ((), sent(("sample", 0))),
    "extend": ((), sent(("extend", 1800))),
    "undo": (("e",), shows("taken back as soon as it is through")),
    "stop": ((), shows("STOP my-style-v3", "f Finish the step, save, stop", "Enter does nothing here")),
    "stop_finish": (("x",), sent(("stop", 0))),
    "stop_cancel": (("x",), lacks("Enter does nothing")),
    "leave": ((), shows("LEAVE my-style-v3", "d Detach", "auto-stop")),
    "leave_detach": (("q",), exits_with(0)),
    "leave_stop": (("q",), shows("STOP my-style-v3")),
    "leave_cancel": (("q",), lacks("Enter does nothing")),
    "detach": ((), exits_with(0)),
    "interrupt": ((), exits_with(130)),
    "redraw": ((), shows("TRAINING")),
    "log_scale": ((), shows("log · L m")),
    "smooth": ((), shows("ema 200 steps")),
    "zoom_in": ((), lambda shown: "   500   " not in shown.text() and "1000" in shown.text()),
    "zoom_out": (("+",), shows("   500   ", "2000")),
    "zoom_all": (("+", "+"), shows("   500   ", "2000")),
    "pan_left": (("+", "+", "+"), lambda shown: column_of("1200", shown) > 45),
    "pan_right": (("+", "+", "+", "left"), lambda shown: column_of("1200", shown) < 40),
    "log_up": ((), shows("scrolled · G follows")),
    "log_down": (("pageup",), shows("─ follow ─")),
    "log_end": (("pageup", "pageup"), shows("─ follow ─")),
    "pictures": ((), shows("samples  step 1200  (2 of 2)", "a red zog", "▀▀")),
    "earlier": (("i",), shows("samples  step 1000  (1 of 2)")),
    "later": (("i", "["), shows("samples  step 1200  (2 of 2)")),
    "pictures_close": (("i",), shows("─ loss", "─ log")),
    "help": ((), shows("─ keys", "Pause or resume", "^p F2     Commands")),
    "help_close": (("?",), shows("─ loss", "─ log")),
    "palette": ((), shows("commands  >", "enter does it")),
}
NEWEST_SAMPLES = 1200
PALETTE_ACTIONS = [
    action for action in ACTIONS.within(Scope.RUN, Scope.CHART, Scope.LOG, Scope.GLOBAL) if action.id != "palette"
]


def trained(folder: Path, clock: HandClock) -> ScriptedSource:
    source = ScriptedSource(clock)
    for step in (1000, NEWEST_SAMPLES):
        source.paint_samples(folder, step, PROMPTS)
    return source


def test_the_table_names_every_action() -> None:
    assert set(EFFECTS) == {action.id for action in ACTIONS}


@pytest.mark.parametrize(("action_id", "key"), [(action.id, key) for action in ACTIONS for key in action.keys])
async def test_an_action_is_done_by_each_of_its_keys(action_id: str, key: str, tmp_path: Path) -> None:
    before, effect = EFFECTS[action_id]
    clock = HandClock()
    async with showing(trained(tmp_path, clock), clock) as shown:
        for earlier in before:
            await shown.press(earlier)
            clock.advance(1)
        await shown.press(key)

        assert effect(shown), shown.text()


@pytest.mark.parametrize("action", PALETTE_ACTIONS, ids=lambda action: action.id)
def test_the_palette_finds_every_action_by_its_name(action: Action) -> None:
    palette = Palette(id="palette")
    for char in action.label:
        assert palette.press(char, char) is None

    assert palette.press("enter", None) is action


@pytest.mark.parametrize("action_id", ["checkpoint", "stop", "zoom_in", "log_up", "help", "detach"])
async def test_what_the_palette_finds_is_done(action_id: str, tmp_path: Path) -> None:
    clock = HandClock()
    async with showing(trained(tmp_path, clock), clock) as shown:
        await shown.press("f2")
        await shown.type(ACTIONS[action_id].label)
        await shown.press("enter")

        assert EFFECTS[action_id][1](shown), shown.text()


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
            if action.id not in ("pictures", "leave"):
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
