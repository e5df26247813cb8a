"""What must be settled before Textual is imported, which reads its settings from the environment at import."""

import codecs
from collections.abc import MutableMapping
from dataclasses import dataclass, replace

from loratui_protocol.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class UiOptions:
    """How the interface behaves; ``prepare`` completes what the user left open."""

    slow: bool = False
    """For thin lines: the body is redrawn every 5 s, few frames, no seconds in the clock."""
    ascii: bool = False
    """Only ASCII characters on the screen."""
    mouse: bool = True
    readonly: bool = False
    """Show, but refuse every action that would change the run."""
    title: str = "loratui"
    """The first word of the first row."""
    alarm: str = ""
    """What else may bill, beside the run on the screen; shown first, for a while."""
    frame_diff: bool = True
    """Send only the cells that changed, instead of Textual's own updates."""


def prepare(options: UiOptions, environ: MutableMapping[str, str], encoding: str = "utf-8") -> UiOptions:
    """Return the options for this terminal and set what Textual will read from ``environ``.

    Over SSH the mouse is off (motion reports flood the line) and frames are few. A terminal whose ``encoding`` is not
    UTF-8 gets ASCII. What the user has set in the environment stays.

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
    if environ.get("NO_COLOR"):
        # Textual turns other themes into shades of grey, which are colours too.
        environ.setdefault("TEXTUAL_THEME", "ansi-dark")
    remote = bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"))
    if remote or options.slow:
        environ.setdefault("TEXTUAL_FPS", "15")
    # Nothing here moves for show; this also keeps Textual's own widgets still.
    environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    environ.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")
    return replace(
        options,
        slow=options.slow or remote,
        mouse=options.mouse and not (remote or options.slow),
        ascii=options.ascii or codecs.lookup(encoding).name != "utf-8",
    )
