"""Measure the interface as a terminal sees it: bytes, times, processor, memory.

The real program runs on a pty of its own: most of it on a scripted run that trains at 2.31 steps a second (see
``scripted_ui.py``), painted once a second. Bytes and frames are exact, and a limit that they miss fails; times depend
on what else the machine does, and fail at twice their limit. Exits 1 when something fails.

python scripts/bench_terminal.py [--seconds N] [--only WORD]
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import starmap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import textual
from figures import Figure

from loratui.settings import load
from loratui.store import Store, StoredRun
from loratui.ui.places import PLACES
from loratui_protocol.ids import new_id
from loratui_protocol.messages import JobState, Record, State, Step
from support import terminal_bytes
from support.drawn_pictures import photo
from support.terminal import Terminal
from support.terminal_bytes import CHILD, MOST_OF_A_SCREEN, SIZES, name_of, standing

SENTINEL = "first-paint-sentinel"
WARM_UP_S = 3.0
NUM_STARTS = 7
NUM_KEYS = 40
KEY_PAUSE_S = 0.25
STALL_S = 10.0
NUM_LONG = 100_000
BURST_S = 12.0
NUM_PICTURES = 2_000
CHECK_S = 300.0
NUM_SCROLLED = 200
HELD_KEY_S = 0.03
"""So long a key that is held lets pass until it comes again."""
FRAME, FRAME_END = b"\x1b[?2026h", b"\x1b[?2026l"


def read_for(terminal: Terminal, seconds: float) -> int:
    """Take what comes for a while, and return how many bytes came."""
    before, end_s = len(terminal.received), time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        terminal.read(left_s)
    return len(terminal.received) - before


class Seconds:
    """The seconds of this machine, and what of its processor a program takes meanwhile."""

    options = ()

    def __init__(self, number: float) -> None:
        self._number = number
        self.cpu_share = self.rss_mb = 0.0

    def rest(self, terminal: Terminal) -> None:
        """Let the screen come to rest."""
        read_for(terminal, WARM_UP_S)

    def a_second(self, terminal: Terminal, most: float) -> float:  # noqa: ARG002 - counted once, whatever comes
        """Return the bytes a second."""
        cpu_s = terminal.cpu_s()
        sent = read_for(terminal, self._number) / self._number
        self.cpu_share = (terminal.cpu_s() - cpu_s) / self._number
        self.rss_mb = resident_mb(terminal)
        return sent


def trained(*options: str, size: tuple[int, int] = (80, 24)) -> AbstractContextManager[Terminal]:
    """Show the scripted run, and let the screen come to rest."""
    return standing(Seconds(0), *options, size=size)


# --- bytes and processor ---


def run_screen(seconds: float) -> Iterator[Figure]:
    """A run that trains."""
    pace = Seconds(seconds)
    for amount in terminal_bytes.run_screen(pace):
        yield Figure(*amount)
        if amount.unit == "B/s":
            size = amount.name.rpartition(", ")[2]
            yield Figure(f"processor, {size}", 100 * pace.cpu_share, "% core", 3)
            yield Figure(f"resident memory, {size}", pace.rss_mb, "MB", 120)


def quiet_screens(seconds: float) -> Iterator[Figure]:
    """What is to be nearly silent."""
    yield from starmap(Figure, terminal_bytes.quiet_screens(Seconds(seconds)))


def changes(_: float) -> Iterator[Figure]:
    """What one key costs until its answer stands."""
    yield from starmap(Figure, terminal_bytes.changes(Seconds(0)))


def first_switches(_: float) -> Iterator[Figure]:
    """What a screen costs that was never looked at: at once after the first frame, and when all are loaded."""
    for what, rest_s in (("at once", 0.0), ("later", WARM_UP_S)):
        waits, most = [], 0
        for place in PLACES:
            is_first = place.name == "run"
            with Terminal([*CHILD, "--home"] if is_first else CHILD) as terminal:
                terminal.read_until_text("nothing is rented" if is_first else "TRAINING")
                read_for(terminal, rest_s)
                before, pressed_s = len(terminal.received), time.monotonic()
                terminal.press(place.key)
                # Frames of what is shown already may come between.
                while f"▌{place.key}".encode() not in terminal.received[before:]:
                    terminal.read(1.0)
                waits.append((time.monotonic() - pressed_s) * 1000)
                read_for(terminal, KEY_PAUSE_S)
                most = max(most, len(terminal.received) - before)
        yield Figure(f"first look at a screen, {what}, p95 of {len(waits)}", percentile(waits, 0.95), "ms", 120)
        yield Figure(f"bytes of it, {what}, the most of {len(waits)}, 80x24", most, "B", MOST_OF_A_SCREEN)


# --- times ---


def first_paint_ms(
    size: tuple[int, int] = (80, 24), argv: Sequence[str] = (*CHILD, "--name", SENTINEL), shows: str = SENTINEL
) -> tuple[float, float]:
    """Return the time from fork to the first frame, and the processor time that it took."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {f"LORATUI_{name}": folder for name in ("STATE_DIR", "CONFIG_DIR", "HOME")}
        with Terminal(argv, size=size, environ=environ) as terminal:
            terminal.read_until(lambda output: shows.encode() in output)
            return (time.monotonic() - terminal.started_s) * 1000, terminal.cpu_s() * 1000


