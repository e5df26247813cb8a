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


def completed_path(text: str) -> str:
    """Return what was typed with as much of the name as can only be meant; a folder's ends in a slash.

    Names with a dot before them are meant where a dot was typed. What fits nothing stays as it is.
    """
    folder, slash, start = text.rpartition("/")
    if text == "~":
        return "~/"
    try:
        with os.scandir(_expanded(folder + slash or ".")) as found:
            names = [
                each.name + ("/" if each.is_dir() else "")
                for each in found
                if each.name.startswith(start) and (start.startswith(".") or not each.name.startswith("."))
            ]
    except (OSError, ValueError):
        return text
    return folder + slash + os.path.commonprefix(names) if names else text  # noqa: RUF071 - of names, not of paths


def _expanded(text: str) -> Path:
    # pathlib's fails for unknown users.
    return Path(os.path.expanduser(text)).absolute()  # noqa: PTH111
