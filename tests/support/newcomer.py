"""A newcomer at the keyboard: from pictures to a config that can be trained, with the keys that the screen names."""

import sys
import time
from pathlib import Path

from support.drawn_pictures import photo
from support.terminal import Terminal

NUM_PICTURES = 20
SIDE = 512
STEPS = (
    ("o  open a folder of pictures", "o"),
    ("folder of pictures:", "mika\r"),
    (f"{NUM_PICTURES} without a caption: t adds a trigger", "t"),
    (f"trigger word, {NUM_PICTURES} pictures:", "\r"),
    ("y Do it", "y"),
    ("n makes a config", "n"),
    ("preset:", "\r"),
    ("base model:", "\r"),
    ("what the LoRA is called: mika", "\r"),
    ("the word that calls it:", "\r"),
    ("write it to:", "\r"),
)
"""What the screen shows that leads on, and what is pressed then."""
GREEN = "t trains it"
NUM_KEYS = sum(len(keys) for _, keys in STEPS)
_AGAIN_S = 0.1


def write_pictures(home: Path) -> Path:
    """Draw pictures without captions into a folder of an empty home, and return it."""
    folder = home / "mika"
    folder.mkdir(parents=True)
    for seed in range(NUM_PICTURES):
        photo(seed, (SIDE, SIDE)).save(folder / f"IMG_{seed:04}.jpg", quality=90)
    return folder


def begin(home: Path) -> Terminal:
    """Start the interface in a home that knows nothing yet."""
    environ = {"HOME": str(home), "VISUAL": "", "EDITOR": ""}
    environ |= {f"LORATUI_{name}": str(home / f".{name.lower()}") for name in ("STATE_DIR", "CONFIG_DIR", "HOME")}
    shell = ["/bin/sh", "-c", 'cd "$HOME" && exec "$0" -m loratui.cli', sys.executable]
    return Terminal(shell, size=(80, 24), environ=environ)


def walk(terminal: Terminal) -> float:
    """Press what the screen names until the check is green; return the seconds since the start."""
    for shown, keys in STEPS:
        terminal.read_until_text(shown)
        _press(terminal, shown, keys)
    terminal.read_until_text(GREEN)
    return time.monotonic() - terminal.started_s


def _press(terminal: Terminal, shown: str, keys: str) -> None:
    terminal.press(keys)
    if keys != "y":
        return
    # A question takes no key in its first moment, when nobody can have read it.
    while shown in terminal.screen().text():
        terminal.read(_AGAIN_S)
        terminal.press(keys)
