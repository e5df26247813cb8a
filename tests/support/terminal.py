"""A terminal in a few lines: a program on a pty, its bytes counted, its screen kept as cells."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.cells import get_character_cell_size

_SEQUENCE = re.compile(r"\x1b\[([0-9;?<>=$]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.")


class Glyph(NamedTuple):
    """A character and its look, however that came about; the right half of a wide character is empty."""

    char: str = " "
    look: str = ""


@dataclass
class VtScreen:
    """As much of a terminal as our frames need: cursor positions, colours, text, wide characters."""

    width: int
    height: int
    cells: list[list[Glyph]] = field(init=False)
    x: int = 0
    y: int = 0
    look: str = ""

    def __post_init__(self) -> None:
        self.cells = [[Glyph() for _ in range(self.width)] for _ in range(self.height)]

    def feed(self, output: str) -> None:
        at = 0
        for match in _SEQUENCE.finditer(output):
            self._write(output[at : match.start()])
            self._control(match[1], match[2])
            at = match.end()
        self._write(output[at:])

    def text(self) -> str:
        return "\n".join("".join(glyph.char for glyph in row).rstrip() for row in self.cells)

    def _control(self, parameters: str | None, final: str | None) -> None:
        if final == "H" and parameters is not None:
            row, column = (int(number or 1) for number in (parameters or "1;1").split(";"))
            self.y, self.x = row - 1, column - 1
        elif final == "m" and parameters is not None:
            self.look = _looking(self.look, parameters)

    def _write(self, text: str) -> None:
        for char in text:
            if char in "\r\n":
                continue  # Textual ends rows with them, and then moves the cursor
            if self.x < self.width and self.y < self.height:
                self._put(char)

    def _put(self, char: str) -> None:
        row = self.cells[self.y]
        columns = max(1, get_character_cell_size(char))
        # As terminals do: what is left of a wide character that is half overwritten becomes blank.
        if not row[self.x].char and self.x:
            row[self.x - 1] = Glyph(" ", row[self.x - 1].look)
        after = self.x + columns
        if after < self.width and not row[after].char:
            row[after] = Glyph(" ", row[after].look)
        row[self.x] = Glyph(char, self.look)
        for extra in range(self.x + 1, min(after, self.width)):
            row[extra] = Glyph("", self.look)
        self.x = after


def _looking(look: str, parameters: str) -> str:
    """Return the look after more SGR parameters: what is said of one kind of thing replaces what was said of it."""
    parts = dict(part.split("=") for part in look.split()) if look else {}
    for match in re.finditer(r"([34])8;(?:5;\d+|2;\d+;\d+;\d+)|\d+", parameters or "0"):
        code = match[0]
        if code == "0":
            parts = {}
        elif match[1]:
            parts[match[1]] = code
        else:
            colour = len(code) > 1 and (code[:-1] if code[:-1] in ("3", "4") else {"9": "3", "10": "4"}.get(code[:-1]))
            parts[colour or f"a{code}"] = code
    return " ".join(f"{kind}={code}" for kind, code in sorted(parts.items()))


class Terminal:
    """Runs a program on a pty of its own and answers what Textual asks terminals."""

    def __init__(
        self, argv: Sequence[str], *, size: tuple[int, int] = (80, 24), environ: Mapping[str, str] | None = None
    ) -> None:
        self.started_s = time.monotonic()
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            self._become(argv, size, environ or {})
        self.received = bytearray()
        self.size = size
        self._status: int | None = None

    @staticmethod
    def _become(argv: Sequence[str], size: tuple[int, int], environ: Mapping[str, str]) -> None:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SSH_", "TEXTUAL_"))}
        kept.pop("NO_COLOR", None)
        kept |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LINES": "", "COLUMNS": "", **environ}
        kept = {name: value for name, value in kept.items() if value}
        try:
            os.execvpe(argv[0], list(argv), kept)  # noqa: S606
        finally:
            os._exit(127)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait(10)
        self.hang_up()

    def hang_up(self) -> None:
        """Close the terminal; the program gets SIGHUP."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    @property
    def terminal_fd(self) -> int:
        """Return a descriptor by which the terminal's settings can be read."""
        return self._master

    def end(self, way: str | signal.Signals) -> None:
        """Hang up, or send a signal."""
        if isinstance(way, signal.Signals):
            os.kill(self.pid, way)
        else:
            self.hang_up()

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def read(self, seconds: float) -> bytes:
        """Return what comes next, or nothing after ``seconds``."""
        if not select.select([self._master], [], [], seconds)[0]:
            return b""
        try:
            output = os.read(self._master, 1 << 16)
        except OSError:
            return b""
        if b"\x1b[?2026$p" in output:
            self.press("\x1b[?2026;2$y")
        self.received += output
        return output

    def read_until(self, condition: Callable[[bytes], bool], deadline_s: float = 20) -> None:
        """Read until ``condition`` holds for everything received.

        Raises:
            TimeoutError: it does not hold in time.
        """
        end_s = time.monotonic() + deadline_s
        while not condition(bytes(self.received)):
            if time.monotonic() > end_s:
                raise TimeoutError(f"the screen is now:\n{self.screen().text()}")
            self.read(0.05)

    def read_until_text(self, text: str, deadline_s: float = 20) -> None:
        """Read until the screen shows ``text``."""
        self.read_until(lambda _: text in self.screen().text(), deadline_s)

    def screen(self) -> VtScreen:
        screen = VtScreen(*self.size)
        screen.feed(self.received.decode(errors="replace"))
        return screen

    def wait(self, deadline_s: float = 20, *, reads: bool = True) -> int:
        """Return the exit status; reads on meanwhile, so that nothing blocks on a full pty, unless it shall."""
        end_s = time.monotonic() + deadline_s
        while self.is_running:
            if time.monotonic() > end_s:
                raise TimeoutError("the program did not end")
            if self._master >= 0 and reads:
                self.read(0.02)
            else:
                select.select([], [], [], 0.02)
        assert self._status is not None
        return self._status

    @property
    def is_running(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status is None

    def cpu_s(self) -> float:
        """Return the processor time that the program has used, in seconds (Linux)."""
        with open(f"/proc/{self.pid}/stat") as stat:  # noqa: PTH123
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
