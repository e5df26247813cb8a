"""Does the demo learn its concept, in time, and nothing else? The whole ``loratui demo``, then the second concept.

    python scripts/bench_demo.py        # about six minutes on two cores; exits 1 when a gate is missed

The first part is what ``make demo`` runs, timed from the start of the process. The second part trains the concept that
no setting was chosen for, with the same config. Homes are temporary; nothing of the user's is touched.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from loratui_agent.demo.job import write_demo
from loratui_protocol import messages
from loratui_protocol.config_file import read_config
from support.trainer_process import trainer, write_job

MAX_TRAINING_S = 120.0
MAX_FIRST_LINE_S = 15.0
PLAIN_STEPS = (5, 195)
"""From and to: nothing but steps lies between, no sample, checkpoint or file."""


@dataclass(frozen=True, slots=True)
class DemoRun:
    """What came of one ``loratui demo --json``."""

    first_line_s: float
    agent_pct: float
    """Processor time of the agent, in per cent of the time of ``PLAIN_STEPS``."""
    lines: list[dict[str, Any]]


def run_demo(folder: Path) -> DemoRun:
    """Run the demo as a newcomer does, in homes of its own."""
    environment = {
        **os.environ,
        "LORATUI_HOME": str(folder / "home"),
        "LORATUI_STATE_DIR": str(folder / "state"),
        "LORATUI_CONFIG_DIR": str(folder / "config"),
    }
    argv = [sys.executable, "-m", "loratui.cli", "demo", "--json", "--out", str(folder / "out")]
    started_s = time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        lines = []
        first_s = 0.0
        agent_s = []
        for line in process.stdout:
            lines.append(json.loads(line))
            if not first_s and lines[-1]["event"] in ("setup", "state", "step"):
                first_s = time.monotonic() - started_s
            if lines[-1]["event"] == "step" and lines[-1]["step"] in PLAIN_STEPS:
                agent_s.append((agent_cpu_s(folder / "home"), lines[-1]["ts"]))
    if process.returncode:
        raise SystemExit(f"loratui demo ended with {process.returncode}")
    (used_first_s, ts_first), (used_last_s, ts_last) = agent_s
    return DemoRun(first_s, 100 * (used_last_s - used_first_s) / (ts_last - ts_first), lines)


def agent_cpu_s(home: Path) -> float:
    """Return the processor seconds that the agent of ``home`` has used: serving, journalling, telemetry."""
    pid = json.loads((home / "run" / "agent.json").read_text("utf-8"))["pid"]
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def run_second(folder: Path) -> messages.Evaluation:
    """Train the second concept and return how it was judged."""
    config = read_config(write_demo(folder, "second")).config
    with trainer(write_job(folder / "job", config, evaluate_concept="second"), folder) as process:
        process.process.wait(600)
        return process.of_type(messages.Evaluation)[0]


def report(name: str, value: float, gate: float, *, at_most: bool) -> bool:
    """Print a row and return whether the gate is kept."""
    kept = value <= gate if at_most else value >= gate
    print(f"{name:46}{value:10.2f}{'<=' if at_most else '>=':>4}{gate:8.2f}  {'ok' if kept else 'MISSED'}")
    return kept


def judge(name: str, scores: dict[str, float]) -> list[bool]:
    """Print the gates of a concept."""
    return [
        report(f"{name}: concept at weight 1, share of 25", scores["concept_at_1"], 0.70, at_most=False),
        report(f"{name}: concept at weight 0", scores["concept_at_0"], 1 / 25, at_most=True),
        report(f"{name}: concept without the trigger", scores["concept_without_trigger"], 1 / 25, at_most=True),
        report(f"{name}: base skills kept at weight 1", scores["skills_kept"], 0.80, at_most=False),
    ]


def main() -> int:
    """Measure and judge."""
    with tempfile.TemporaryDirectory() as folder:
        run = run_demo(Path(folder))
    lines = run.lines
    steps = [line["ts"] for line in lines if line["event"] == "step"]
    running = next(line["ts"] for line in lines if line["event"] == "state" and line["state"] == "running")
    evaluation = next(line for line in lines if line["event"] == "evaluation")
    kept = [
        report("demo: first progress line, s", run.first_line_s, MAX_FIRST_LINE_S, at_most=True),
        report("demo: training phase, s", steps[-1] - running, MAX_TRAINING_S, at_most=True),
        *judge("demo", evaluation["scores"]),
    ]
    with tempfile.TemporaryDirectory() as folder:
        kept += judge("second", run_second(Path(folder)).scores)
    print(f"agent's processor time beside the steps, % of one core: {run.agent_pct:.2f}")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
