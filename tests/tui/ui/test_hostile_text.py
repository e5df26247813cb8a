"""Text from a stranger's machine is text: it moves no cursor, sets no clipboard and is no markup."""

from pathlib import Path

import pytest

from loratui.ui.text import cells, plain
from loratui_protocol.messages import Evaluation, JobState, Log, Setup, State, Telemetry, Warn
from support.scripted_source import HandClock, ScriptedSource
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
    assert all(cells(char) in (1, 2) for char in result)


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


def check(rows: list[str]) -> None:
    assert len(rows) == 40
    for row in rows:
        assert all(char.isprintable() for char in row), ascii(row)
        assert cells(row) <= 120
