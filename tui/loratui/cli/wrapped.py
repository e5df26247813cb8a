"""Prints text no wider than the terminal that it goes to."""

import shutil
import textwrap
from typing import TextIO

_LEAST = 20
"""Columns that have to be left for the text; on a narrower terminal it is left to that to break lines."""


def print_wrapped(text: str, file: TextIO, *, indent: int = 0) -> None:
    """Print a line; on a terminal as wide as that is, what goes on after the first being indented by so many columns.

    Anything else gets it on a line of its own: programs look for one.
    """
    width = shutil.get_terminal_size().columns if file.isatty() else 0
    if width >= indent + _LEAST:
        text = textwrap.fill(
            text, width, subsequent_indent=" " * indent, break_on_hyphens=False, break_long_words=False
        )
    print(text, file=file)
