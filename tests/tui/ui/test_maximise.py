"""One pane with all the room, at every size, and everything back as it was."""

from pathlib import Path

import pytest

from support.ui_effects.config import on_config
from support.ui_effects.data import on_pictures
from support.ui_effects.effect import shows, until
from support.ui_effects.offers import at_market
from support.ui_effects.samples import on_samples
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


async def test_a_picture_takes_the_page_and_the_cursor_still_moves(tmp_path: Path) -> None:
    async with on_pictures(tmp_path) as shown:
        for size in SIZES:
            await shown.resize(*size)
            before = shown.rows()[3]
            await shown.press("z")
            assert shown.rows()[3].startswith("─ a.png")
            assert "─ pictures" not in shown.text()
            await shown.press("down")
            assert shown.rows()[3].startswith("─ b.png")
            await until(shown, shows("▀"))
            await shown.press("up", "z")
            assert shown.rows()[3] == before


async def test_a_sample_takes_the_page_and_gives_it_back(tmp_path: Path) -> None:
    async with on_samples(tmp_path) as shown:
        await shown.press("z")
        await until(shown, shows("weight 1  step 1200"))
        await shown.press("z")
        assert "weight 1  step 1200" not in shown.text()


async def test_the_plan_and_the_offers_take_the_page(tmp_path: Path) -> None:
    async with on_config(tmp_path / "config") as shown:
        await shown.resize(60, 16)
        await shown.press("z")
        assert shown.rows()[3].startswith("─ plan")
        assert "steps" in shown.text()
    async with at_market(tmp_path / "market") as (shown, _):
        await shown.press("z")
        assert not [row for row in shown.rows()[4:] if row.startswith("─")], "the table alone"
        await shown.press("z")
        assert "TOTAL≈" not in shown.text()
        await shown.press("z")
        assert "TOTAL≈" in shown.text()


async def test_the_log_says_that_it_has_the_whole_screen() -> None:
    async with showing() as shown:
        await shown.press("9", "z")
        assert "the log has the whole screen already" in shown.text()
