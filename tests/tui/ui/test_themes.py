"""What is written can be read: contrast is computed from what the widgets draw with, and no word is a colour alone."""

import pytest
from rich.style import Style

from loratui.screen_settings import THEMES
from loratui.ui.environment import UiOptions
from loratui.ui.text import Role
from loratui.ui.widgets.rows import Rows
from support.ui_pilot import Shown, showing

_LEAST = 4.5
_LEAST_IN_HIGH_CONTRAST = 7.0
OWN = ("dark", "light", "contrast")


def luminance(triplet: tuple[int, int, int]) -> float:
    """Return the relative luminance of WCAG 2."""
    parts = [value / 255 for value in triplet]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(look: Style) -> float:
    """Return the contrast of text and background, 1 to 21."""
    assert look.color is not None
    assert look.bgcolor is not None
    bright, dark = sorted(
        (luminance(tuple(colour.get_truecolor())) for colour in (look.color, look.bgcolor)), reverse=True
    )
    return (bright + 0.05) / (dark + 0.05)


def test_contrast_is_what_the_standard_says() -> None:
    assert contrast(Style(color="#000000", bgcolor="#ffffff")) == pytest.approx(21)
    assert contrast(Style(color="#767676", bgcolor="#ffffff")) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("name", OWN)
async def test_every_role_can_be_read_wherever_it_stands(name: str) -> None:
    least = _LEAST_IN_HIGH_CONTRAST if name == "contrast" else _LEAST
    async with showing(options=UiOptions(theme=name)) as shown:
        for widget in shown.screen.query(Rows):
            for role in Role:
                look = widget._look(role, widget.rich_style)
                assert contrast(look) >= least, (name, widget.id, role, look)


@pytest.mark.parametrize("name", ["ansi-dark", "ansi-light"])
async def test_the_terminals_own_colours_stay_its_own(name: str) -> None:
    async with showing(options=UiOptions(theme=name)) as shown:
        for widget in shown.screen.query(Rows):
            for role in Role:
                look = widget._look(role, widget.rich_style)
                assert look.bgcolor is None or look.bgcolor.is_default, (widget.id, role, look)
                assert look.color is None or look.color.number is None or look.color.number < 16


@pytest.mark.parametrize("name", ["nord", "textual-light", "dracula"])
async def test_a_theme_of_textuals_works_too(name: str) -> None:
    async with showing(options=UiOptions(theme="")) as shown:
        shown.app.theme = name
        await shown.pilot.pause()
        widget = shown.screen.query(Rows).first()

        assert contrast(widget._look(Role.TITLE, widget.rich_style)) >= _LEAST
        assert "TRAINING" in shown.text()


async def test_the_key_goes_through_all_themes() -> None:
    async with showing() as shown:
        seen = []
        for _ in THEMES:
            await shown.press("f3")
            seen.append(shown.app.theme.removeprefix("loratui-"))

        assert sorted(seen) == sorted(THEMES)
        assert seen[-1] == "dark", "after the last one comes the first"


def cells(shown: Shown) -> list[list[tuple[str, Style | None]]]:
    """Return the characters of the screen and their looks, without the row that says which theme it is."""
    rows = shown.screen._compositor.render_strips()[:-1]
    return [[(char, look) for text, look, _ in row for char in text] for row in rows]


async def test_a_change_of_the_theme_changes_every_word_at_once() -> None:
    async with showing(options=UiOptions(theme="light")) as fresh:
        wanted = cells(fresh)
    async with showing(options=UiOptions(theme="dark")) as shown:
        assert cells(shown) != wanted
        await shown.press("f3")
        assert cells(shown) == wanted


async def test_what_can_not_be_done_is_in_brackets_not_only_dim() -> None:
    async with showing(options=UiOptions(readonly=True), size=(120, 40)) as shown:
        footer = shown.rows()[-1]

        assert "(p Pause)" in footer
        assert " q Leave" in footer
