"""How long ``loratui status --json`` takes, as a shell sees it: at most 300 ms, and without loading Textual.

Once of a long run that is over, once of a run in progress, whose agent is asked.

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

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from loratui.settings import load
from loratui.store import Store, StoredRun
from loratui_protocol.config_file import to_toml
from loratui_protocol.ids import new_id
from loratui_protocol.messages import JobState, Record, State, Step
from support.agent_process import running_agent
from support.local_cli import LocalCli, local_cli
from support.small_dataset import small_config, write_small_dataset

GATE_MS = 300.0
NUM_STEPS = 20_000


def start(cli: LocalCli) -> None:
    """Start a run and leave it to itself."""
    config = cli.folder / "job.toml"
    config.write_text(to_toml(small_config(write_small_dataset(cli.folder / "pictures"))), "utf-8")
    command = cli.run("train", config, "--on", "local", "--detach", "--yes")
    assert command.process.returncode == 0, command.errors


def fill(cli: LocalCli) -> None:
    """Store a finished run of many steps."""
    with Store(load(environ=cli.environment).database) as store:
        run_id = new_id()
        run = StoredRun(
            id=run_id, name="bench", target="local", created_ts=time.time(), config_toml="", home=cli.home.path
        )
        store.add_run(run)
        store.begin_history(run_id, "epoch", reset=True)
        steps = [
            Step(step=n, total=NUM_STEPS, epoch=1, loss=0.1, lr=1e-4, it_s=9.0, eta_s=1.0)
            for n in range(1, NUM_STEPS + 1)
        ]
        events = [*steps, State(state=JobState.DONE)]
        store.append(run_id, "epoch", [Record(seq=n, ts=float(n), event=event) for n, event in enumerate(events, 1)])


def measure(cli: LocalCli, times: int) -> tuple[list[float], bool]:
    """Return the milliseconds of each call, and whether one more of them loads Textual."""
    command = [sys.executable, "-m", "loratui.cli", "status", "--json"]
    took_ms = []
    for _ in range(times):
        start_s = time.perf_counter()
        subprocess.run(command, env=cli.environment, check=True, stdout=subprocess.DEVNULL)
        took_ms.append((time.perf_counter() - start_s) * 1000)
    traced = [command[0], "-X", "importtime", *command[1:]]
    imports = subprocess.run(traced, env=cli.environment, check=True, capture_output=True, text=True).stderr
    return took_ms, any(line.rpartition("|")[2].strip() == "textual" for line in imports.splitlines())


def main() -> int:
    """Measure, print a table, and return 1 if the gate is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=15)
    times = parser.parse_args().times
    # The trainer of the run in progress: what is measured is the client.
    os.environ["STAND_IN"] = "steps = 1000000\nstep_s = 0.05"
    is_missed = False
    with tempfile.TemporaryDirectory() as folder, local_cli(Path(folder)) as cli:
        fill(cli)
        rows = [(f"a run of {NUM_STEPS} steps that is over", *measure(cli, times))]
        with running_agent(cli.home.path):
            start(cli)
            rows.append(("a run in progress", *measure(cli, times)))
    print(f"loratui status --json, {times} processes each")
    for name, took_ms, loads_textual in rows:
        median_ms = statistics.median(took_ms)
        is_missed |= median_ms > GATE_MS or loads_textual
        textual = "loaded" if loads_textual else "not loaded"
        figures = f"median {median_ms:4.0f} ms (at most {GATE_MS:.0f}), slowest {max(took_ms):4.0f} ms"
        print(f"  {name:<36} {figures}, Textual {textual}")
    return 1 if is_missed else 0


if __name__ == "__main__":
    sys.exit(main())
