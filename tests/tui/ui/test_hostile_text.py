"""Text from a stranger's machine is text: it moves no cursor, sets no clipboard and is no markup."""

import unicodedata
from pathlib import Path

import pytest

from loratui.domain.overview import Overview
from loratui.ui.text import Role, cells, plain, retyped, to_ascii, wrap
from loratui_protocol.messages import Evaluation, JobState, Log, Setup, State, Telemetry, Warn
from support.scripted_source import HandClock, ScriptedSource
from support.ui_effects.home import on_home, run_line
from support.ui_pilot import showing

HOSTILE = (
    "\x1b]52;c;aGFja2Vk\x07",
    "\x1b[2J\x1b[1;1Howned",
    "\x9b31mred",
    "[bold red]markup[/bold red] [@click=app.quit]x[/]",
    "[/] [unbalanced",
    "line\nbreak\ttab\rreturn",
    "\u202eright to left\u2066",
    "zero\u200bwidth\u200djoiner e\u0301 a\u0300\u0301\u0302",
    "family 👨‍👩‍👧 flag 🇩🇪 heart ❤️ skin 👍🏽",
    "wide 日本語テキスト",
    "\ud800 lone surrogate",
    "\U000e0041 tag",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_plain_text_has_no_control_and_a_width_that_can_be_told(text: str) -> None:
    result = plain(text)

    assert all(char.isprintable() for char in result), ascii(result)
    assert cells(result) == sum(cells(char) for char in result)
    assert all(cells(char) in (1, 2) or unicodedata.category(char) in ("Mn", "Mc") for char in result)


@pytest.mark.parametrize(
    "text",
    [
        *("ปราสาทบนเนินเขา", "שָׁלוֹם", "كَتَبَ", "e\u0323\u0302 Z\u0337a\u0337", "山の上の城"),
        *("हिन्दी में बिल्ली", "தமிழ் பூனை", "বাংলা বিড়াল", "മലയാളം", "မြန်မာ ကြွေး", "සිංහල"),
    ],
)
def test_letters_keep_the_marks_that_make_them_words(text: str) -> None:
    assert plain(text) == unicodedata.normalize("NFC", text)


def test_a_pile_of_marks_is_cut_off_and_one_without_a_letter_is_dropped() -> None:
    assert plain("a" + "\u0337" * 40 + "b") == "a" + "\u0337" * 3 + "b"
    assert plain("\u0337 \u0337x") == " x"
    assert plain("क" + "\u093e" * 40 + "ब") == "क" + "\u093e" * 3 + "ब"
    assert plain("\u093e \u093ex") == " x"
    assert plain("x\ufe0f\u034f") == "x"


def test_in_ascii_letters_lose_their_marks_and_glyphs_have_a_likeness() -> None:
    assert to_ascii(plain("e\u0301te\u0323\u0302 naïve ก\u0e34"), Role.TEXT) == "ete naive ?"
    assert to_ascii("▌5Run▐ by total ↑", Role.TEXT) == "#5Run# by total ^"


def test_a_flag_is_named_by_its_letters() -> None:
    assert plain("flag 🇩🇪") == "flag DE"


@pytest.mark.parametrize(
    "text",
    [*HOSTILE, "ปราสาทบนเนินเขา", "\u0645\u06cc\u200c\u062e\u0648", "\u1112\u1161\u11ab e\u0301", "a\u0337" * 9, ""],
)
def test_what_is_not_retyped_stays_as_it_was(text: str) -> None:
    assert retyped(text, plain(text)) == text
    assert retyped(text, plain(text) + "!") == text + "!"
    assert retyped(text, "!" + plain(text)) == "!" + text
    assert retyped(text, "") == ""


def test_what_is_retyped_takes_along_what_belongs_to_it() -> None:
    assert retyped("a 👍🏽 thumb 👩\u200d👩\u200d👧", "a thumb 👩👩👧") == "a thumb 👩\u200d👩\u200d👧"
    assert retyped("aa", "aaa") == "aaa"


@pytest.mark.parametrize("text", [*HOSTILE, " ".join(HOSTILE), "a" * 50, ""])
@pytest.mark.parametrize("limit", [0, 2, 7, 30])
def test_wrapped_text_loses_nothing_and_fits(text: str, limit: int) -> None:
    lines = wrap(text, limit)

    assert all(0 < cells(line) <= max(2, limit) for line in lines)
    assert "".join(lines).replace(" ", "") == plain(text).replace(" ", "")


async def test_no_place_for_text_lets_it_do_anything(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=40)
    async with showing(source, clock, size=(120, 40)) as shown:
        for text in (" ".join(HOSTILE[:3]), HOSTILE[3], HOSTILE[4], " ".join(HOSTILE[5:])):
            speak(source, text, tmp_path)
            await shown.tick()
            check(shown.rows())
            for key in ("x", "escape", "i", "enter", "i", "escape", "escape", "7", "9", "1", "5"):
                await shown.press(key)
                check(shown.rows())
            source.add(State(state=JobState.FAILED, reason=text, detail=text))
            await shown.tick()
            check(shown.rows())
            if "markup" in text:
                assert shown.text().count("[bold red]markup[/bold red]") > 5


@pytest.mark.parametrize("size", [(60, 16), (160, 40)])
async def test_the_names_of_runs_do_nothing_in_lists_of_them(size: tuple[int, int], tmp_path: Path) -> None:
    lines = [
        run_line(number, id=text, name=text, target=text, state=state)
        for number, text in enumerate(HOSTILE)
        for state in (JobState.STOPPED, JobState.RUNNING)
    ]
    async with on_home(tmp_path, Overview(runs=tuple(lines), is_read=True)) as shown:
        await shown.resize(*size)
        for key in ("down", "R", "escape", "G", "/", "b", "escape"):
            check(shown.rows(), *size)
            await shown.press(key)
        shown.screen.take(shown.source)
        for key in ("5", "b", "down", "enter"):
            check(shown.rows(), *size)
            await shown.press(key)
        await shown.pilot.pause(0.1)
        check(shown.rows(), *size)


def speak(source: ScriptedSource, text: str, folder: Path) -> None:
    """Put the text into every place that the screen shows text from."""
    run = source.run
    run.name = run.target = text
    run.telemetry = Telemetry(source=text, gpu_name=text)
    source.paint_samples(folder, 25, (text, text))
    source.add(Log(level=text, line=text))
    source.add(Log(level="ERROR", line=text))
    source.add(Warn(code=text, message=text))
    source.add(Evaluation(scores={}, verdict=text))
    source.add(State(state=JobState.PREPARING, reason=text, detail=text))
    source.add(Setup(phase=text, done=1, total=2, unit=text, message=text))


def check(rows: list[str], width: int = 120, height: int = 40) -> None:
    assert len(rows) == height
    for row in rows:
        assert all(char.isprintable() for char in row), ascii(row)
        assert cells(row) <= width


async def test_vowels_beside_a_letter_move_no_column(tmp_path: Path) -> None:
    names = ("हिन्दी में बिल्ली", "plain")
    runs = tuple(run_line(number, name=name) for number, name in enumerate(names))
    async with on_home(tmp_path, Overview(runs=runs, is_read=True)) as shown:
        rows = [row for row in shown.rows() if any(name in row for name in names)]
        assert len({cells(row[: row.index("■")]) for row in rows}) == 1, rows
