"""A tiny training that has written two files, and judgements of them in folders of their own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from loratui_agent.judge.draw import Base
from loratui_agent.judge.judge import Judge, Tried
from loratui_agent.train import loop
from loratui_agent.train.controls import Controls
from loratui_agent.train.job import Job, Outcome
from loratui_agent.train.run import Run
from loratui_protocol.judging.grid import TriedFile
from loratui_protocol.judging.judgement import Judgement
from loratui_protocol.judging.prompts import Role
from support.tiny_run import HeardReporter
from support.tiny_training import tiny_config, write_pictures

PROMPT = "a {trigger} on a red background"
SETTINGS: dict[str, Any] = {
    "learning_rate": 1e-2,
    "trigger_word": "zorbix",
    "evaluate_prompts": (PROMPT,),
    "evaluate_weights": (0.0, 1.0),
    "evaluate_seeds": 2,
    "max_train_steps": 2,
}


def tried(run: Run, count: int = 2, **changes: Any) -> Tried:
    paths = sorted(run.job.artifacts.glob("*.safetensors"))[:count]
    files = [(TriedFile(id=path.name, name=path.name, step=index + 1), path) for index, path in enumerate(paths)]
    return replace(Tried(files=files, pictures=run.dataset.pictures), **changes)


def train_and_judge(folder: Path, concept: str = "", **changes: Any) -> tuple[Outcome, HeardReporter]:
    """Train in this process and have the files judged as the settings say."""
    config = tiny_config(write_pictures(folder / "pictures"), **{**SETTINGS, **changes})
    reporter = HeardReporter(folder)
    job = Job(folder / "job", config, concept)
    for path in (job.checkpoints, job.artifacts):
        path.mkdir(parents=True)
    (job.folder / "spec.json").write_text("{}", "utf-8")
    return loop.train(job, reporter, Controls(reporter)), reporter


class Judging:
    """A judgement in a folder of its own."""

    def __init__(self, run: Run, folder: Path, what: Tried | None = None, *, stopped: bool = False, **changes: Any):
        self.folder = folder
        job = replace(run.job, folder=folder, config=replace(run.config, **changes))
        job.artifacts.mkdir(parents=True, exist_ok=True)
        reporter = HeardReporter(folder)
        controls = Controls(reporter)
        controls._stopping = stopped
        base = Base(path=run.models.path, configs=None, device=torch.device("cpu"), dtype=torch.float32)
        self.judgement: Judgement = Judge(job, reporter, controls, what or tried(run)).judge(base)
        self.heard = reporter.heard

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.heard if isinstance(event, kind)]

    @property
    def drawn(self) -> dict[str, bytes]:
        return {path.stem: path.read_bytes() for path in sorted((self.folder / "judge").glob("*.png"))}

    def score(self, name: str, role: Role) -> list[float]:
        prompts = self.judgement.grid.prompts
        of_role = [each for each in self.judgement.pictures if prompts[each.cell.prompt].role is role]
        return [each.scores[name] for each in of_role if name in each.scores]
