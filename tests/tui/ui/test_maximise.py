"""One pane with all the room, at every size, and everything back as it was."""

import pytest

from support.ui_pilot import showing

SIZES = [(60, 16), (80, 24), (120, 40), (200, 60)]


@pytest.mark.parametrize("size", SIZES)
async def test_chart_and_log_take_the_page_in_turn(size: tuple[int, int]) -> None:
    async with showing(size=size) as shown:
        await shown.tick(0)
        before = shown.rows()
        await shown.press("z")
        chart = shown.rows()
        assert chart[3].startswith("─ loss")
        assert "└" in chart[-3], "the axis is at the foot of the page"
        assert "─ log" not in shown.text()
        assert "─ run" not in shown.text()

        await shown.press("z")
        assert shown.rows()[3].startswith("─ log")
        assert "─ loss" not in shown.text()
        assert sum("step" in row for row in shown.rows()[4:-1]) == size[1] - 5, "every row is a line of the log"

        await shown.press("z")
        assert shown.rows() == before


async def test_an_enlarged_pane_stays_through_sizes_and_screens() -> None:
    async with showing() as shown:
        await shown.press("z", "z")
        for size in SIZES:
            await shown.resize(*size)
            assert shown.rows()[3].startswith("─ log"), shown.text()
        await shown.press("1", "5")
        assert shown.rows()[3].startswith("─ log")


async def test_a_screen_of_one_pane_says_so() -> None:
    async with showing() as shown:
        await shown.press("1", "z")

        assert "nothing to enlarge" in shown.text()