def first_paints(_: float) -> Iterator[Figure]:
    """How long one waits for the picture; cold: with the program's files dropped from the system's cache before."""
    loratui = [sys.executable, "-m", "loratui.cli"]
    starts: dict[str, Callable[[], tuple[float, float]]] = {
        **{f"a run, {name_of(size)}": partial(first_paint_ms, size) for size in SIZES},
        "loratui alone, 80x24": partial(first_paint_ms, argv=loratui, shows="nothing is rented"),
    }
    for name, start in starts.items():
        start()
        waited, worked = zip(*(start() for _ in range(NUM_STARTS)), strict=True)
        yield Figure(f"first paint, median of {NUM_STARTS}, {name}", statistics.median(waited), "ms", 500)
        yield Figure(f"processor time that it takes, {name}", statistics.median(worked), "ms", 400)
    if hasattr(os, "posix_fadvise"):
        times = []
        for _ in range(3):
            forget_files()
            times.append(first_paint_ms()[0])
        yield Figure("first paint, cold, median of 3, 80x24", statistics.median(times), "ms", 900)


def forget_files() -> None:
    """Ask the system to drop from its cache what the program is read from."""
    packages = Path(textual.__file__).parents[1]
    ours = Path(__file__).resolve().parents[1]
    used = [packages / name for name in ("textual", "rich", "PIL", "cattrs", "attr", "msgpack", "pygments")]
    for folder in (*used, ours / "tui", ours / "protocol"):
        for path in filter(Path.is_file, folder.rglob("*")):
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def keys(_: float) -> Iterator[Figure]:
    """How long after a key the first byte of the answer comes."""
    for pressed, what, most_ms in (("L", "action", 50), ("15", "screen", 120)):
        with trained() as terminal:
            times = []
            for number in range(NUM_KEYS):
                read_for(terminal, KEY_PAUSE_S)
                pressed_s = time.monotonic()
                terminal.press(pressed[number % len(pressed)])
                while not terminal.read(1.0):
                    pass
                times.append((time.monotonic() - pressed_s) * 1000)
        yield Figure(f"key to first byte, {what}, p95 of {NUM_KEYS}", percentile(times, 0.95), "ms", most_ms)


def percentile(values: list[float], share: float) -> float:
    """Return the value that ``share`` of all are not above."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def stalled(_: float) -> Iterator[Figure]:
    """How long a command waits while nobody reads what the program draws; each key repaints everything as well."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told"
        with trained("--tell", str(told), size=(200, 60)) as terminal:
            worst_s, count, end_s = 0.0, 0, time.monotonic() + STALL_S
            while time.monotonic() < end_s:
                terminal.press("\x0cs")
                count, pressed_s = count + 1, time.monotonic()
                while not told.exists() or len(told.read_text().splitlines()) < count:
                    time.sleep(0.002)
                worst_s = max(worst_s, time.monotonic() - pressed_s)
                time.sleep(0.05)
    yield Figure(f"longest wait of {count} commands, terminal stalled {STALL_S:.0f} s", worst_s, "s", 1)


# --- much of everything ---


