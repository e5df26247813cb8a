"""The log screen: a log of any length, of which a window is held."""

import time
from pathlib import Path

import pytest

from loratui.ui.screens.log import LogPage
from loratui.ui.text import cells
from loratui.ui.widgets.log_lines import MOST_LINES, LogLines, folded
from loratui_protocol.messages import Event, Log
from support.scripted_source import HandClock, ScriptedSource
from support.ui_effects.effect import lacks, shows, until
from support.ui_effects.files import preferences_in
from support.ui_effects.home import DeskOfMany
from support.ui_effects.log import append, lines, on_log, store_run
from support.ui_pilot import Shown, showing

HOSTILE = "\x1b[2Jowned [bold red]x[/] \u202egnp \x9b31m 日本 " + "long " * 100


def log_of(shown: Shown) -> LogLines:
    page = shown.screen.page
    assert isinstance(page, LogPage)
    return page._lines


def first_number(shown: Shown) -> int:
    """Return the number of the first line in sight."""
    return next(int(row.split("line ")[1][:6]) for row in shown.rows() if "line 0" in row)


async def grow(shown: Shown, folder: Path, events: list[Event]) -> None:
    """Let the agent say more."""
    append(folder, events)
    shown.source.run.last_seq += 10_000_000
    await shown.tick()


async def test_new_lines_appear_while_they_are_followed_and_not_while_one_reads(tmp_path: Path) -> None:
    async with on_log(tmp_path) as shown:
        await grow(shown, tmp_path, lines(1501, 1503))
        await until(shown, shows("line 001503", "─ follow"))
        await shown.press("pageup")
        before = shown.rows()[4:-1]
        await grow(shown, tmp_path, lines(1504, 1600))
        await until(shown, lambda shown: log_of(shown).window[-1].seq == 1600)
        assert shown.rows()[4:-1] == before
        await shown.press("G")
        await until(shown, shows("line 001600", "─ follow"))


async def test_one_comes_to_the_first_line_page_by_page_and_back(tmp_path: Path) -> None:
    store_run(tmp_path, lines(1, 6_000))
    async with on_log(tmp_path) as shown:
        seen = first_number(shown)
        while seen > 1:
            await shown.press("pageup")
            await until(shown, lambda shown, seen=seen: first_number(shown) < seen)
            assert seen - first_number(shown) < 20, "no line is passed over"
            seen = first_number(shown)
            assert len(log_of(shown).window) <= MOST_LINES
            if seen > 500:
                log_of(shown).move(-400)
                await shown.pilot.pause()
                seen = first_number(shown)
        await shown.press("G")
        await until(shown, shows("line 006000"))


async def test_a_burst_of_lines_holds_a_window_alone_and_lets_keys_through(tmp_path: Path) -> None:
    async with on_log(tmp_path) as shown:
        for start in range(10_000, 50_000, 10_000):
            await grow(shown, tmp_path, lines(start, start + 9_999))
            began_s = time.monotonic()
            await shown.press("W")
            assert time.monotonic() - began_s < 1
        await until(shown, lambda shown: "line 049999" in shown.text() or shown.screen.tick())
        assert len(log_of(shown).window) <= MOST_LINES


async def test_words_are_found_far_away_and_the_line_is_marked(tmp_path: Path) -> None:
    store_run(tmp_path, lines(1, 6_000))
    async with on_log(tmp_path) as shown:
        await shown.press("/")
        await shown.type("LINE 00007")
        await shown.press("enter")
        await until(shown, shows("went on from the first line"))
        await until(shown, lambda shown: marked(shown) == 70)
        await shown.press("n")
        await until(shown, lambda shown: marked(shown) == 71)
        await shown.press("N", "N")
        await until(shown, lambda shown: marked(shown) in (70, 79))
        assert len(log_of(shown).window) <= MOST_LINES


def marked(shown: Shown) -> int:
    return next((int(row.split("line ")[1][:6]) for row in shown.rows() if row.startswith("> ") and "line 0" in row), 0)


