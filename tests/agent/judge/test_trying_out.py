"""Who tries files out can pause it and end it at any moment, and no picture that is drawn is lost by that."""

import math
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from loratui.report.judgement_zip import open_judgement
from loratui_agent.deadman import DRAWING_SILENCE_S, SILENCE_MIN_S, TrainerVerdict
from loratui_agent.job import Job as AgentJob
from loratui_agent.judge import draw, measure
from loratui_agent.judge.drawn import Drawn
from loratui_agent.judge.features import Dino
from loratui_agent.judge.judge import JUDGEMENT
from loratui_agent.train import finish, loop
from loratui_agent.train.controls import Controls
from loratui_agent.train.job import Job, Outcome
from loratui_agent.train.run import Run
from loratui_agent.worker import Patience, Worker
from loratui_protocol import messages
from loratui_protocol.ids import new_id
from loratui_protocol.judging.grid import Cell, Grid, TriedFile, seeds
from loratui_protocol.judging.prompts import Role, grid_prompts
from loratui_protocol.messages import JobState
from support.feature_models import write_dino
from support.judged_run import SETTINGS, Judging, train_and_judge, tried
from support.tiny_run import HeardReporter
from support.tiny_training import tiny_config

pytestmark = [pytest.mark.torch, pytest.mark.timeout(120), pytest.mark.usefixtures("one_thread")]


BATCH = 6


class Alone:
    """A run that tries files out, in this process; ``on_step`` is called at every denoising step."""

    def __init__(self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, on_step: Callable[[int], None]) -> None:
        files = tuple(map(str, sorted(run.job.artifacts.glob("*.safetensors"))[:1]))
        settings = {**SETTINGS, "evaluate_loras": files, "train_data_dir": None}
        # Three prompts, four seeds: two batches.
        settings |= {"evaluate_seeds": 4, "evaluate_weights": (1.0,)}
        self.folder = folder
        self.reporter = HeardReporter(folder)
        self.job = Job(folder / "job", tiny_config(folder, **settings), "")
        self.job.artifacts.mkdir(parents=True)
        self._steps = 0
        generate = draw.generate

        def heard(*arguments: object, on_step: Callable[[], None], **options: object) -> list[Image.Image]:
            def both() -> None:
                self._steps += 1
                self._asked(self._steps)
                on_step()

            return generate(*arguments, on_step=both, **options)

        self._asked = on_step
        monkeypatch.setattr(draw, "generate", heard)

    def send(self, kind: type[messages.Command]) -> None:
        self.reporter.commands.put(kind(id=kind.__name__, author="me", job="job"))

    def go(self) -> Outcome:
        return loop.train(self.job, self.reporter, Controls(self.reporter))

    def answers(self) -> dict[str, tuple[bool, str]]:
        told = [event for event in self.reporter.heard if isinstance(event, messages.CommandResult)]
        return {each.id: (each.ok, each.message) for each in told}

    def states(self) -> list[JobState]:
        return [event.state for event in self.reporter.heard if isinstance(event, messages.State)]


