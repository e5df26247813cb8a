"""Changed cells only, and the screen is the same as if Textual had drawn it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import CompositorUpdate, LayoutUpdate
from textual.geometry import Region
from textual.screen import Screen
from textual.strip import Strip

from loratui.ui.app import LoratuiApp
from loratui.ui.render.frame_diff import FrameDiff
from loratui_protocol.messages import Log
from support.scripted_source import HandClock, ScriptedSource
from support.terminal import VtScreen
from support.ui_pilot import showing

CONSOLE = Console(force_terminal=True, color_system="truecolor", width=200)


class BothWays(LoratuiApp):
    """Draws every update twice, as Textual does and as changed cells, on two screens that must agree."""

    stock = VtScreen(1, 1)
    ours = VtScreen(1, 1)
    stock_chars = 0
    our_chars = 0
    updates = 0

    def _display(self, screen: Screen[object], renderable: object) -> None:
        if isinstance(renderable, CompositorUpdate) and self.size.area:
            self._draw(renderable)
        super()._display(screen, renderable)  # type: ignore[arg-type]

    def _draw(self, update: CompositorUpdate) -> None:
        diff = self._diff
        assert diff is not None
        if diff.size != tuple(self.size):
            diff.resize(*self.size)
            self.stock, self.ours = VtScreen(*self.size), VtScreen(*self.size)
        theirs = update.render_segments(CONSOLE)
        self.stock.feed(theirs)
        diff.take(update)
        mine = diff.changes(CONSOLE)
        self.ours.feed(mine)
        self.updates += 1
        self.stock_chars += len(theirs)
        self.our_chars += len(mine)
        assert self.ours.text() == self.stock.text()
        assert self.ours.cells == self.stock.cells


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_screen_is_what_textual_would_have_drawn(size: tuple[int, int], tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, name="名前-wide")
    source.paint_samples(tmp_path, 1200, ("ein Bild", "日本語の絵", "three"))
    async with showing(source, clock, size=size, app_class=BothWays) as shown:
        app = shown.app
        assert isinstance(app, BothWays)
        for number, key in enumerate(
            (*"??Lm+", "left", *"0i", "escape", "ctrl+p", "escape", "x", "escape", *"123467895zzz")
        ):
            await shown.press(key)
            source.add(Log(level="INFO", line=f"{'日本語 ' * (number % 3)}line {number}"))
            await shown.tick()
        for other in (size[::-1], (60, 16), (30, 8), size):
            await shown.resize(*other)
            await shown.tick()

        assert app.updates > 20
        assert app.our_chars < app.stock_chars / 2


def screen_of(*rows: list[Segment]) -> LayoutUpdate:
    return LayoutUpdate([[Strip(row)] for row in rows], Region(0, 0, 20, len(rows)))


def drawn(*frames: LayoutUpdate) -> tuple[str, VtScreen]:
    """Return what the last frame cost, and the screen after it."""
    diff, screen, changes = FrameDiff(), VtScreen(20, 1), ""
    diff.resize(20, 1)
    for frame in frames:
        diff.take(frame)
        changes = diff.changes(CONSOLE)
        screen.feed(changes)
    return changes, screen


def line(text: str) -> LayoutUpdate:
    return screen_of([Segment(f"{text:<{20 - sum(char > 'z' for char in text)}}")])


def test_what_has_not_changed_is_not_sent() -> None:
    assert drawn(line("step 1240"), line("step 1240"))[0] == ""


def test_one_changed_letter_costs_one_letter_and_a_jump() -> None:
    changes, screen = drawn(line("step 1240"), line("step 1241"))

    assert changes == "\x1b[1;9H1"
    assert screen.text() == "step 1241"


def test_a_change_of_style_alone_is_a_change() -> None:
    red = Style(color="#ff0000")
    changes, _ = drawn(screen_of([Segment("loss" + " " * 16)]), screen_of([Segment("loss", red), Segment(" " * 16)]))

    assert "loss" in changes


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a日本b", "ax本b"),
        ("a日本b", "aa日b"),
        ("abcd", "a日d"),
        ("日本", "x日本"),
        ("x日本", "日本x"),
        ("日", "日日日"),
    ],
)
def test_a_wide_character_is_never_left_in_halves(before: str, after: str) -> None:
    _, screen = drawn(line(before), line(after))
    _, fresh = drawn(line(after))

    assert screen.cells == fresh.cells


def test_behind_a_letter_with_marks_the_place_is_said_again() -> None:
    changes, _ = drawn(screen_of([Segment("เน\u0e34นเขา" + " " * 14)]))
    assert "น\u0e34\x1b[1;3Hนเขา" in changes

    changes, _ = drawn(screen_of([Segment("日\u0301本" + " " * 16)]))
    assert "日\u0301\x1b[1;3H本" in changes


def test_after_a_resize_everything_is_sent_again() -> None:
    diff = FrameDiff()
    diff.resize(20, 1)
    diff.take(line("hello"))
    diff.changes(CONSOLE)
    diff.resize(20, 1)
    diff.take(line("hello"))

    assert "hello" in diff.changes(CONSOLE)


def test_from_one_look_to_the_next_only_what_differs_is_said() -> None:
    red, green = Style(color="#ff0000", bgcolor="#111111"), Style(color="#00ff00", bgcolor="#111111")
    row = [Segment("a", red), Segment("b", green), Segment("c", green + Style(bold=True)), Segment("d" * 17, red)]
    changes, screen = drawn(screen_of([Segment(" " * 20)]), screen_of(row))

    assert "\x1b[38;2;0;255;0mb\x1b[1mc\x1b[0;38;2;255;0;0;48;2;17;17;17md" in changes
    assert screen.cells[0][1].look == "3=38;2;0;255;0 4=48;2;17;17;17"
    assert screen.cells[0][2].look == "3=38;2;0;255;0 4=48;2;17;17;17 a1=1"


looks = st.builds(
    Style,
    color=st.sampled_from([None, "red", "bright_blue", "color(117)", "#123456", "default"]),
    bgcolor=st.sampled_from([None, "green", "bright_white", "color(16)", "#654321", "default"]),
    bold=st.sampled_from([None, True]),
    reverse=st.sampled_from([None, True]),
)


@given(st.lists(st.tuples(st.text("abc", min_size=1, max_size=4), looks), min_size=1, max_size=8))
def test_every_way_between_looks_ends_where_stock_output_does(texts: list[tuple[str, Style]]) -> None:
    update = screen_of([Segment(text, look) for text, look in texts])
    stock = VtScreen(40, 1)
    stock.feed(update.render_segments(CONSOLE))
    diff, ours = FrameDiff(), VtScreen(40, 1)
    diff.resize(40, 1)
    diff.take(update)
    ours.feed(diff.changes(CONSOLE))

    length = sum(len(text) for text, _ in texts)
    assert ours.cells[0][:length] == stock.cells[0][:length]
