"""Paths that people type, or drag into the terminal."""

import os
import shlex
from pathlib import Path


def typed_path(text: str) -> Path:
    """Return the absolute path that is meant: ``~`` is home, and a relative one counts from where the program began.

    What is not there as it was typed is read as what terminals write of a thing that is dragged into them: quoted, or
    with backslashes; or behind the path that was proposed, as editors read it: from ``~`` or the second slash on.
    """
    typed = _expanded(text.strip())
    if not typed.exists():
        try:
            words = shlex.split(text)
        except ValueError:
            words = []
        if len(words) == 1 and (meant := _expanded(words[0])).exists():
            return meant
        for start in ("~/", "/"):
            _, sign, rest = text.strip().rpartition(f"/{start}")
            if sign and rest and (meant := _expanded(start + rest)).exists():
                return meant
    return typed


def _expanded(text: str) -> Path:
    # pathlib's fails for unknown users.
    return Path(os.path.expanduser(text)).absolute()  # noqa: PTH111