async def test_what_is_not_there_is_said_not_to_be_there(tmp_path: Path) -> None:
    async with on_log(tmp_path) as shown:
        await shown.press("n")
        assert "nothing was looked for" in shown.text()
        await shown.press("/")
        await shown.type("\u202eno such [words]")
        await shown.press("enter")
        await until(shown, shows("no line has no such [words]"))


async def test_errors_alone_are_shown_and_stay_when_more_comes(tmp_path: Path) -> None:
    async with on_log(tmp_path) as shown:
        await shown.press("l", "l")
        await until(shown, shows("errors", "line 000500", "line 001500"))
        assert "line 001400" not in shown.text()
        await grow(shown, tmp_path, lines(1501, 2000))
        await until(shown, shows("line 002000"))
        assert "line 001900" not in shown.text()


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 40)])
async def test_lines_from_elsewhere_are_text_alone(tmp_path: Path, size: tuple[int, int]) -> None:
    store_run(tmp_path, [Log(level=HOSTILE, line=HOSTILE), *lines(1, 3), Log(level="ERROR", line=HOSTILE)])
    async with on_log(tmp_path, size) as shown:
        for key in ("W", "k", "g", "W", "l"):
            await shown.press(key)
            assert all(char.isprintable() for row in shown.rows() for char in row)
            assert all(strip.cell_length == size[0] for strip in shown.screen._compositor.render_strips())
        assert "owned [bold red]x[/]" in shown.text()


async def test_long_lines_are_cut_or_wrapped(tmp_path: Path) -> None:
    long = " ".join(f"word{number}" for number in range(60))
    store_run(tmp_path, [*lines(1, 3), Log(level="INFO", line=long)])
    async with on_log(tmp_path) as shown:
        assert "word59" not in shown.text()
        await shown.press("W")
        assert "word59" in shown.text()


async def test_another_run_has_another_log(tmp_path: Path) -> None:
    store_run(tmp_path, lines(1, 5))
    store_run(tmp_path, [Log(level="INFO", line="of another run")], "01HOTHER")
    async with on_log(tmp_path) as shown:
        assert "line 000005" in shown.text()
        other = ScriptedSource(HandClock(), step=1)
        other.run.run_id = other.run_id = "01HOTHER"
        shown.screen.take(other)
        await until(shown, shows("of another run"))
        assert "line 000005" not in shown.text()


async def test_without_a_run_there_is_no_log(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=1)
    desk = DeskOfMany(source, preferences_in(tmp_path))
    async with showing(source, clock, desk=desk, is_open=False) as shown:
        await shown.press("9")
        assert "No run is open" in shown.text()
        await shown.press("l")
        assert "not now, no run is open" in shown.text()


async def test_a_store_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    preferences = preferences_in(tmp_path)
    preferences.database.parent.mkdir(parents=True)
    preferences.database.write_bytes(b"no database at all" * 100)
    async with on_log(tmp_path) as shown:
        await until(shown, lacks("reading…"))
        assert "! the log can't be read:" in shown.text()


@pytest.mark.parametrize("text", ["", "a", "one two three", "x" * 95, "日本語" * 30, "a " * 100, " ", "é日" * 40])
def test_folded_text_loses_nothing_but_spaces_and_fits(text: str) -> None:
    pieces = folded(text, 10, 100)
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")
    assert all(cells(piece) <= 10 for piece in pieces)
    assert len(folded(text, 10, 2)) <= 2


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("loss is falling again", ["loss is", "falling", "again"]),
        ("a sentence, /a/very/long/path/there is", ["a", "sentence,", "/a/very/lo", "ng/path/th", "ere is"]),
        ("ab /a/very/long/path", ["ab /a/very", "/long/path"]),
        ("  indentedtoken", ["  indented", "token"]),
        ("損失は下がり続ける", ["損失は下が", "り続ける"]),
        ("x損失は 下がる", ["x損失は", "下がる"]),
        ("x損失は下がる", ["x損失は下", "がる"]),
        ("1234567890 12", ["1234567890", "12"]),
    ],
)
def test_lines_break_between_words_and_only_what_is_longer_than_a_line_breaks_elsewhere(
    text: str, pieces: list[str]
) -> None:
    assert folded(text, 10, 100) == pieces
