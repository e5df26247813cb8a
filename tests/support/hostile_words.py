"""Text that would command a terminal, and the look whether any of it has reached one."""

import re
import typing
from collections.abc import Iterator
from dataclasses import fields
from enum import EnumType

from loratui_protocol import messages
from loratui_protocol.messages import JobState

HOSTILE = (
    "\x1b]52;c;aGFja2Vk\x07\x1b[2J\x1b[5;5Howned\x1b[?1049l\x9b31m\x90q\x9c\x1bP0;1|x\x1b\\\x1b]0;title\x07\u202egnp\u2066"
    " [bold red]markup[/] [@click=app.quit]x[/] [/unbalanced] \r\x08 the end"
)
SHORT = "\x1b[2J\x9b31m\x1b]52;c;eA==\x07\u202eowned"
"""For places that cut what is long."""
C1 = "\x9b31m\u202eowned"
"""For what becomes a word of a command, where other controls are refused."""
OURS = re.compile(
    r"\x1b\[\d+;\d+H|\x1b\[[\d;]*m|\x1b\[\?[\d;]+[hl]|\x1b\[\?(?:2026|2048)\$p|\x1b\[[><]\d*u|\x1b\]22;default(?:\x07|\x1b\\)"
    r"|\x1b\[\d* q|\x1b[78]|\x1b\[\?\d*u|\x1b\[c|\x1b\[>0?q"
)
"""What a screen of ours sends beside text; none of it is in HOSTILE but the change of screens, which is counted."""
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def left_of_lines(output: bytes) -> list[str]:
    """Return what is no plain text in the output of a command that prints lines, with what follows it."""
    # Strict: a C1 byte that stands alone commands a terminal too, and is no UTF-8. The terminal makes \r\n of \n.
    text = output.decode("utf-8").replace("\r\n", "\n")
    return [ascii(text[found.start() :][:40]) for found in _COMMANDS.finditer(text)]


def left_of_screen(output: bytes) -> list[str]:
    """Return what is neither text nor ours in the output of the interface, with what follows it."""
    text = output.decode("utf-8")
    left = OURS.sub("", text).replace("\r\n", "\n")
    found = [ascii(left[found.start() :][:40]) for found in _COMMANDS.finditer(left)]
    # That one looks like its own, which comes once, at the end.
    return found + ["\x1b[?1049l"] * (text.count("\x1b[?1049l") - 1)


def hostile_events() -> Iterator[messages.Event]:
    """Yield every kind of event with the text in every place that takes one."""
    for kind in typing.get_args(messages.Event):
        hints = typing.get_type_hints(kind)
        yield kind(**{field.name: _value(hints[field.name]) for field in fields(kind)})


def _value(hint: typing.Any) -> typing.Any:
    if hint is str:
        return HOSTILE
    if isinstance(hint, EnumType):
        return JobState.RUNNING if hint is JobState else next(iter(hint))
    if typing.get_origin(hint) is dict:
        return {HOSTILE: _value(typing.get_args(hint)[1])}
    if hint is bool:
        return True
    return 1 if int in (hint, *typing.get_args(hint)) else 1.0