def long_run(seconds: float) -> Iterator[Figure]:
    """A run of many steps, out of the client's own records."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {f"LORATUI_{name}": folder for name in ("STATE_DIR", "CONFIG_DIR", "HOME")}
        store_long(environ)
        with Terminal([sys.executable, "-m", "loratui.cli"], environ=environ) as terminal:
            terminal.read_until_text("long-run", 60)
            pressed_s = time.monotonic()
            terminal.press("\r")
            terminal.read_until(lambda output: "▌5Run▐".encode() in output, 60)
            terminal.read_until_text("─ loss", 60)
            yield Figure(f"a run of {NUM_LONG} steps opens", time.monotonic() - pressed_s, "s", 1)
            terminal.press("\x03")
            terminal.wait()
    with trained("--steps", str(NUM_LONG), size=(120, 40)) as terminal:
        cpu_s = terminal.cpu_s()
        read_for(terminal, seconds)
        yield Figure(f"processor at step {NUM_LONG}, 120x40", 100 * (terminal.cpu_s() - cpu_s) / seconds, "% core", 3)


def store_long(environ: dict[str, str]) -> None:
    """Store a finished run of many steps."""
    with Store(load(environ=environ).database) as store:
        run_id = new_id()
        home = Path(environ["LORATUI_HOME"])
        run = StoredRun(id=run_id, name="long-run", target="local", created_ts=time.time(), config_toml="", home=home)
        store.add_run(run)
        store.begin_history(run_id, "epoch", reset=True)
        steps = [
            Step(step=n, total=NUM_LONG, epoch=1, loss=1 / n, lr=1e-4, it_s=9.0, eta_s=1.0, grad_norm=0.5)
            for n in range(1, NUM_LONG + 1)
        ]
        events = [*steps, State(state=JobState.DONE)]
        store.append(run_id, "epoch", [Record(seq=n, ts=float(n), event=event) for n, event in enumerate(events, 1)])


def data_screen(_: float) -> Iterator[Figure]:
    """Many pictures: checked while they are listed, then scrolled through with the picture beside the list."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {f"LORATUI_{name}": folder for name in ("STATE_DIR", "CONFIG_DIR", "HOME")}
        pictures = Path(folder) / "pictures"
        write_pictures(pictures, NUM_PICTURES)
        argv = [sys.executable, "-m", "loratui.cli"]
        with Terminal(argv, environ=environ, size=(120, 40)) as terminal:
            terminal.read_until_text("nothing is rented")
            for keys, shows in (("2", "No folder is open"), ("o", "folder or config:")):
                terminal.press(keys)
                terminal.read_until_text(shows)
            # What comes with this key would be taken away by it.
            terminal.press("\x15")
            read_for(terminal, KEY_PAUSE_S)
            terminal.press(f"{pictures}\r")
            terminal.read_until_text(f" of {NUM_PICTURES} ", CHECK_S)
            # Looked at between two frames: half of one says anything.
            terminal.read_until(
                lambda output: output.endswith(FRAME_END) and "checking" not in terminal.screen().text(), CHECK_S
            )
            yield Figure(f"memory at most, {NUM_PICTURES} pictures checked", resident_mb(terminal, "VmHWM"), "MB", 120)
            cpu_s, waits, before = terminal.cpu_s(), [], len(terminal.received)
            for _ in range(NUM_SCROLLED):
                pressed_s = time.monotonic()
                terminal.press("j")
                terminal.read(1.0)
                waits.append((time.monotonic() - pressed_s) * 1000)
                read_for(terminal, HELD_KEY_S)
            yield Figure("longest wait for a row of them", max(waits), "ms", 50)
            yield Figure("processor for a row", (terminal.cpu_s() - cpu_s) * 1000 / NUM_SCROLLED, "ms", 15)
            yield Figure("bytes for a row", (len(terminal.received) - before) / NUM_SCROLLED, "B", 2_000)


def write_pictures(folder: Path, number: int) -> None:
    """Write pictures with captions; each is another, and many are alike."""
    folder.mkdir()
    scenes = [photo(seed) for seed in range(16)]
    for index in range(number):
        picture = scenes[index % len(scenes)]
        picture.paste((index % 256, index // 256 * 30, 90), (0, 0, 96, 96))
        picture.save(folder / f"picture-{index:04}.jpg", quality=85)
        (folder / f"picture-{index:04}.txt").write_text(f"a thing on a plain ground, number {index}", "utf-8")


def log_burst(_: float) -> Iterator[Figure]:
    """Many lines of log in some seconds."""
    with trained("--burst", str(NUM_LONG)) as terminal:
        before_mb, frames = resident_mb(terminal), terminal.received.count(FRAME)
        terminal.press("s")
        read_for(terminal, BURST_S)
        terminal.read_until_text(f"line {NUM_LONG}")
        a_second = (terminal.received.count(FRAME) - frames) / BURST_S
        yield Figure(f"frames while {NUM_LONG} lines are logged", a_second, "a second", 10)
        yield Figure("memory that they take", resident_mb(terminal) - before_mb, "MB", 10)


def resident_mb(terminal: Terminal, which: str = "VmRSS") -> float:
    """Return the resident memory of the program; ``VmHWM``: the most that it ever was (Linux)."""
    status = Path(f"/proc/{terminal.pid}/status").read_text()
    return int(status.partition(f"{which}:")[2].split()[0]) * 1024 / 1e6


EXACT = ("B/s", "B", "a second", "MB")
PARTS: tuple[Callable[[float], Iterator[Figure]], ...] = (
    run_screen,
    quiet_screens,
    changes,
    first_switches,
    first_paints,
    keys,
    stalled,
    long_run,
    log_burst,
    data_screen,
)


def main() -> int:
    """Measure everything and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to count, after 3 s (default 20)")
    parser.add_argument("--only", default="", help="the parts whose name holds this word")
    arguments = parser.parse_args()
    # As for whoever has installed it, Python's bytecode is to lie on the disk.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    failed = False
    for part in PARTS:
        if arguments.only not in part.__name__:
            continue
        for figure in part(arguments.seconds):
            print(figure, flush=True)
            failed |= figure.value > figure.limit * (1 if figure.unit in EXACT else 2)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
