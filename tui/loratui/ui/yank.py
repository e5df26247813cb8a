"""Taking a text along: into the terminal's clipboard, into tmux's, and always into a file."""

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from loratui.domain import formatting
from loratui.ui import escapes

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

FILE_NAME = "yanked.txt"
_PATIENCE_S = 5.0
_COPIED_S = 10.0


class Yank:
    """Takes along what the page has."""

    def __init__(self, shell: "Shell") -> None:
        self._shell = shell

    def do_yank(self) -> None:
        """Copy it, and say where to."""
        shell, text = self._shell, self._shell.page.yank_text()
        if not text:
            shell.say("there is nothing to copy here")
            return
        in_tmux, state_dir = shell.options.in_tmux, shell.desk.preferences.state_dir
        shell.post_message(shell.Aside(escapes.copy(text, in_tmux=in_tmux)))

        def put() -> None:
            places = put_away(text, state_dir, in_tmux=in_tmux)
            shell.app.call_from_thread(shell.say, f"copied to {places}: {text}", _COPIED_S)

        shell.work(put, "copying")


def put_away(text: str, state_dir: Path, *, in_tmux: bool) -> str:
    """Write the text into a file, and hand it to tmux if it runs there; return where it is, in words.

    Raises:
        OSError: the file can't be written.
    """
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = state_dir / FILE_NAME
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(f"{text}\n".encode(errors="replace"))
    is_in_tmux = in_tmux and _load_into_tmux(text)
    return f"{formatting.homely(path)}, {'tmux ' if is_in_tmux else ''}and the terminal"


def _load_into_tmux(text: str) -> bool:
    """Hand the text to tmux, which with -w gives it to the terminal outside as well."""
    try:
        argv = ["tmux", "load-buffer", "-w", "-"]
        done = subprocess.run(
            argv, input=text.encode(errors="replace"), capture_output=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
