"""Entry point of the trainer process: ``python -m loratui_agent.train --job-dir DIR --socket PATH --attempt N``."""

import argparse
import faulthandler
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

# Spinning threads of one process slow every other one on a small machine; read by OpenMP when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Nothing here ever asks a hub: a base model is a folder or a file, or it is refused.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

from loratui_agent.train.controls import Controls
from loratui_agent.train.job import Job, Outcome, load_job, reserve_room
from loratui_agent.train.loop import follow, train
from loratui_agent.train.memory import is_out_of_memory, is_out_of_vram
from loratui_agent.train.ranks import Follower
from loratui_agent.train.reporter import Reporter
from loratui_protocol import messages
from loratui_protocol.errors import LoratuiError

FLUSH_TIMEOUT_S = 10.0


class ReporterHandler(logging.Handler):
    """Sends log lines of this process to the agent."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(logging.INFO)
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line."""
        self._reporter.emit(messages.Log(level=record.levelname, line=record.getMessage()[:4096]))


def main() -> int:
    """Train one attempt of a job and leave its outcome in the job's folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job-dir", type=Path, required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--attempt", type=int, required=True)
    parser.add_argument("--num-processes", type=int, default=1)
    parser.add_argument("--rank", type=int, default=0, help="which one of them this is; the first starts the others")
    arguments = parser.parse_args()
    # A hang is looked into by sending SIGUSR1: all stacks go to the log.
    faulthandler.register(signal.SIGUSR1)
    folder: Path = arguments.job_dir
    if arguments.rank:
        return _follow(folder, Follower(folder, arguments.rank, arguments.num_processes))
    reserve_room(folder)
    reporter = Reporter(arguments.socket, folder.name, os.getpid(), arguments.attempt)
    _behave()
    logging.getLogger("loratui_agent").setLevel(logging.INFO)
    logging.getLogger("loratui_agent").addHandler(ReporterHandler(reporter))
    controls = Controls(reporter)
    controls.install_signal_handlers()
    outcome = _attempt(folder, lambda job: train(job, reporter, controls))
    outcome.write(folder)
    reporter.close(FLUSH_TIMEOUT_S)
    return 1 if outcome.outcome == "failed" else 0


def _follow(folder: Path, ranks: Follower) -> int:
    """Take part in an attempt that another process leads, which tells of it unless this one fails."""
    _behave()
    outcome = _attempt(folder, lambda job: follow(job, ranks))
    if outcome.outcome == "done":
        return 0
    outcome.write(folder)
    return 1


def _behave() -> None:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    warnings.filterwarnings("ignore", module="(diffusers|transformers|peft|accelerate)")
    torch.use_deterministic_algorithms(mode=True, warn_only=True)


def _attempt(folder: Path, work: Callable[[Job], Outcome]) -> Outcome:
    """Do the job's work; every failure becomes an outcome, because this is the process boundary."""
    try:
        return work(load_job(folder))
    except LoratuiError as error:
        return Outcome("failed", error.code, error.what, error.fix)
    except Exception as error:  # noqa: BLE001 - the boundary of the process: the traceback goes to the job's log
        traceback.print_exc()
        if is_out_of_vram(error):
            what = f"the GPU ran out of memory, and nothing is left to give up: {error}"
            return Outcome(
                "failed", "oom_vram", what, "set min_resolution, a smaller network_dim, or take a larger GPU"
            )
        if is_out_of_memory(error):
            return Outcome("failed", "oom_ram", "the machine ran out of memory", "use a machine with more RAM")
        return Outcome("failed", "bug", f"{type(error).__name__}: {error}", "see the log of the run, and report it")


if __name__ == "__main__":
    sys.exit(main())
