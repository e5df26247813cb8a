"""Which of the files on the way stay: the newest, every so many-th, the best by validation, those a person asked for.

What is known of them lies in ``saved.json`` of the job's folder: a resumed run judges as an uninterrupted one does.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from loratui_agent.files import write_json
from loratui_agent.train.run import Run
from loratui_protocol import messages
from loratui_protocol.save_points import SavePoint, superseded


@dataclass(slots=True, kw_only=True)
class SavedFile:
    """A published file."""

    point: SavePoint
    artifact_id: str
    sha256: str
    error: float | None
    """On pictures that are not trained on; None: nobody looked at this step, or it is no number."""
    is_asked_for: bool = False
    is_gone: bool = False
    """It was withdrawn."""

    @property
    def name(self) -> str:
        """Return what a person calls it."""
        return f"{self.point.name}.safetensors"


def retain(run: Run, point: SavePoint, artifact: messages.Artifact) -> None:
    """Note a file that is complete and published, and withdraw those that need not stay beside it."""
    config = run.config
    if config.save_last_n_epochs is None and config.save_last_n_steps is None and not config.keep_best:
        return
    known = _read(run)
    before = [file for file in known if file.point != point]
    new = _saved(run, point, artifact)
    new.is_asked_for = any(file.is_asked_for for file in known if file.point == point)
    files = sorted([*before, new], key=lambda file: (file.point.step, file.point.name))
    best = _best(files) if config.keep_best else None
    if best is new:
        on = f"on {len(run.plan.held_out.indices)} pictures that are not trained on"
        _tell(run, f"best by validation so far: {best.name}, error {best.error:.4g} {on}")
    old = {each.name for each in superseded(config, [file.point for file in files])}
    for file in files:
        file.is_gone |= file.point.name in old and file is not best and not file.is_asked_for
    _write(run, files)
    why = "newer ones are kept" if best is None else f"newer ones are kept, and {best.name} as the best"
    for file in files:
        # Of an earlier attempt nobody knows what it could still say: each says it once.
        if file.is_gone and file.name not in run.withdrawn:
            # Only said: the agent removes the file once that is in its journal, so that no kill makes the two differ.
            run.reporter.emit(messages.Withdrawn(id=file.artifact_id, name=file.name, sha256=file.sha256, why=why))
            run.withdrawn.add(file.name)


def keep_for_good(run: Run, artifact: messages.Artifact) -> None:
    """Let a file that a person asked for stay, though it has the name of one that the config asks for."""
    files = _read(run)
    if asked_for := [file for file in files if file.artifact_id == artifact.id]:
        asked_for[0].is_asked_for = True
        _write(run, files)


def tell_best(run: Run, final: messages.Artifact) -> None:
    """Say which of all files did best on pictures that are not trained on, and how the final one did."""
    last = _saved(run, SavePoint(step=run.step, name=run.config.output_name), final)
    best = _best([*_read(run), last])
    if best is not None and last.error is not None:
        against = "the final one" if best is last else f"{last.name} has {last.error:.4g}"
        _tell(run, f"best by validation: {best.name} of step {best.point.step}, error {best.error:.4g}; {against}")


def _saved(run: Run, point: SavePoint, artifact: messages.Artifact) -> SavedFile:
    look = run.last_look
    is_judged = look is not None and look.step == point.step and math.isfinite(look.loss)
    error = look.loss if look is not None and is_judged else None
    return SavedFile(point=point, artifact_id=artifact.id, sha256=artifact.sha256, error=error)


def _best(files: Iterable[SavedFile]) -> SavedFile | None:
    """Return the file with the lowest error, the first of several; None where none that is there was judged."""
    there = [file for file in files if not file.is_gone]
    judged = [(file.error, index, file) for index, file in enumerate(there) if file.error is not None]
    return min(judged, key=lambda each: each[:2])[2] if judged else None


def _tell(run: Run, line: str) -> None:
    run.reporter.emit(messages.Log(level="INFO", line=line))


def _read(run: Run) -> list[SavedFile]:
    """Return the files so far, the oldest first. Those of steps that are yet to be taken again don't count."""
    path = _path(run)
    known = json.loads(path.read_text("utf-8")) if path.exists() else []
    files = [SavedFile(**{**each, "point": SavePoint(**each["point"])}) for each in known]
    return [file for file in files if file.point.step <= run.step]


def _write(run: Run, files: list[SavedFile]) -> None:
    write_json(_path(run), [asdict(file) for file in files])


def _path(run: Run) -> Path:
    return run.job.folder / "saved.json"
