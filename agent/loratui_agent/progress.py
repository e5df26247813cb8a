"""Prints a run's records on standard output: a sentence a change, or one JSON object a line."""

import json
import math
import os
import sys
import time
from pathlib import Path

from loratui_protocol.judging.scores import scores_told
from loratui_protocol.messages import (
    Artifact,
    ArtifactKind,
    Checkpoint,
    Cost,
    Done,
    Evaluation,
    JobState,
    Record,
    Scores,
    Setup,
    State,
    Step,
    Warn,
    Withdrawn,
    json_fields,
)

_STEP_EVERY_S = 1.0
LORA_KINDS = (ArtifactKind.LORA, ArtifactKind.CHECKPOINT_LORA)
"""Files that are copied to the output folder; others stay in the job's."""


def narrate(line: str) -> None:
    """Print a line that is no result, on standard error."""
    print(line, file=sys.stderr)  # noqa: T201 - narration belongs on standard error


class Progress:
    """Shows records as they come; plain, at most one step a second."""

    def __init__(self, folder: Path, out: Path, *, as_json: bool) -> None:
        """Print about the job in ``folder``, whose LoRA files appear in ``out``."""
        self._folder = folder
        self._out = out
        self._as_json = as_json
        self._stepped_s = 0.0

    def show(self, record: Record) -> None:
        """Print the record, if it is worth a line."""
        line = json.dumps(self._fields(record)) if self._as_json else self._sentence(record)
        if not line:
            return
        try:
            print(line, flush=True)  # noqa: T201 - results belong on standard output
        except BrokenPipeError:
            # Whoever read has gone; the training has not.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _fields(self, record: Record) -> dict[str, object]:
        fields = {**json_fields(record.event), "ts": record.ts, "seq": record.seq}
        if isinstance(record.event, Artifact) and record.event.kind is not ArtifactKind.STATE:
            fields["path"] = str(self._path(record.event))
        elif isinstance(record.event, Done):
            fields["path"] = str(self._out / Path(record.event.name).name)
        # JSON has no NaN and no infinity.
        return {name: _number(each) for name, each in fields.items()}

    def _path(self, artifact: Artifact) -> Path:
        if artifact.kind in LORA_KINDS:
            return self._out / Path(artifact.name).name
        return self._folder / "artifacts" / artifact.id

    def _sentence(self, record: Record) -> str:
        match record.event:
            case State(state=JobState.DONE):
                return ""  # said with the path of the LoRA when that was there
            case State(state=state, reason=reason, detail=detail):
                because = f" ({reason})" if reason else ""
                return f"{state}{because}{': ' + detail if detail else ''}"
            case Setup(phase="sample" | "checkpoint"):
                return ""  # what comes of it is said
            case Setup(phase=phase, done=done, total=total, message=message):
                counted = f" {done}/{total}" if total else ""
                return f"{phase}{counted} {message}".rstrip()
            case Step() as step:
                return self._step(step)
            case Checkpoint(step=step_number):
                return f"checkpoint at step {step_number}"
            case Artifact(kind=ArtifactKind.STATE | ArtifactKind.THUMBNAIL):
                return ""  # for clients; the checkpoint was said, the large picture is
            case Artifact() as artifact:
                return f"wrote {self._path(artifact)}"
            case Withdrawn(name=name, why=why):
                return f"removed {self._out / Path(name).name}: {why}"
            case Warn(code=code, message=message):
                return f"warning [{code}] {message}"
            case Evaluation(verdict=verdict):
                return verdict
            case Scores(name=tried, weight=weight, means=means):
                return f"{tried or 'base model'} at weight {weight:g}: {scores_told(means)}"
            case Done(name=name):
                return f"done: {self._out / Path(name).name}"
            case Cost() | _:
                return ""

    def _step(self, step: Step) -> str:
        now_s = time.monotonic()
        end = step.stop or step.total
        if now_s - self._stepped_s < _STEP_EVERY_S and step.step != end:
            return ""
        self._stepped_s = now_s
        speed = f"{step.it_s:.2f} it/s, {max(0.0, step.eta_s):.0f} s left"
        return f"step {step.step}/{end}: loss {step.loss:.4f}, lr {step.lr:.2e}, {speed}"


def _number(value: object) -> object:
    if isinstance(value, dict):
        return {name: _number(each) for name, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
