"""A caption in the user's own editor, on a real terminal: written whole, taken back, and left alone when that fails."""

import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.captioned import write_captioned
from support.terminal import Terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys on Windows")

BEFORE = "a zog\nand a second line\n"
HOSTILE = "\x1b]52;c;aGFja2Vk\x07 \x9b31m [red]x[/] \u202eright\n`touch pwned` $(touch pwned)\n"
Opener = Callable[..., Terminal]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_captioned(tmp_path / "pictures", {"-c quit": BEFORE})


@pytest.fixture
def opened(tmp_path: Path, pictures: Path) -> Iterator[Opener]:
    """Show the pictures, with an editor that is a script of a shell; it gets the file as ``$1``."""
    shown: list[Terminal] = []

    def show(script: str) -> Terminal:
        editor = tmp_path / "editor.sh"
        editor.write_text(f"#!/bin/sh\necho EDITING\n{script}\n")
        editor.chmod(0o755)
        environ = {"EDITOR": str(editor), "VISUAL": "", "TMPDIR": str(tmp_path / "tmp")}
        (tmp_path / "tmp").mkdir()
        environ |= {f"LORATUI_{name}": str(tmp_path / name) for name in ("STATE_DIR", "CONFIG_DIR", "HOME")}
        shown.append(terminal := Terminal([sys.executable, "-m", "loratui.cli"], environ=environ))
        terminal.read_until_text("IDLE")
        terminal.press("o")
        terminal.read_until(lambda _: terminal.screen().text().splitlines()[-1].startswith(" folder of pictures"))
        terminal.press("\x15")
        terminal.read_until(lambda _: terminal.screen().text().splitlines()[-1] == " folder of pictures:")
        terminal.press(f"{pictures}\r")
        terminal.read_until_text("tokens")
        terminal.read_until(lambda _: "checking" not in terminal.screen().text())
        return terminal

    yield show
    for terminal in shown:
        with terminal:
            pass


def edit(terminal: Terminal) -> None:
    terminal.press("E")
    # Of what a quick editor says nothing is left on the screen.
    terminal.read_until(lambda output: b"EDITING" in output)
    terminal.read_until(lambda output: output.count(b"\x1b[?1049h") == 2)
    del terminal.received[: terminal.received.rindex(b"\x1b[?1049h")]
    terminal.read_until_text("▌2Data▐")


def test_all_lines_of_a_caption_are_edited_and_taken_back(tmp_path: Path, pictures: Path, opened: Opener) -> None:
    terminal = opened("grep -q 'second line' \"$1\" && printf 'new\\n\\nthird\\n' > \"$1\"")
    edit(terminal)
    terminal.read_until_text("u takes it back")
    assert (pictures / "-c quit.txt").read_text() == "new\n\nthird\n"
    assert not list((tmp_path / "tmp").iterdir())

    terminal.press("u")
    terminal.read_until_text("taken back: caption of one picture")
    assert (pictures / "-c quit.txt").read_text() == BEFORE


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 3", "ended with 3"),
        ("stty raw -echo; kill -KILL $$", "was ended by SIGKILL"),
        (': > "$1"', "the caption stays as it is"),
    ],
)
def test_an_editor_that_fails_or_changes_nothing_leaves_caption_and_terminal_as_they_were(
    script: str, said: str, pictures: Path, opened: Opener
) -> None:
    terminal = opened(script)
    before = termios.tcgetattr(terminal.terminal_fd)
    edit(terminal)
    terminal.read_until_text(said)
    assert termios.tcgetattr(terminal.terminal_fd) == before
    assert (pictures / "-c quit.txt").read_text() == BEFORE

    terminal.press("q")
    assert terminal.wait() == 0


def test_what_was_written_is_kept_where_the_caption_does_not_get_it(pictures: Path, opened: Opener) -> None:
    caption = pictures / "-c quit.txt"
    terminal = opened(f"echo mine > \"$1\"; echo theirs > '{caption}'")
    edit(terminal)
    terminal.read_until_text("! the caption was changed by somebody else")

    assert caption.read_text() == "theirs\n"
    (kept,) = (pictures.parent / "tmp").glob("loratui-caption-*/-c_quit.txt")
    assert kept.read_text() == "mine\n"


def test_an_interrupt_meant_for_the_editor_does_not_leave_the_interface(pictures: Path, opened: Opener) -> None:
    terminal = opened("trap 'echo changed > \"$1\"; exit 0' INT; echo READY; while :; do sleep 0.1; done")
    terminal.press("E")
    terminal.read_until(lambda output: b"READY" in output)
    terminal.press("\x03")
    terminal.read_until(lambda output: output.count(b"\x1b[?1049h") == 2)
    terminal.read_until_text("1 file changed")

    assert (pictures / "-c quit.txt").read_text() == "changed\n"
    terminal.press("q")
    assert terminal.wait() == 0


def test_hostile_text_of_an_editor_is_a_caption_and_nothing_else(
    tmp_path: Path, pictures: Path, opened: Opener
) -> None:
    (tmp_path / "hostile").write_bytes(HOSTILE.encode())
    terminal = opened(f"cat '{tmp_path / 'hostile'}' > \"$1\"")
    edit(terminal)
    terminal.read_until_text("1 file changed")
    terminal.read_until_text("[red]x[/]")

    assert (pictures / "-c quit.txt").read_bytes() == HOSTILE.encode()
    assert b"\x1b]52" not in terminal.received
    assert not list(tmp_path.rglob("pwned"))