def test_a_stop_ends_the_drawing_within_a_step_and_keeps_every_picture(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first batch is whole after 20 steps; the second is left in its middle.
    alone = Alone(run, tmp_path, monkeypatch, lambda step: alone.send(messages.Stop) if step == 25 else None)
    outcome = alone.go()
    assert (outcome.outcome, alone._steps) == ("stopped", 25)
    assert alone.answers()["Stop"][0]
    published = [event for event in alone.reporter.heard if isinstance(event, messages.Artifact)]
    assert [each.id for each in published] == [JUDGEMENT, JUDGEMENT], "once before it is measured, then with the scores"
    with open_judgement(alone.job.artifacts / JUDGEMENT) as judged:
        assert len(judged.judgement.pictures) == BATCH
        assert all(judged.picture(each.cell) for each in judged.judgement.pictures)


def test_one_that_is_stopped_while_it_is_measured_is_done(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = Alone(run, tmp_path, monkeypatch, lambda step: None)
    look = Drawn.__getitem__

    def stop_at_first(self: Drawn, cell: object) -> Image.Image:
        alone.send(messages.Stop)
        return look(self, cell)

    monkeypatch.setattr(Drawn, "__getitem__", stop_at_first)
    assert alone.go().outcome == "done"
    assert [event for event in alone.reporter.heard if isinstance(event, messages.Done)]


def test_a_pause_holds_it_between_two_batches(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn_when_paused = []

    def asked(step: int) -> None:
        if step == 5:
            alone.send(messages.Pause)

    alone = Alone(run, tmp_path, monkeypatch, asked)
    emit = alone.reporter.emit

    def heard(event: messages.Event) -> None:
        emit(event)
        if isinstance(event, messages.State) and event.state is JobState.PAUSED:
            drawn_when_paused.append(len(list((alone.job.folder / "judge").glob("*.png"))))
            alone.send(messages.Resume)

    monkeypatch.setattr(alone.reporter, "emit", heard)
    assert alone.go().outcome == "done"
    assert drawn_when_paused == [BATCH]
    assert alone.states() == [JobState.RUNNING, JobState.PAUSED, JobState.RUNNING, JobState.FINISHING]
    assert [alone.answers()[name][0] for name in ("Pause", "Resume")] == [True, True]


def test_what_only_a_training_can_do_is_refused_at_once(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = []

    def asked(step: int) -> None:
        if step == 5:
            alone.send(messages.CheckpointNow)
            alone.send(messages.SampleNow)
        answered.append(len(alone.answers()))

    alone = Alone(run, tmp_path, monkeypatch, asked)
    assert alone.go().outcome == "done"
    assert answered[20] == 2, "before the second batch"
    assert set(alone.answers().values()) == {(False, "nothing is trained here: files are tried out")}


@pytest.mark.parametrize("phase", ["judge.draw", "cache_latents"])
def test_a_batch_may_take_longer_than_a_step_before_it_counts_as_hung(tmp_path: Path, phase: str) -> None:
    job = AgentJob.create(
        tmp_path / new_id(), messages.StartJob(id=new_id(), author="me", job=new_id(), name="a", config_toml="")
    )
    states = messages.State(state=JobState.PREPARING), messages.State(state=JobState.RUNNING)
    for number, event in enumerate((*states, messages.Setup(phase=phase)), 1):
        job.hear(messages.TrainerEvent(origin=number, ts=1.0, event=event))
    worker, now_s = Worker(tmp_path / "socket", patience=Patience()), time.monotonic()
    long = worker._look(job, now_s + SILENCE_MIN_S + 5, None)
    assert long is (TrainerVerdict.GO_ON if phase == "judge.draw" else TrainerVerdict.KILL_HUNG)
    assert worker._look(job, now_s + DRAWING_SILENCE_S + 5, None) is TrainerVerdict.KILL_HUNG


def test_pictures_are_opened_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = (TriedFile(id="a", name="a"),)
    grid = Grid(files=files, weights=(0.0, 1.0), seeds=seeds(20), prompts=grid_prompts(tiny_config(tmp_path)))
    drawn = Drawn(tmp_path, grid)
    cells = [cell for batch in grid.batches() for cell in batch]
    for cell in cells:
        drawn.keep(cell, Image.new("RGB", (16, 16)))
    look, opened, most = Drawn.__getitem__, list[weakref.ref[Image.Image]](), [0]

    def counted(self: Drawn, cell: Cell) -> Image.Image:
        picture = look(self, cell)
        opened.append(weakref.ref(picture))
        most[0] = max(most[0], sum(each() is not None for each in opened))
        return picture

    monkeypatch.setattr(Drawn, "__getitem__", counted)
    seen_ND = Dino(write_dino(tmp_path / "dino"), torch.device("cpu")).pictures(drawn.in_order())
    assert len(measure.of_artefacts(drawn)) == len(cells) // 2
    assert len(seen_ND) == len(cells)
    assert len(opened) == 2 * len(cells), "each once for either"
    # A batch of the feature model, and the one before it until the next is there.
    assert most[0] <= 33 < len(cells)


@pytest.mark.parametrize("whose", ["drawn", "trained"])
def test_a_picture_of_which_no_number_comes_spoils_no_other(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    see, calls = Dino.pictures, [0]

    def first_is_none(self: Dino, pictures: object) -> Tensor:
        calls[0] += 1
        found = see(self, pictures)
        if calls[0] == {"drawn": 1, "trained": 2}[whose]:
            found[0] = math.nan
        return found

    monkeypatch.setattr(Dino, "pictures", first_is_none)
    judging = Judging(run, tmp_path, tried(run, 1), evaluate_dino=str(write_dino(tmp_path / "dino")))
    with open_judgement(tmp_path / "artifacts" / JUDGEMENT) as judged:
        assert judged.judgement == judging.judgement
    likeness = judging.score("likeness", Role.SCENE)
    assert all(map(math.isfinite, likeness))
    drawn = len({each.cell for each in judging.judgement.pictures if "likeness" in each.scores})
    asked = len([each for each in judging.judgement.pictures if each.cell.prompt == 0])
    assert drawn == asked - (whose == "drawn")
    assert len(judging.score("copying", Role.SCENE)) in (0, drawn), "of one picture alone nobody knows what a copy is"
    assert [event.code for event in judging.of(messages.Warn)] == ["judge.unmeasured"] * (whose == "drawn")


def test_no_training_fails_for_its_judgement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(finish, "judge_run", broken)
    outcome, reporter = train_and_judge(tmp_path, evaluate_checkpoints=1)
    assert outcome.outcome == "done"
    assert "judge.unmeasured" in [event.code for event in reporter.heard if isinstance(event, messages.Warn)]
