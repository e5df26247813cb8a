"""Nothing that can't be taken back happens by accident."""

from pathlib import Path

import pytest

from loratui.ui.widgets.confirm_strip import GUARD_S
from support.ui_pilot import showing


async def test_only_the_key_that_is_named_stops_the_run() -> None:
    async with showing() as shown:
        await shown.press("x")
        shown.clock.advance(1)
        await shown.press("enter", "space", "x", "y", "F", "p", "q", "0", "left")

        assert shown.source.sent == []
        assert "Enter does nothing here" in shown.text()


async def test_keys_typed_ahead_of_the_question_do_not_answer_it() -> None:
    async with showing() as shown:
        await shown.press("x", "f")
        assert shown.source.sent == []
        shown.clock.advance(GUARD_S + 0.01)
        await shown.press("f")

        assert shown.source.sent == [("stop", 0)]
        assert "Enter does nothing" not in shown.text()


async def test_a_strip_opened_from_another_is_guarded_again() -> None:
    async with showing() as shown:
        await shown.press("q")
        shown.clock.advance(1)
        await shown.press("x", "f")

        assert shown.source.sent == []


async def test_the_screen_above_the_question_keeps_running() -> None:
    async with showing() as shown:
        await shown.press("x")
        before = shown.rows()
        await shown.tick(5)

        after = shown.rows()
        assert before[0] != after[0]
        assert "TRAINING" in after[0]
        assert "AUTO-STOP" in after[1]
        assert after[-4].startswith("─ STOP my-style-v3")


async def test_a_run_that_ended_meanwhile_is_not_stopped_again(tmp_path: Path) -> None:
    async with showing() as shown:
        await shown.press("x")
        shown.source.finish(tmp_path)
        await shown.tick()
        await shown.press("f")

        assert shown.source.sent == []
        assert "not now, the run is done" in shown.text()


@pytest.mark.parametrize("key", ["?", "ctrl+p"])
async def test_help_and_palette_leave_the_status_in_sight(key: str) -> None:
    async with showing() as shown:
        await shown.press(key)

        assert "TRAINING" in shown.rows()[0]
        assert "AUTO-STOP" in shown.rows()[1]
