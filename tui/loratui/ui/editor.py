"""The user's own editor, which gets the terminal while the interface waits."""

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

_USUAL = "vi"


def editor_argv(path: Path, environ: Mapping[str, str]) -> list[str]:
    """Return how the editor is started: $VISUAL, else $EDITOR, with their options, else vi."""
    named = environ.get("VISUAL") or environ.get("EDITOR") or _USUAL
    try:
        words = shlex.split(named)
    except ValueError:
        words = [named]
    # Whatever its name is: an absolute path is no option.
    return [*(words or [_USUAL]), str(path.absolute())]


def edit(path: Path) -> str:
    """Let the editor have the terminal until it ends; return what went wrong, nothing if it went well."""
    argv = editor_argv(path, os.environ)
    try:
        status = subprocess.run(argv, check=False).returncode
    except OSError as error:
        return f"{argv[0]} can't be started: {error.strerror or error}"
    return f"{argv[0]} ended with {status}" if status else ""
