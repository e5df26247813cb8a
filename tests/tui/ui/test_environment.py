"""What is settled before Textual is imported."""

import pytest

from loratui.screen_settings import ScreenSettings
from loratui.ui.environment import UiOptions, prepare
from loratui_protocol.errors import UsageError


def test_a_local_terminal_keeps_its_mouse_and_its_frames() -> None:
    environ = {"TERM": "xterm-256color"}
    options = prepare(UiOptions(), environ)

    assert options == UiOptions()
    assert "TEXTUAL_FPS" not in environ
    assert environ["TEXTUAL_ANIMATIONS"] == "none"


@pytest.mark.parametrize("variable", ["SSH_CONNECTION", "SSH_TTY"])
def test_over_ssh_the_screen_is_slow_and_has_no_mouse(variable: str) -> None:
    environ = {"TERM": "xterm", variable: "something"}
    options = prepare(UiOptions(), environ)

    assert options.slow
    assert not options.mouse
    assert environ["TEXTUAL_FPS"] == "15"
    assert environ["TEXTUAL_SMOOTH_SCROLL"] == "0"


def test_no_color_means_no_shades_of_grey_either() -> None:
    environ = {"TERM": "xterm", "NO_COLOR": "1"}
    prepare(UiOptions(), environ)

    assert environ["TEXTUAL_THEME"] == "ansi-dark"


def test_what_the_user_has_set_stays() -> None:
    environ = {"TERM": "xterm", "SSH_TTY": "/dev/pts/1", "TEXTUAL_FPS": "5", "NO_COLOR": "1", "TEXTUAL_THEME": "nord"}
    prepare(UiOptions(), environ)

    assert environ["TEXTUAL_FPS"] == "5"
    assert environ["TEXTUAL_THEME"] == "nord"


@pytest.mark.parametrize(("encoding", "ascii_only"), [("UTF-8", False), ("utf8", False), ("ascii", True)])
def test_a_terminal_that_is_not_utf_8_gets_ascii(encoding: str, ascii_only: bool) -> None:
    assert prepare(UiOptions(), {"TERM": "xterm"}, encoding).ascii is ascii_only


@pytest.mark.parametrize(
    ("term", "ascii_only"), [("linux", True), ("vt100", True), ("xterm", False), ("tmux-256color", False)]
)
def test_a_terminal_with_few_letters_gets_ascii_unless_its_user_knows_better(term: str, ascii_only: bool) -> None:
    assert prepare(UiOptions(), {"TERM": term}).ascii is ascii_only
    assert not prepare(UiOptions(), {"TERM": term}, wanted=ScreenSettings(ascii="off")).ascii


def test_without_colours_there_are_no_pictures_of_half_blocks() -> None:
    assert not prepare(UiOptions(), {"TERM": "xterm", "NO_COLOR": "1"}).draws_pictures
    assert prepare(UiOptions(), {"TERM": "xterm"}).draws_pictures


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {}])
def test_a_terminal_that_can_draw_nothing_is_refused_with_the_way_out(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="can't draw a screen") as refused:
        prepare(UiOptions(), environ)

    assert "--plain" in refused.value.fix


@pytest.mark.parametrize(
    ("more", "colours"), [({"COLORTERM": "truecolor"}, "256"), ({}, None), ({"TEXTUAL_COLOR_SYSTEM": "auto"}, "auto")]
)
def test_a_slow_line_gets_no_more_colours_than_its_bytes_are_worth(more: dict[str, str], colours: str | None) -> None:
    environ = {"TERM": "xterm", **more}
    prepare(UiOptions(slow=True), environ)

    assert environ.get("TEXTUAL_COLOR_SYSTEM") == colours


def test_calls_go_the_terminals_way_unless_the_user_says_otherwise() -> None:
    environ = {"TERM": "xterm", "TERM_PROGRAM": "iTerm.app", "TMUX": "/tmp/tmux,1,0"}

    assert prepare(UiOptions(notify="auto"), environ).notify == "osc9"
    assert prepare(UiOptions(notify="bell"), environ).notify == "bell"
    assert prepare(UiOptions(), environ).in_tmux
