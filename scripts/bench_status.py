"""How long ``loratui status --json`` takes, as a shell sees it: at most 300 ms, and without loading Textual.

python scripts/bench_status.py [--times N]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from loratui.settings import load
from loratui.store import Store, StoredRun
from loratui_protocol.ids import new_id
from loratui_protocol.messages import JobState, Record, State, Step

GATE_MS = 300.0
NUM_STEPS = 20_000


def fill(state_dir: Path) -> None:
    """Store a finished run of many steps."""
    with Store(load(environ={"LORATUI_STATE_DIR": str(state_dir)}).database) as store:
        run_id = new_id()
        run = StoredRun(
            id=run_id, name="bench", target="local", created_ts=time.time(), config_toml="", home=state_dir / "home"
        )
        store.add_run(run)
        store.begin_history(run_id, "epoch", reset=True)
        steps = [
            Step(step=n, total=NUM_STEPS, epoch=1, loss=0.1, lr=1e-4, it_s=9.0, eta_s=1.0)
            for n in range(1, NUM_STEPS + 1)
        ]
        events = [*steps, State(state=JobState.DONE)]
        store.append(run_id, "epoch", [Record(seq=n, ts=float(n), event=event) for n, event in enumerate(events, 1)])


def main() -> int:
    """Measure, print a table, and return 1 if the gate is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=15)
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "LORATUI_STATE_DIR": folder}
        fill(Path(folder))
        command = [sys.executable, "-m", "loratui.cli", "status", "--json"]
        took_ms = []
        for _ in range(times):
            start_s = time.perf_counter()
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
            took_ms.append((time.perf_counter() - start_s) * 1000)
        imports = subprocess.run(
            [command[0], "-X", "importtime", *command[1:]], env=environment, check=True, capture_output=True, text=True
        ).stderr
    loads_textual = any(line.rpartition("|")[2].strip() == "textual" for line in imports.splitlines())
    median_ms = statistics.median(took_ms)
    print(f"loratui status --json, {times} processes, a run of {NUM_STEPS} steps in the database")
    print(f"  median   {median_ms:6.0f} ms   at most {GATE_MS:.0f}")
    print(f"  slowest  {max(took_ms):6.0f} ms")
    print(f"  textual  {'loaded' if loads_textual else 'not loaded'}")
    return 1 if median_ms > GATE_MS or loads_textual else 0


if __name__ == "__main__":
    sys.exit(main())
