"""A tmux of its own whose one pane is the terminal of a program: keys go in, and what can be read is read."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PATIENCE_S = 60.0
"""For what comes at once on an idle machine."""


class Tmux:
    """80x24; ``term`` is what the pane says that it is."""

    def __init__(
        self,
        folder: Path,
        argv: Sequence[str],
        environ: Mapping[str, str] | None = None,
        *,
        term: str = "tmux-256color",
        start_in: Path | None = None,
    ) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        self._start_in = start_in or folder
        self._environ = {
            name: value
            for name, value in (os.environ if environ is None else environ).items()
            if not name.startswith(("SSH_", "TMUX", "TEXTUAL_")) and name != "NO_COLOR"
        } | {"COLORTERM": "", "TERM": "xterm-256color"}
        # What a program said last can be read after its end, and the server outlives a terminal that is closed.
        options = {"exit-empty": "off", "remain-on-exit": "on", "default-terminal": term}
        settings = [word for name, value in options.items() for word in (";", "set", "-g", name, value)]
        self._run("start-server", *settings)
        self.open(argv)

    def open(self, argv: Sequence[str]) -> None:
        """Open a terminal, and start a program in it."""
        self._run("new-session", "-d", "-x", "80", "-y", "24", "-c", str(self._start_in), *argv)

    def _run(self, *argv: str) -> str:
        return subprocess.run(
            [*self._tmux, *argv], check=True, capture_output=True, text=True, env=self._environ
        ).stdout

    @property
    def is_open(self) -> bool:
        """Return whether the program still runs in its terminal."""
        return self._run("display-message", "-p", "#{pane_dead}").strip() == "0"

    def keys(self, *keys: str) -> None:
        """Press keys by tmux's names for them: a, Enter, C-t, F8."""
        self._run("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type a text as fast as a paste comes."""
        self._run("send-keys", "-l", text)

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self._run("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self, *options: str) -> str:
        """Return what stands there; with "-e" in its colours."""
        return self._run("capture-pane", "-p", *options)

    def shows(self, *texts: str, deadline_s: float = PATIENCE_S) -> str:
        """Return the first screen with all of the texts."""
        return self.comes(lambda screen: all(text in screen for text in texts), deadline_s)

    def comes(self, condition: Callable[[str], object], deadline_s: float = PATIENCE_S) -> str:
        """Return the first screen of which something is true."""
        end_s = time.monotonic() + deadline_s
        while not condition(screen := self.screen()):
            assert time.monotonic() < end_s, screen
            # Looking without a pause would keep from the program what it needs to get there.
            time.sleep(0.03)
        return screen

    def kill(self) -> None:
        """Close the terminal, as a lost connection does: what runs in it gets SIGHUP."""
        self._run("kill-session")

    def close(self) -> None:
        """End it with everything in it."""
        self._run("kill-server")
