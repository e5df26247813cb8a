"""The real program on every kind of terminal: it draws with what is there, or says politely that it can't."""

import re
import shutil
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from loratui.screen_settings import THEMES
from loratui.ui.environment import UiOptions, prepare
from support.terminal import Terminal
from support.tmux import Tmux

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys on Windows")

APP = [sys.executable, str(Path(__file__).parents[3] / "scripts" / "scripted_ui.py")]
LOOK = re.compile(rb"\x1b\[([\d;]*)m")
IN_RGB = re.compile(rb"(?:^|;)[34]8;2;")
IN_256 = re.compile(rb"(?:^|;)[34]8;5;")
COLOURED = re.compile(rb"(?:^|;)(?:[34]8;|[349][0-7](?:;|$)|10[0-7])")


def looks(terminal: Terminal) -> set[bytes]:
    return set(LOOK.findall(bytes(terminal.received)))


@pytest.mark.parametrize(
    ("term", "more", "colours"),
    [
        ("xterm", {}, 16),
        ("linux", {}, 16),
        ("screen", {}, 16),
        ("xterm-256color", {}, 256),
        ("tmux-256color", {}, 256),
        ("xterm-256color", {"COLORTERM": "truecolor"}, 1 << 24),
        ("xterm-256color", {"NO_COLOR": "1"}, 0),
        ("linux", {"NO_COLOR": "1"}, 0),
    ],
)
def test_each_terminal_gets_the_colours_that_it_has(term: str, more: dict[str, str], colours: int) -> None:
    with Terminal(APP, environ={"TERM": term, "COLORTERM": "", **more}) as terminal:
        terminal.read_until_text(" TRAINING")
        terminal.press("x")
        terminal.read_until_text("Enter does nothing here")
        seen = looks(terminal)

    assert any(map(IN_RGB.search, seen)) is (colours == 1 << 24)
    assert any(map(IN_256.search, seen)) is (colours == 256)
    assert any(map(COLOURED.search, seen)) is (colours > 0)
    assert seen - {b"", b"0"}, "bold and reversed words are there without any colour"


def test_a_terminal_that_is_not_utf_8_gets_ascii_alone() -> None:
    plain = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
    with Terminal(APP, environ={"TERM": "linux", **plain}) as terminal:
        terminal.read_until_text("* TRAINING")
        terminal.press("?")
        terminal.read_until_text("Pause or resume")

        assert bytes(terminal.received).isascii()


@pytest.mark.parametrize("term", ["dumb", ""])
def test_what_can_draw_nothing_is_followed_as_lines_or_refused(term: str, tmp_path: Path) -> None:
    state = {"LORATUI_STATE_DIR": str(tmp_path), "LORATUI_CONFIG_DIR": str(tmp_path), "LORATUI_HOME": str(tmp_path)}
    with Terminal([sys.executable, "-m", "loratui.cli"], environ={"TERM": term, **state}) as terminal:
        assert terminal.wait() == 0
        told = terminal.received.decode()

    assert "There is no run yet" in told
    assert "\x1b" not in told


@pytest.mark.parametrize(
    ("environ", "theme"),
    [
        ({"TERM": "xterm"}, "ansi-dark"),
        ({"TERM": "linux"}, "ansi-dark"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "dark"),
        ({"TERM": "tmux-256color"}, "dark"),
        ({"TERM": "xterm-kitty"}, "dark"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "ansi-dark"),
        ({"TERM": "xterm", "TEXTUAL_THEME": "nord"}, ""),
    ],
)
def test_the_theme_follows_the_terminal(environ: dict[str, str], theme: str) -> None:
    assert prepare(UiOptions(theme="auto"), dict(environ)).theme == theme


def test_a_size_that_is_exported_does_not_keep_the_screen_from_following_the_window() -> None:
    with Terminal(APP, environ={"COLUMNS": "70", "LINES": "20"}, size=(120, 40)) as terminal:
        terminal.read_until_text("grad norm")


@pytest.mark.parametrize("theme", THEMES)
def test_the_theme_that_is_set_is_taken(theme: str) -> None:
    assert prepare(UiOptions(theme=theme), {"TERM": "xterm"}).theme == theme
    wanted = "ansi-light" if theme.endswith("light") else "ansi-dark"
    assert prepare(UiOptions(theme=theme), {"TERM": "xterm", "NO_COLOR": "1"}).theme == wanted


def test_the_mouse_can_be_given_back_and_taken_again() -> None:
    on, off = b"\x1b[?1000h", b"\x1b[?1000l"
    with Terminal(APP) as terminal:
        terminal.read_until_text("● TRAINING")
        assert on in terminal.received
        terminal.press("\x1b[20~")
        terminal.read_until_text("mouse: it is the terminal's")
        terminal.read_until(lambda output: output.rfind(off) > output.rfind(on))
        terminal.press("\x1b[20~")
        terminal.read_until_text("mouse: it works here")
        terminal.read_until(lambda output: output.rfind(on) > output.rfind(off))


_STEPS = (
    ("1", "There is no run yet"),
    ("F2", "enter does it"),
    ("l", "> l"),
    ("F2", "There is no run yet"),
    ("3", "No config is open"),
    ("4", "─ offers"),
    ("6", "─ queue"),
    ("7", "No LoRA was made yet"),
    ("8", "─ samples"),
    ("9", "─ log"),
    ("5", "─ loss"),
    ("z", "enlarged"),
    ("z", "─ log"),
    ("z", "─ run"),
    ("?", "─ keys"),
    ("?", "─ loss"),
    ("F3", "theme light"),
)
"""Keys, and what is to be seen after each."""


def below_the_clock(tmux: Tmux) -> list[str]:
    """Return the rows with their colours, but those that tell the time."""
    return tmux.screen("-e").splitlines()[2:]


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_tmux_shows_the_same_with_and_without_the_frame_diff(tmp_path: Path) -> None:
    for name in ("ours", "stock"):
        (tmp_path / name).mkdir()
    pictures = tmp_path / "絵"
    pictures.mkdir()
    for number, name in enumerate(("one", "二", "três")):
        Image.linear_gradient("L").rotate(90 * number).convert("RGB").save(pictures / f"{name}.png")
        (pictures / f"{name}.txt").write_text(f"a slope, 坂 number {number}", "utf-8")
    ours = Tmux(tmp_path / "ours", [*APP, "--still"], start_in=tmp_path)
    stock = Tmux(tmp_path / "stock", [*APP, "--still", "--stock"], start_in=tmp_path)
    steps: tuple[tuple[str | tuple[int, int], str], ...] = (
        *_STEPS,
        ("2", "No folder is open"),
        ("o", "folder or config:"),
        (f"/{pictures.name}", "絵"),
        ("Enter", "▀▀▀"),
        ("f", "dataset.flat"),
        ((120, 40), "dataset.flat"),
        ("5", "grad norm"),
        ("?", "─ keys"),
        ("C-p", "enter does it"),
        ((60, 16), "enter does it"),
        ("Escape", "─ loss"),
        ("x", "Enter does nothing"),
        ((80, 24), "Enter does nothing"),
    )
    try:
        for tmux in (ours, stock):
            # What is typed before it reads is not for it.
            tmux.shows("─ loss", "? Help")
        for step, text in steps:
            for tmux in (ours, stock):
                if isinstance(step, str):
                    tmux.keys(step)
                else:
                    tmux.resize(*step)
                tmux.shows(text)
            end_s = time.monotonic() + 5
            while (one := below_the_clock(ours)) != (other := below_the_clock(stock)) and time.monotonic() < end_s:
                pass
            assert one == other, step
    finally:
        ours.close()
        stock.close()
