"""The real program on a real pty: how it ends, what it sends, and that a stalled terminal holds nothing up."""

import codecs
import os
import re
import select
import signal
import sys
import time
from pathlib import Path

import pytest

from support.terminal import Terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys on Windows")

APP = [sys.executable, str(Path(__file__).parents[3] / "scripts" / "scripted_ui.py")]
HOSTILE = "\x1b]52;c;aGFja2Vk\x07\x1b[5;5Howned\x1b[?1049l\x9b2J [bold]markup[/bold] \x1bP0;1|x\x1b\\"
# What a frame may hold beside text: cursor positions, looks, and the borders of a frame.
FRAME_SEQUENCES = re.compile(rb"\x1b\[\d+;\d+H|\x1b\[[\d;]*m|\x1b\[\?2026[hl]")
ENTERING = re.compile(
    rb"\x1b\[\?(?:1049|1000|1003|1015|1006|25|1004|2004|7|2048|1016)[hl]|\x1b\[\?(?:2026|2048)\$p|\x1b\[[><]\d*u"
)
CUT_OFF = re.compile(rb"\x1b[^\x1b]{0,40}\Z")
TITLE = re.compile(rb"\x1b\]22;default\x07|\x1b\]22;default\x1b\\")


@pytest.fixture
def told(tmp_path: Path) -> Path:
    return tmp_path / "told"


def test_the_screen_is_painted_and_left_with_the_run_going_on() -> None:
    with Terminal(APP) as terminal:
        terminal.read_until_text("● TRAINING")
        terminal.press("q")
        terminal.read_until_text("LEAVE my-style-v3")
        end_s = time.monotonic() + 20
        while terminal.is_running and time.monotonic() < end_s:
            terminal.press("d")  # the first ones come too soon after the question, and are ignored
            terminal.read(0.1)

        assert terminal.wait() == 0
        assert b"\x1b[?1049l" in terminal.received


def test_a_hang_up_detaches_with_its_own_status() -> None:
    with Terminal(APP) as terminal:
        terminal.read_until_text("● TRAINING")
        terminal.hang_up()

        assert terminal.wait() == 129


def test_a_request_to_end_detaches_and_restores_the_terminal() -> None:
    with Terminal(APP) as terminal:
        terminal.read_until_text("● TRAINING")
        os.kill(terminal.pid, signal.SIGTERM)

        assert terminal.wait() == 130
        assert b"\x1b[?1049l" in terminal.received


def test_an_interrupt_detaches_as_a_shell_expects() -> None:
    with Terminal(APP) as terminal:
        terminal.read_until_text("● TRAINING")
        terminal.press("\x03")

        assert terminal.wait() == 130


@pytest.mark.parametrize("frames", [[], ["--stock"]])
def test_hostile_text_sends_nothing_but_text(frames: list[str]) -> None:
    with Terminal([*APP, "--name", HOSTILE, "--say", HOSTILE, *frames], size=(120, 40)) as terminal:
        terminal.read_until_text("[bold]markup[/bold]")
        terminal.read_until_text("1 warning")
        output = bytes(terminal.received)

    for expected in (FRAME_SEQUENCES, ENTERING, TITLE, CUT_OFF):
        output = expected.sub(b"", output)
    assert b"\x1b" not in output, output[output.index(b"\x1b") :][:40]
    assert b"\x07" not in output
    # The last character may be cut off.
    assert "\x9b" not in codecs.getincrementaldecoder("utf-8")().decode(output)


def test_without_colour_no_colour_is_sent() -> None:
    with Terminal(APP, environ={"NO_COLOR": "1"}) as terminal:
        terminal.read_until_text("● TRAINING")
        looks = set(re.findall(rb"\x1b\[([\d;]*)m", bytes(terminal.received)))

    coloured = [look for look in looks if re.search(rb"(?:^|;)(?:[34]8;|[349][0-7](?:;|$)|10[0-7])", look)]
    assert not coloured


def test_a_question_comes_up_in_one_frame() -> None:
    with Terminal([*APP, "--still"]) as terminal:
        terminal.read_until_text("● TRAINING")
        terminal.press("L")
        terminal.read_until_text("log · L m")
        before = len(terminal.received)
        terminal.press("x")
        terminal.read_until_text("Enter does nothing here")
        frames = bytes(terminal.received[before:]).split(b"\x1b[?2026h")

    assert sum(b"\x1b[21;" in frame for frame in frames) == 1


def test_a_terminal_that_stalls_holds_no_command_up(told: Path) -> None:
    with Terminal([*APP, "--tell", str(told)], size=(200, 60)) as terminal:
        terminal.read_until_text("● TRAINING")
        # From here on nobody reads. Each round repaints everything, 30 kB or so, until no more fits anywhere.
        for rounds in range(1, 151):
            terminal.press("\x0cs")
            wait_for_lines(told, rounds)

        terminal.read_until_text("sample: sent")
        terminal.press("\x03")
        assert terminal.wait() == 130


@pytest.mark.parametrize("frames", [[], ["--stock"]])
@pytest.mark.parametrize(("way", "status"), [("hang up", 129), (signal.SIGTERM, 130)])
def test_it_ends_at_a_terminal_that_takes_nothing(
    told: Path, frames: list[str], way: str | signal.Signals, status: int
) -> None:
    with Terminal([*APP, "--tell", str(told), *frames], size=(200, 60)) as terminal:
        terminal.read_until_text("● TRAINING")
        for rounds in range(1, 31):
            terminal.press("\x0cs")
            wait_for_lines(told, rounds)

        terminal.end(way)

        assert terminal.wait(reads=False) == status


def wait_for_lines(path: Path, count: int, deadline_s: float = 10) -> None:
    end_s = time.monotonic() + deadline_s
    while not path.exists() or len(path.read_text().splitlines()) < count:
        assert time.monotonic() < end_s, f"the {count}th command was held up by the terminal"
        select.select([], [], [], 0.005)


def test_a_home_screen_on_which_nothing_goes_on_is_silent() -> None:
    with Terminal([*APP, "--home"]) as terminal:
        terminal.read_until_text("nothing is rented")
        while terminal.read(1.2):
            pass
        before = len(terminal.received)
        terminal.read(2.5)
        # Once a minute the clock moves.
        assert len(terminal.received) - before < 100
