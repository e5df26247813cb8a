"""A trainer without torch: speaks the real protocol through the real reporter, at the pace that the test asks for.

The test says how in the environment variable STAND_IN, or in the job's ``job.toml``, as TOML keys of ``Script``.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

from loratui_agent.files import write_atomically, write_json
from loratui_agent.train.controls import Controls
from loratui_agent.train.reporter import Reporter
from loratui_protocol import messages
from loratui_protocol.messages import JobState
from loratui_protocol.run_end import STOP_AT_EPOCH

ARGV = (sys.executable, str(Path(__file__).resolve()))
LORA = (2).to_bytes(8, "little") + b"{}"
"""The smallest safetensors file: no tensors."""
_HEADER_BYTES = 128


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
    again_at: int = 0
    """End at this step, so that another attempt goes on from the last state with less memory."""
    fail_code: str = ""
    log_chars: int = 0
    """Length of a log line said with every step."""
    eat_mb: int = 0
    """Memory taken with every step, in MiB."""
    lora_bytes: int = len(LORA)
    """Size of the file that comes out."""
    stop_at: int = 0
    """End here as one does whose config wants to be looked at."""
    publish_at: int = 0
    """Give the file out at this step already, as a checkpoint is."""


def lora(size: int) -> bytes:
    """Return a safetensors file of so many bytes, always the same for a size, of which no two parts are alike."""
    if size == len(LORA):
        return LORA
    # Padded: the length of the header must not depend on the digits of what it describes.
    num_values = size - 8 - _HEADER_BYTES
    header = json.dumps({"w": {"dtype": "U8", "shape": [num_values], "data_offsets": [0, num_values]}})
    return (
        _HEADER_BYTES.to_bytes(8, "little")
        + header.ljust(_HEADER_BYTES).encode("ascii")
        + random.Random(size).randbytes(num_values)
    )


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
    eaten: list[bytes] = []
    while step < plan.steps:
        if plan.stop_at and step >= plan.stop_at:
            return {"outcome": "stopped", "code": STOP_AT_EPOCH, "what": "stopped to be looked at"}
        if controls.stopping and not plan.ignore_stop:
            controls.answer()
            publish(folder, reporter, step, plan.lora_bytes)
            return {"outcome": "stopped"}
        controls.wait_while_paused(lambda state: reporter.emit(messages.State(state=state)), lambda: None)
        time.sleep(plan.step_s)
        step += 1
        # Not zeros: those the kernel gives out without taking memory for them.
        eaten.append(b"x" * (plan.eat_mb << 20))
        misbehave(plan, step)
        if step == plan.again_at and not (folder / "less-memory").exists():
            (folder / "less-memory").touch()
            return {"outcome": "again", "code": "oom_vram", "what": "out of memory. From now on with less"}
        if plan.log_chars:
            reporter.emit(messages.Log(level="INFO", line="x" * plan.log_chars))
        reporter.emit(
            messages.Step(
                step=step, total=plan.steps, epoch=1, loss=1 / step, lr=1e-4, it_s=1.0, eta_s=float(plan.steps - step)
            )
        )
        if controls.wants_checkpoint or step % plan.checkpoint_every == 0:
            controls.wants_checkpoint = False
            write_atomically(saved, lambda path, step=step: path.write_text(str(step), "ascii"))
            reporter.emit(messages.Checkpoint(step=step, size=1, seconds=0.0))
        if step == plan.publish_at:
            publish(folder, reporter, step, plan.lora_bytes)
        controls.answer()
    reporter.emit(messages.State(state=JobState.FINISHING))
    sha256 = publish(folder, reporter, step, plan.lora_bytes)
    reporter.emit(
        messages.Done(artifact_id="lora", name="thing.safetensors", size=plan.lora_bytes, sha256=sha256, steps=step)
    )
    return {"outcome": "done"}


def misbehave(plan: Script, step: int) -> None:
    if step == plan.hang_at:
        signal.pause()
    if step == plan.crash_at:
        sys.exit("the stand-in crashed")
    if step == plan.die_at:
        os.kill(os.getpid(), signal.SIGKILL)


def publish(folder: Path, reporter: Reporter, step: int, size: int) -> str:
    content = lora(size)
    path = folder / "artifacts" / "lora"
    path.parent.mkdir(exist_ok=True)
    # Replaced as a whole, as the real one does it: somebody may be fetching the one that was given out before.
    path.with_suffix(".new").write_bytes(content)
    path.with_suffix(".new").replace(path)
    sha256 = hashlib.sha256(content).hexdigest()
    kind = messages.ArtifactKind.LORA
    reporter.emit(
        messages.Artifact(id="lora", kind=kind, name="thing.safetensors", size=size, sha256=sha256, step=step)
    )
    return sha256


if __name__ == "__main__":
    sys.exit(main())
