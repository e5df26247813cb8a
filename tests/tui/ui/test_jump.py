"""Jump mode: letters over panes and tabs, one more key, and as they were."""

from pathlib import Path

import pytest

from support.ui_effects.home import on_home
from support.ui_pilot import showing

SIZES = [(60, 16), (80, 24), (120, 40)]


@pytest.mark.parametrize("size", SIZES)
async def test_letters_come_and_go_and_move_nothing(size: tuple[int, int]) -> None:
    async with showing(size=size) as shown:
        await shown.tick(0)
        before = shown.rows()
        await shown.press("ctrl+o")
        during = shown.rows()
        assert "▌tRun▐" in during[2]
        assert " q" in during[2]
        assert during[3].startswith("a loss")
        changed = sum(
            one != other
            for row, old in zip(during[:-1], before[:-1], strict=True)
            for one, other in zip(row.ljust(size[0]), old.ljust(size[0]), strict=True)
        )
        assert 0 < changed <= 20, "a letter a cell"
        await shown.press("escape")
        assert shown.rows() == before


async def test_a_letter_of_a_tab_and_its_number_show_the_screen() -> None:
    async with showing() as shown:
        await shown.press("ctrl+o", "u")
        assert "▌7Files▐" in shown.text()
        await shown.press("ctrl+o", "5")
        assert "▌5Run▐" in shown.text()
        assert "any other key" not in shown.text()


async def test_a_pane_without_a_cursor_gets_the_page_and_gives_it_back() -> None:
    async with showing() as shown:
        await shown.tick(0)
        before = shown.rows()
        await shown.press("ctrl+o", "d")
        assert "─ machine" in shown.rows()[3], shown.text()
        assert "─ loss" not in shown.text()
        await shown.press("z")
        assert shown.rows() == before
        await shown.press("ctrl+o", "d", "ctrl+o", "a")
        assert shown.rows() == before


async def test_a_list_gets_the_cursor(tmp_path: Path) -> None:
    async with on_home(tmp_path) as shown:
        assert any(row.startswith(">") for row in shown.rows())
        await shown.press("ctrl+o", "s")
        assert not any(row.startswith(">") for row in shown.rows()), "the list of rentals is empty"
        await shown.press("ctrl+o", "a")
        assert any(row.startswith(">") for row in shown.rows())


async def test_a_letter_does_nothing_else_and_what_is_urgent_still_works() -> None:
    async with showing() as shown:
        await shown.press("ctrl+o", "p")
        assert shown.source.sent == [], "p pauses, but not now"
        assert "any other key" not in shown.text()
        await shown.press("ctrl+o", "f8")
        assert shown.source.sent == [("extend", 1800)]
        await shown.press("ctrl+o")
        await shown.tick(30)
        assert "aloss" not in shown.text()
        assert "any other key stays" in shown.text(), "it waits"
