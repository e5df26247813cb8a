"""How long from the start of a process to its first step? Prints a table; exits 1 when the gate is missed.

    python scripts/bench_start.py [--runs N]

The demo's training, on the built-in model with SD 1.5's structure: the trainer's own process from its start to the
event of its first step, everything before it included (imports, model, captions, latents, comparing thread counts).
"""

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from figures import Figure

from loratui_agent.demo.job import write_demo
from loratui_protocol import messages
from loratui_protocol.config_file import read_config
from support.trainer_process import trainer, write_job

MAX_START_S = 6.2


def start_s() -> tuple[float, list[tuple[str, float]]]:
    """Return the seconds to the first step, and when each phase before it began."""
    with tempfile.TemporaryDirectory() as folder:
        config = replace(read_config(write_demo(Path(folder), "demo")).config, max_train_steps=2, sample_prompts=())
        job = write_job(Path(folder) / "job", config)
        begun_s, begun_ts = time.monotonic(), time.time()
        with trainer(job, Path(folder)) as process:
            process.wait_for_step(1)
            duration_s = time.monotonic() - begun_s
            phases = {event.phase: ts - begun_ts for ts, event in process.timed() if isinstance(event, messages.Setup)}
            process.finish()
    return duration_s, list(phases.items())


def main() -> int:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    measured = [start_s() for _ in range(parser.parse_args().runs)]
    durations = [duration_s for duration_s, _ in measured]
    print("phases of the last run began at " + ", ".join(f"{name} {at_s:.1f} s" for name, at_s in measured[-1][1]))
    figure = Figure(
        f"process start to first step, median of {len(durations)}", statistics.median(durations), "s", MAX_START_S
    )
    print(figure)
    print(f"  from {min(durations):.2f} to {max(durations):.2f} s")
    return 0 if figure.holds else 1


if __name__ == "__main__":
    sys.exit(main())
