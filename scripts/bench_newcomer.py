"""Measure the first start: from nothing to a config that can be trained, each key pressed as soon as it is named.

The real program on a pty at 80x24, in a home that knows nothing, with 20 pictures without captions (see
``tests/support/newcomer.py``). What remains is what the machine takes: a minute less that is left to read and to type.

python scripts/bench_newcomer.py
"""

import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from figures import Figure

from support.newcomer import NUM_KEYS, begin, walk, write_pictures

NUM_STARTS = 3


def main() -> int:
    """Start anew a few times, and print the table."""
    seconds = []
    for _ in range(NUM_STARTS):
        with tempfile.TemporaryDirectory() as folder:
            write_pictures(Path(folder))
            with begin(Path(folder)) as terminal:
                seconds.append(walk(terminal))
    figures = [
        Figure("keys from the start to the green check, the path's included", NUM_KEYS, "keys", 16),
        Figure(f"seconds of the machine, median of {NUM_STARTS}", statistics.median(seconds), "s", 15),
    ]
    for figure in figures:
        print(figure)
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
