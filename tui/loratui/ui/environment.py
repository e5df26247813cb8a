"""What must be settled before Textual is imported, which reads its settings from the environment at import."""

import codecs
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace

from loratui.screen_settings import ScreenSettings
from loratui.ui.escapes import way_of
from loratui_protocol.errors import UsageError

_AS_THE_TERMINAL_IS = ScreenSettings()
_FEW_GLYPHS = ("linux", "vt100", "vt102", "vt220")


@dataclass(frozen=True, slots=True, kw_only=True)
class UiOptions:
    """How the interface behaves; ``prepare`` completes what the user left open."""

    slow: bool = False
    """For thin lines: the body is redrawn every 5 s, few frames, no seconds in the clock."""
    ascii: bool = False
    """Only ASCII characters on the screen."""
    colours: bool = True
    """Whether there are any: without them two pixels in a cell look like any other two."""
    mouse: bool = True
    readonly: bool = False
    """Show, but refuse every action that would change the run."""
    title: str = "loratui"
    """The first word of the first row."""
    alarm: str = ""
    """What else may bill, beside the run on the screen; shown first, for a while."""
    frame_diff: bool = True
    """Send only the cells that changed, instead of Textual's own updates."""
    theme: str = "dark"
    """A name of ``screen_settings.THEMES``; "auto" until ``prepare``; empty: what ``TEXTUAL_THEME`` names."""
    notify: str = "off"
    """A name of ``screen_settings.NOTIFICATIONS``; "auto" until ``prepare``."""
    in_tmux: bool = False
    keeps_session: bool = False
    """Write down where the user is, so that the next session finds it."""
    reopen: bool = False
    """Begin on the screen, and with the run, of the last session."""

    @property
    def draws_pictures(self) -> bool:
        """Return whether half-blocks show what a picture shows."""
        return self.colours and not self.ascii


def prepare(
    options: UiOptions,
    environ: MutableMapping[str, str],
    encoding: str = "utf-8",
    wanted: ScreenSettings = _AS_THE_TERMINAL_IS,
) -> UiOptions:
    """Return the options for this terminal and set what Textual will read from ``environ``.

    Over SSH the mouse is off (motion reports flood the line) and frames are few. A terminal whose ``encoding`` is not
    UTF-8, or that has few letters, gets ASCII. What the user has set in the environment stays.

    Raises:
        UsageError: the terminal can't draw a screen.
    """
    term = environ.get("TERM", "")
    if term in ("", "dumb"):
        raise UsageError(
            f"this terminal can't draw a screen (TERM={term or 'not set'})",
            fix="use --plain, which prints a line for every change",
            code="usage.terminal",
        )
    settled = settle(options, wanted, environ, encoding)
    for name in ("COLUMNS", "LINES"):
        # Exported, they tell the size of another moment, and the window would never be followed.
        environ.pop(name, None)
    if environ.get("NO_COLOR"):
        # Textual turns other themes into shades of grey, which are colours too.
        environ.setdefault("TEXTUAL_THEME", settled.theme)
    if settled.slow:
        environ.setdefault("TEXTUAL_FPS", "15")
        if _has_many_colours(environ):
            # They take half the bytes of the 16 million, and the themes look nearly the same.
            environ.setdefault("TEXTUAL_COLOR_SYSTEM", "256")
    # Nothing here moves for show; this also keeps Textual's own widgets still.
    environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    environ.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")
    return settled


def settle(options: UiOptions, wanted: ScreenSettings, environ: Mapping[str, str], encoding: str) -> UiOptions:
    """Return the options with what the settings want, and what they leave to the terminal settled."""
    remote = bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"))
    slow = options.slow or _is_on(wanted.slow, auto=remote)
    return replace(
        options,
        slow=slow,
        mouse=options.mouse and _is_on(wanted.mouse, auto=not (remote or slow)),
        ascii=options.ascii or _is_on(wanted.ascii, auto=not _has_many_glyphs(environ, encoding)),
        colours=not environ.get("NO_COLOR"),
        frame_diff=options.frame_diff and _is_on(wanted.frame_diff, auto=True),
        theme=_theme(options.theme, environ),
        notify=way_of(environ) if options.notify == "auto" else options.notify,
        in_tmux=bool(environ.get("TMUX")),
    )


def _is_on(word: str, *, auto: bool) -> bool:
    return auto if word == "auto" else word == "on"


def _has_many_glyphs(environ: Mapping[str, str], encoding: str) -> bool:
    """Return whether braille and blocks can be expected: the console of Linux has a font of 256 or 512."""
    return codecs.lookup(encoding).name == "utf-8" and environ.get("TERM", "") not in _FEW_GLYPHS


def _theme(wanted: str, environ: Mapping[str, str]) -> str:
    if environ.get("TEXTUAL_THEME"):
        return ""
    if environ.get("NO_COLOR"):
        return "ansi-light" if wanted in ("light", "ansi-light") else "ansi-dark"
    if wanted == "auto":
        return "dark" if _has_many_colours(environ) else "ansi-dark"
    return wanted


def _has_many_colours(environ: Mapping[str, str]) -> bool:
    """Return whether the terminal says that it has more than 16 colours."""
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return True
    return environ.get("TERM", "").rpartition("-")[2] in ("256color", "direct", "kitty", "ghostty", "alacritty")
