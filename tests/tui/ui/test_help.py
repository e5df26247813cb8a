"""All keys of a screen can be read, whatever its size."""

from pathlib import Path

import pytest

from loratui.ui.registry import Scope, shown
from loratui.ui.text import cells
from support.ui_effects.home import on_home
from support.ui_pilot import showing


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 40)])
async def test_every_key_of_the_run_screen_is_on_one_of_the_pages(size: tuple[int, int]) -> None:
    async with showing(size=size) as screen:
        await screen.press("?")
        pages = [screen.text()]
        while True:
            await screen.press("pagedown")
            if screen.text() == pages[-1]:
                break
            pages.append(screen.text())
        seen = "\n".join(pages)

        for action in screen.screen.actions.within(*screen.screen.page.scopes, Scope.PAGES, Scope.GLOBAL):
            assert f"{shown(action.keys[0])} " in seen
            assert action.label in seen, action.label
        assert all(cells(row) <= size[0] for row in seen.splitlines())
        if len(pages) > 1:
            assert f"page 1 of {len(pages)} · pgdn" in pages[0]
            await screen.press(*["up"] * len(pages))
            assert screen.text() == pages[0]
        assert "▌5Run▐" in screen.text()


async def test_help_begins_with_its_first_page_and_stays_on_one_that_is_there(tmp_path: Path) -> None:
    async with on_home(tmp_path) as screen:
        await screen.resize(60, 16)
        await screen.press("?", "pagedown", "pagedown", "?", "?")
        assert "page 1 of" in screen.text()
        await screen.press("pagedown", "pagedown")
        await screen.resize(200, 60)
        assert "page" not in screen.rows()[3]
        assert " Home" in screen.text()
        await screen.press("escape")
        assert "─ keys" not in screen.text()
