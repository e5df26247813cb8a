"""What gets the terminal while the interface waits: the user's own editor, or a command that has questions."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.app import App

_USUAL = "vi"
NO_TERMINAL = "an editor can't have this terminal"


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
    name = Path(argv[0]).name or argv[0]
    try:
        status = subprocess.run(argv, check=False).returncode
    except OSError as error:
        return f"{name} can't be started: {error.strerror or error}"
    if status < 0:
        return f"{name} was ended by {signal.Signals(-status).name}"
    return f"{name} ended with {status}" if status else ""


def edit_in(app: "App[Any]", path: Path) -> str:
    """Hand the terminal to the editor, and take it back as it was; otherwise as ``edit``. Nothing repaints meanwhile.

    Raises:
        SuspendNotSupported: the terminal can't be handed over.
    """
    with app.suspend(), _settings_kept(), _interrupts_withheld():
        return edit(path)


def run_in(app: "App[Any]", argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Hand the terminal to a command, and take it back as it was; return its exit status.

    What a command says that fails would be gone with the terminal: it stays until Enter is pressed.

    Raises:
        SuspendNotSupported: the terminal can't be handed over.
        OSError: it can't be started.
    """
    with app.suspend(), _settings_kept(), _interrupts_withheld():
        status = subprocess.run(argv, check=False, env=environ).returncode
        if status:
            sys.stdout.write("\nEnter goes back to the screens of loratui. ")
            sys.stdout.flush()
            sys.stdin.readline()
    return status


@contextmanager
def _settings_kept() -> Iterator[None]:
    """Set the terminal as it was afterwards: an editor that was killed leaves it without echo, say."""
    if sys.platform == "win32" or sys.__stdin__ is None or not sys.__stdin__.isatty():
        yield
        return
    import termios

    descriptor = sys.__stdin__.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        yield
    finally:
        with suppress(termios.error):
            # What was typed for an editor that is gone is no key of ours.
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


@contextmanager
def _interrupts_withheld() -> Iterator[None]:
    """Let ^C leave the interface open: a terminal sends it to all that runs there, and the editor is meant."""
    # A handler, and not SIG_IGN, which the editor would inherit.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
