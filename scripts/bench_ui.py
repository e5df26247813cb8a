"""Measure the run screen as a terminal sees it: bytes a second, first paint, key latency, processor time.

The real program runs on a pty of its own, on a scripted run that trains at 2.31 steps a second (see
``scripted_ui.py``), painted once a second. Bytes are exact; times depend on what else the machine does. Exits 1 when
a gate fails.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.terminal import Terminal

CHILD = [sys.executable, str(Path(__file__).with_name("scripted_ui.py"))]
SENTINEL = "first-paint-sentinel"
WARM_UP_S = 3.0
NUM_STARTS = 5
NUM_KEYS = 20
KEY_PAUSE_S = 0.25
BYTES_PER_S_GATES = {(80, 24): 400, (120, 40): 800}
FIRST_PAINT_GATE_MS = 900


def first_paints_ms(size: tuple[int, int]) -> list[float]:
    """Return the times from fork to the first frame that holds the run's name, in milliseconds."""
    times = []
    for _ in range(NUM_STARTS):
        with Terminal([*CHILD, "--name", SENTINEL], size=size) as terminal:
            terminal.read_until(lambda output: SENTINEL.encode() in output)
            times.append((time.monotonic() - terminal.started_s) * 1000)
    return sorted(times)


def steady(size: tuple[int, int], seconds: float, options: list[str]) -> tuple[float, float, int]:
    """Return bytes a second and percent of a core after the warm-up, and the bytes sent until then."""
    with Terminal([*CHILD, *options], size=size) as terminal:
        terminal.read_until_text("TRAINING")
        read_for(terminal, WARM_UP_S)
        sent, cpu_s, began_s = len(terminal.received), terminal.cpu_s(), time.monotonic()
        read_for(terminal, seconds)
        elapsed_s = time.monotonic() - began_s
        return (
            (len(terminal.received) - sent) / elapsed_s,
            100 * (terminal.cpu_s() - cpu_s) / elapsed_s,
            sent,
        )


def key_latencies_ms(size: tuple[int, int]) -> list[float]:
    """Return the times from a key (log scale on and off) to the first byte that answers it, in milliseconds."""
    times = []
    with Terminal(CHILD, size=size) as terminal:
        terminal.read_until_text("TRAINING")
        read_for(terminal, WARM_UP_S)
        for _ in range(NUM_KEYS):
            read_for(terminal, KEY_PAUSE_S)
            pressed_s = time.monotonic()
            terminal.press("L")
            while not terminal.read(1.0):
                pass
            times.append((time.monotonic() - pressed_s) * 1000)
    return sorted(times)


def read_for(terminal: Terminal, seconds: float) -> None:
    """Take what comes for a while."""
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        terminal.read(left_s)


def report(what: str, value: str, gate: str = "", *, ok: bool = True) -> bool:
    """Print a row of the table and return whether its gate holds."""
    print(f"{what:<44} {value:>18} {gate:>12} {'' if not gate else 'ok' if ok else 'FAIL'}")
    return ok


def main() -> int:
    """Measure everything and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to count bytes, after 3 s (default 20)")
    parser.add_argument("--stock", action="store_true", help="also count what Textual sends without the frame diff")
    seconds = parser.parse_args().seconds
    with_stock = parser.parse_args().stock

    passed = True
    report("run screen at 1 Hz", "measured", "gate")
    for size, gate in BYTES_PER_S_GATES.items():
        name = f"{size[0]}x{size[1]}"
        bytes_per_s, cpu_percent, until_idle = steady(size, seconds, [])
        passed &= report(f"{name} bytes a second", f"{bytes_per_s:.0f}", f"<= {gate}", ok=bytes_per_s <= gate)
        report(f"{name} processor", f"{cpu_percent:.1f} %")
        report(f"{name} bytes in the first {WARM_UP_S:.0f} s", f"{until_idle}")
        paints = first_paints_ms(size)
        median = statistics.median(paints)
        passed &= report(
            f"{name} first paint, median of {len(paints)}",
            f"{median:.0f} ms",
            f"<= {FIRST_PAINT_GATE_MS}",
            ok=median <= FIRST_PAINT_GATE_MS,
        )
        report(f"{name} first paint, best and worst", f"{paints[0]:.0f} / {paints[-1]:.0f} ms")
        keys = key_latencies_ms(size)
        report(f"{name} key to first byte, median and p95", f"{keys[len(keys) // 2]:.0f} / {keys[-2]:.0f} ms")
    slow, _, _ = steady((80, 24), seconds, ["--slow"])
    report("80x24 on a slow line, bytes a second", f"{slow:.0f}")
    if with_stock:
        stock, _, _ = steady((80, 24), seconds, ["--stock"])
        report("80x24 without the frame diff, bytes a second", f"{stock:.0f}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
