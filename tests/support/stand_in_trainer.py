"""A trainer without torch: speaks the real protocol through the real reporter, at the pace that the test asks for.

The test says how in the environment variable STAND_IN, or in the job's ``job.toml``, as TOML keys of ``Script``.
"""

import argparse
import hashlib
import os
import signal
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

from loratui_agent.files import write_json
from loratui_agent.train.controls import Controls
from loratui_agent.train.reporter import Reporter
from loratui_protocol import messages
from loratui_protocol.messages import JobState

ARGV = (sys.executable, str(Path(__file__).resolve()))
LORA = (2).to_bytes(8, "little") + b"{}"
"""The smallest safetensors file: no tensors."""


@dataclass(frozen=True)
class Script:
    """What this trainer does. ``0`` means never."""

    steps: int = 30
    step_s: float = 0.005
    checkpoint_every: int = 10
    hang_at: int = 0
    ignore_stop: bool = False
    crash_at: int = 0
    die_at: int = 0
    """Kill itself at this step, in every attempt."""
    fail_code: str = ""
    log_chars: int = 0
    """Length of a log line said with every step."""


def script(folder: Path) -> Script:
    text = os.environ.get("STAND_IN") or (folder / "job.toml").read_text("utf-8")
    return Script(**tomllib.loads(text))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--job-dir", type=Path, required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--attempt", type=int, required=True)
    options = parser.parse_args()
    folder: Path = options.job_dir
    write_json(folder / "environment.json", dict(os.environ))
    plan = script(folder)
    reporter = Reporter(options.socket, folder.name, os.getpid(), options.attempt)
    controls = Controls(reporter)
    controls.install_signal_handlers()
    reporter.emit(messages.State(state=JobState.PREPARING))
    reporter.emit(messages.Setup(phase="latents", done=1, total=1))
    if plan.fail_code:
        outcome = {"outcome": "failed", "code": plan.fail_code, "what": "it can't be trained", "fix": "change it"}
    else:
        outcome = train(folder, plan, reporter, controls)
    write_json(folder / "exit.json", outcome)
    reporter.close(20.0)
    return 0


def train(folder: Path, plan: Script, reporter: Reporter, controls: Controls) -> dict[str, str]:
    saved = folder / "ckpt" / "step"
    saved.parent.mkdir(exist_ok=True)
    step = int(saved.read_text("ascii")) if saved.exists() else 0
    reporter.emit(messages.State(state=JobState.RUNNING))
    while step < plan.steps:
        if controls.stopping and not plan.ignore_stop:
            controls.answer()
            publish(folder, reporter, step)
            return {"outcome": "stopped"}
        controls.wait_while_paused(lambda state: reporter.emit(messages.State(state=state)), lambda: None)
        time.sleep(plan.step_s)
        step += 1
        misbehave(plan, step)
        if plan.log_chars:
            reporter.emit(messages.Log(level="INFO", line="x" * plan.log_chars))
        reporter.emit(
            messages.Step(
                step=step, total=plan.steps, epoch=1, loss=1 / step, lr=1e-4, it_s=1.0, eta_s=float(plan.steps - step)
            )
        )
        if controls.wants_checkpoint or step % plan.checkpoint_every == 0:
            controls.wants_checkpoint = False
            saved.write_text(str(step), "ascii")
            reporter.emit(messages.Checkpoint(step=step, size=1, seconds=0.0))
        controls.answer()
    reporter.emit(messages.State(state=JobState.FINISHING))
    sha256 = publish(folder, reporter, step)
    reporter.emit(
        messages.Done(artifact_id="lora", name="thing.safetensors", size=len(LORA), sha256=sha256, steps=step)
    )
    return {"outcome": "done"}


def misbehave(plan: Script, step: int) -> None:
    if step == plan.hang_at:
        signal.pause()
    if step == plan.crash_at:
        sys.exit("the stand-in crashed")
    if step == plan.die_at:
        os.kill(os.getpid(), signal.SIGKILL)


def publish(folder: Path, reporter: Reporter, step: int) -> str:
    (folder / "artifacts").mkdir(exist_ok=True)
    (folder / "artifacts" / "lora").write_bytes(LORA)
    sha256 = hashlib.sha256(LORA).hexdigest()
    kind = messages.ArtifactKind.LORA
    reporter.emit(
        messages.Artifact(id="lora", kind=kind, name="thing.safetensors", size=len(LORA), sha256=sha256, step=step)
    )
    return sha256


if __name__ == "__main__":
    sys.exit(main())
