"""What is said to the terminal that is no part of the picture: calls to the user, and texts for its clipboard."""

import base64
from collections.abc import Mapping

from loratui.ui.text import cut

_LONGEST = 120
_TITLE = "loratui"
_BELL = "\x07"
_END = "\x1b\\"
_LONGEST_COPY = 74_994
"""Bytes that every terminal takes, coded; longer texts are left to the file."""


def way_of(environ: Mapping[str, str]) -> str:
    """Return how the terminal is told, by what it says of itself; a bell is understood by all."""
    program = environ.get("TERM_PROGRAM", "")
    if environ.get("KITTY_WINDOW_ID"):
        return "osc99"
    if program in ("WezTerm", "ghostty") or environ.get("WEZTERM_PANE") or environ.get("GHOSTTY_RESOURCES_DIR"):
        return "osc777"
    if environ.get("TERM", "").startswith("foot"):
        return "osc777"
    if program == "iTerm.app" or environ.get("LC_TERMINAL") == "iTerm2" or environ.get("WT_SESSION"):
        return "osc9"
    return "bell"


def call(way: str, text: str, *, in_tmux: bool) -> str:
    """Return what is sent to the terminal; ``text`` may come from anywhere."""
    # A semicolon would end a field.
    text = cut(text, _LONGEST).replace(";", ",")
    told = {
        "osc9": f"\x1b]9;{_TITLE}: {text}{_END}",
        "osc777": f"\x1b]777;notify;{_TITLE};{text}{_END}",
        "osc99": f"\x1b]99;i=loratui:d=0;{_TITLE}{_END}\x1b]99;i=loratui:p=body;{text}{_END}",
        "bell": _BELL,
    }.get(way, "")
    if not in_tmux or way in ("bell", "off"):
        return told
    # tmux hands it on only where allow-passthrough is on; its own mark for a bell it shows always.
    return f"{through_tmux(told)}{_BELL}"


def through_tmux(escapes: str) -> str:
    """Return escape sequences in the cover in which tmux hands them to the terminal outside."""
    doubled = escapes.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{doubled}{_END}"


def copy(text: str, *, in_tmux: bool) -> str:
    """Return what puts the text into the clipboard of the terminal, wherever that is; nothing where it is too long."""
    coded = base64.b64encode(text.encode(errors="replace"))
    if len(coded) > _LONGEST_COPY:
        return ""
    escapes = f"\x1b]52;c;{coded.decode()}\x07"
    return through_tmux(escapes) if in_tmux else escapes
