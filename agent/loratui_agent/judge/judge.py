"""Judges LoRA files, top to bottom: plan the grid, draw what is missing, measure it, write it down. Start here."""

import functools
import json
import logging
import math
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from loratui_agent.demo.concept import Concept
from loratui_agent.files import sha256_of, write_atomically, write_text
from loratui_agent.judge import measure
from loratui_agent.judge.draw import BATCH_SIZE, Base, Drawer
from loratui_agent.judge.drawn import Drawn
from loratui_agent.judge.features import Clip, Dino
from loratui_agent.judge.trained import see_trained
from loratui_agent.train.controls import Controls
from loratui_agent.train.job import Job
from loratui_agent.train.reporter import Reporter
from loratui_protocol import messages
from loratui_protocol.dataset import Picture
from loratui_protocol.errors import ModelError
from loratui_protocol.findings import plural
from loratui_protocol.judging.grid import Grid, TriedFile
from loratui_protocol.judging.judgement import DOCUMENT, Judged, Judgement
from loratui_protocol.judging.planning import grid_of
from loratui_protocol.judging.prompts import Role
from loratui_protocol.judging.scores import SCORES
from loratui_protocol.judging.summary import means_at
from loratui_protocol.messages import ArtifactKind

logger = logging.getLogger(__name__)
JUDGEMENT = "judgement.zip"
_FOLDER = "judge"
_GRID = "grid.json"
_SIGN_OF_LIFE_S = 5.0
"""So often at least the agent hears that it goes on: one batch of pictures may take minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """Files that are judged, each with what it is called, and what they were trained on."""

    files: Sequence[tuple[TriedFile, Path]]
    pictures: Sequence[Picture]
    """Training pictures; empty: they are not known."""
    concept: Concept | None = None
    """The built-in concept that they were trained on."""


class _StoppedError(Exception):
    """Somebody asked for an end while pictures were drawn."""


class Judge:
    """Judges the files of one job. What was drawn lies in its folder, and is drawn once whatever happens."""

    def __init__(
        self,
        job: Job,
        reporter: Reporter,
        controls: Controls,
        tried: Tried,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """``between`` is called between two batches of pictures."""
        self._job = job
        self._config = job.config
        self._reporter = reporter
        self._controls = controls
        self._tried = tried
        self._grid = grid_of(job.config, [file for file, _ in tried.files], tried.pictures)
        self._between = between
        self._folder = job.folder / _FOLDER
        self._drawn = Drawn(self._folder, self._grid, self._still_there)
        self._said = messages.Setup(phase="judge.draw", done=0, total=0, unit="")
        self._said_s = time.monotonic()
        self._features = {"exact": tried.concept.trigger} if tried.concept else {}

    def judge(self, base: Base) -> Judgement:
        """Draw, measure and publish; stopped early, it measures what is there.

        Raises:
            ModelError: the base model or a file can't be loaded.
            StorageError: the disk is full; what was drawn is kept.
        """
        self._forget_another_grid()
        self._draw(base)
        if self._controls.stopping:
            # To measure may take longer than whoever ends it waits: the pictures are not lost by that.
            self._publish(self._judgement({}))
        judgement = self._judgement(self._measure(base.device))
        self._publish(judgement)
        self._tell(judgement)
        return judgement

    @property
    def is_whole(self) -> bool:
        """Return whether all pictures are drawn."""
        return len(self._drawn) == self._grid.num_pictures

    def _judgement(self, scores: measure.Scores) -> Judgement:
        sizes = {cell: self._drawn.size(cell) for cell in self._drawn}
        return Judgement(
            grid=self._grid,
            pictures=tuple(
                Judged(cell=cell, scores=scores.get(cell, {}), width=width, height=height)
                for cell, (width, height) in sizes.items()
            ),
            features=self._features,
        )

    # --- drawing ------------------------------------------------------------------------------------------------------

    def _draw(self, base: Base) -> None:
        total = self._grid.num_pictures
        batches = ([cell for cell in batch if cell not in self._drawn] for batch in self._grid.batches(BATCH_SIZE))
        missing = [batch for batch in batches if batch]
        if not missing:
            return
        self._say("judge.draw", total - sum(map(len, missing)), total)
        if self._controls.stopping:
            return
        drawer = Drawer(base, self._grid, [path for _, path in self._tried.files], self._config)
        left = sum(map(len, missing))
        for batch in missing:
            self._between()
            try:
                for cell, picture in zip(batch, drawer.draw(batch, self._on_step), strict=True):
                    self._drawn.keep(cell, picture)
            except _StoppedError:
                break
            left -= len(batch)
            self._say("judge.draw", total - left, total)
        del drawer
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _on_step(self) -> None:
        self._still_there()
        if self._controls.stopping:
            raise _StoppedError

    def _forget_another_grid(self) -> None:
        """Begin anew where what lies there was drawn for other prompts or with other files."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        drawn_with = [sha256_of(path) for _, path in self._tried.files]
        now = json.dumps({"grid": asdict(self._grid), "files": drawn_with}, sort_keys=True)
        path = self._folder / _GRID
        if path.exists() and path.read_text("utf-8") == now:
            return
        for pattern in ("*.png", "*.jpg"):
            for picture in self._folder.glob(pattern):
                picture.unlink()
        write_text(path, now)

    # --- measuring ----------------------------------------------------------------------------------------------------

    def _measure(self, device: torch.device) -> measure.Scores:
        """Return what can be measured; what fails is told, and costs no other score: the pictures are paid for."""
        scores: measure.Scores = {cell: {} for cell in self._drawn}
        without = Counter[str]()
        ways = {
            "artefacts": self._artefacts,
            "the concept": self._concept,
            "likeness, copying and variety": self._likeness,
            "how prompts are followed": self._prompts,
        }
        for what, way in ways.items() if scores else ():
            try:
                for found in way(device):
                    for cell, values in found.items():
                        told = {name: value for name, value in values.items() if math.isfinite(value)}
                        without.update(values.keys() - told.keys())
                        # What is known exactly is not measured.
                        scores[cell] = {**told, **scores[cell]}
            except ModelError as error:
                self._warn(error.code, f"not measured: {error.what}; {error.fix}")
            except Exception as error:
                logger.exception("%s can't be measured", what)
                self._warn("judge.unmeasured", f"not measured: {what} ({error})")
        for name, number in without.items():
            said = f"not measured: {SCORES[name].title} of {plural(number, 'picture')}, of which no number came"
            self._warn("judge.unmeasured", said)
        return scores

    def _artefacts(self, _: torch.device) -> Iterator[measure.Scores]:
        yield measure.of_artefacts(self._drawn)

    def _concept(self, _: torch.device) -> Iterator[measure.Scores]:
        if self._tried.concept is not None:
            yield measure.of_concept(self._grid, self._drawn, self._tried.concept)

    def _likeness(self, device: torch.device) -> Iterator[measure.Scores]:
        if not self._config.evaluate_dino:
            return
        folder, cells = Path(self._config.evaluate_dino), list(self._drawn)
        self._say("judge.likeness")
        dino = Dino(folder, device)
        drawn_ND = dino.pictures(self._drawn.in_order())
        self._features["dino"] = folder.name
        yield measure.of_diversity(self._grid, cells, drawn_ND)
        trained = see_trained(self._tried.pictures, dino.pictures, functools.partial(self._say, "judge.likeness"))
        if trained.unreadable:
            number, name = len(trained.unreadable), trained.unreadable[0].name
            said = f"{plural(number, 'training picture')} could not be read, and nothing is compared with them: {name}"
            self._warn("judge.picture", said if number == 1 else f"{said} and others")
        yield measure.of_likeness(self._grid, cells, measure.Seen(drawn_ND, trained.seen_MD))

    def _prompts(self, device: torch.device) -> Iterator[measure.Scores]:
        if not self._config.evaluate_clip:
            return
        folder = Path(self._config.evaluate_clip)
        self._say("judge.prompts")
        clip = Clip(folder, device)
        texts_ND = clip.texts([prompt.plain for prompt in self._grid.prompts])
        drawn_ND = clip.pictures(self._drawn.in_order())
        self._features["clip"] = folder.name
        yield measure.of_prompts(self._grid, list(self._drawn), drawn_ND, texts_ND)

    def _warn(self, code: str, message: str) -> None:
        self._reporter.emit(messages.Warn(code=code, message=message))

    # --- writing down -------------------------------------------------------------------------------------------------

    def _publish(self, judgement: Judgement) -> None:
        path = self._job.artifacts / JUDGEMENT
        write_atomically(path, functools.partial(_write_zip, judgement, self._drawn))
        name = f"{self._config.output_name}-judgement.zip"
        self._reporter.emit(self._job.publish(JUDGEMENT, ArtifactKind.JUDGEMENT, name, 0))

    def _tell(self, judgement: Judgement) -> None:
        for file, weight in _rows(self._grid):
            if not judgement.of(file=file, weight=weight, roles=Role):
                continue
            # Of what is drawn and not measured it is said, too: somebody may look at it.
            means = means_at(judgement, file=file, weight=weight)
            tried = self._grid.files[file] if file >= 0 else TriedFile(id="", name="")
            self._reporter.emit(
                messages.Scores(
                    artifact_id=tried.id,
                    name=tried.name,
                    step=tried.step,
                    weight=weight,
                    means={score: mean.value for score, mean in means.items()},
                    errors={score: mean.error for score, mean in means.items()},
                    counts={score: mean.count for score, mean in means.items()},
                )
            )

    def _say(self, phase: str, done: int = 0, total: int = 0) -> None:
        self._said = messages.Setup(phase=phase, done=done, total=total, unit="pictures" if total else "")
        self._said_s = time.monotonic()
        self._reporter.emit(self._said)

    def _still_there(self) -> None:
        """Say the last thing again: who is silent for long counts as hung, and a stop waits for no silence."""
        if time.monotonic() - self._said_s > _SIGN_OF_LIFE_S:
            self._say(self._said.phase, self._said.done, self._said.total)


def _rows(grid: Grid) -> list[tuple[int, float]]:
    return [(file, weight) for weight in sorted(grid.weights) for file in (range(len(grid.files)) if weight else (-1,))]


def _write_zip(judgement: Judgement, drawn: Drawn, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(DOCUMENT, judgement.to_bytes())
        for judged in judgement.pictures:
            archive.writestr(f"{judged.cell.name}.jpg", drawn.jpeg(judged.cell).read_bytes())
