"""Files on the way go when newer ones are complete; the best by validation and what a person asked for never do."""

from pathlib import Path
from typing import Any

import pytest

from loratui_agent.train import retention, saving
from loratui_agent.train.controls import Controls
from loratui_agent.train.run import Run
from loratui_protocol import messages
from loratui_protocol.messages import ArtifactKind
from support.tiny_run import HeardReporter, new_run, take_steps
from support.tiny_training import tiny_config, write_pictures
from support.trainer_process import trainer, write_job

pytestmark = [pytest.mark.torch, pytest.mark.timeout(200), pytest.mark.usefixtures("one_thread")]


@pytest.fixture
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Run:
    found = new_run(tmp_path, max_train_steps=12, checkpoint_every_n_steps=100, **getattr(request, "param", {}))
    found.job.artifacts.mkdir()
    take_steps(found, 0)
    return found


def reach(run: Run, step: int, error: float | None = None) -> None:
    """Save what is due at a step, where the look has found this error."""
    run.step = step
    if error is not None:
        run.last_look = messages.Validation(step=step, loss=error, train_loss=error, num_pictures=3)
    saving.save_what_is_due(run, Controls(run.reporter))


def heard(run: Run, kind: type[Any]) -> list[Any]:
    assert isinstance(run.reporter, HeardReporter)
    return [event for event in run.reporter.heard if isinstance(event, kind)]


def withdrawn(run: Run) -> list[str]:
    return [event.name.removeprefix("tiny-").removesuffix(".safetensors") for event in heard(run, messages.Withdrawn)]


BY_STEP = {"save_every_n_steps": 2, "save_last_n_steps": 2}


@pytest.mark.parametrize("run", [BY_STEP], indirect=True)
def test_a_file_is_withdrawn_when_the_newer_one_is_published_and_not_before(run: Run):
    for step in (2, 4):
        reach(run, step)
    assert withdrawn(run) == []
    reach(run, 6)
    events = [each for each in run.reporter.heard if isinstance(each, messages.Artifact | messages.Withdrawn)]
    assert [type(each) for each in events[-2:]] == [messages.Artifact, messages.Withdrawn]
    assert (events[-1].id, events[-1].sha256) == ("lora-step00000002.safetensors", events[0].sha256)
    assert (run.job.artifacts / events[-1].id).exists(), "the agent removes it, once it is in the journal"
    reach(run, 8)
    assert withdrawn(run) == ["step00000002", "step00000004"]


@pytest.mark.parametrize("run", [{**BY_STEP, "keep_best": True}], indirect=True)
def test_the_best_by_validation_stays_until_a_better_one_comes(run: Run):
    for step, error in ((2, 0.5), (4, 0.3), (6, 0.4), (8, float("nan")), (10, 0.2), (12, 0.6)):
        reach(run, step, error)
    assert withdrawn(run) == ["step00000002", "step00000004", "step00000006", "step00000008"]
    told = [log.line for log in heard(run, messages.Log)]
    assert told[-1].startswith("best by validation so far: tiny-step00000010.safetensors, error 0.2 on 0 pictures")
    final = saving.save_lora(run, "tiny.safetensors", ArtifactKind.LORA)
    retention.tell_best(run, final)
    assert heard(run, messages.Log)[-1].line == (
        "best by validation: tiny-step00000010.safetensors of step 10, error 0.2; tiny.safetensors has 0.6"
    )


@pytest.mark.parametrize("run", [BY_STEP], indirect=True)
def test_what_a_person_asked_for_stays(run: Run):
    controls = Controls(run.reporter)
    for step in (2, 3):
        reach(run, step)
        controls.wants_checkpoint = True
        saving.meet_requests(run, controls)
    for step in (4, 6, 8):
        reach(run, step)
    assert withdrawn(run) == ["step00000004"]


@pytest.mark.parametrize("run", [{**BY_STEP, "keep_best": True}], indirect=True)
def test_a_resumed_run_judges_as_one_that_was_never_interrupted(run: Run):
    for step, error in ((2, 0.3), (4, 0.2), (6, 0.1), (8, 0.05)):
        reach(run, step, error)
    assert withdrawn(run) == ["step00000002", "step00000004"]
    # Killed, it goes on from step 5: what was known of later files is not to count, and what is gone is not the best.
    run.withdrawn.clear()
    reach(run, 6, 0.4)
    assert withdrawn(run)[2:] == ["step00000002", "step00000004"], "said again: it may never have gone out"
    for step, error in ((8, 0.45), (10, 0.5), (12, 0.6)):
        reach(run, step, error)
    assert withdrawn(run)[4:] == ["step00000008"], "step 6 is the best of what is there"


def test_a_run_that_was_killed_names_the_best_of_its_files_and_withdraws_all_others_that_are_old(tmp_path: Path):
    """A real process, with real looks."""
    config = tiny_config(
        write_pictures(tmp_path / "pictures", 12),
        validation_split=0.3,
        max_train_steps=8,
        save_every_n_steps=2,
        save_last_n_steps=1,
        keep_best=True,
    )
    job = write_job(tmp_path / "job", config)
    events: list[messages.Event] = []
    with trainer(job, tmp_path) as process:
        process.wait_for_step(5)
        process.kill()
        events += process.events
    with trainer(job, tmp_path, 2) as process:
        assert process.finish()["outcome"] == "done", process.log()
        process.wait_for(lambda event: isinstance(event, messages.Done))
        events += process.events
    errors = {each.step: each.loss for each in events if isinstance(each, messages.Validation)}
    files = [each for each in events if isinstance(each, messages.Artifact) and each.step in (2, 4, 6, 8)]
    gone = {each.name for each in events if isinstance(each, messages.Withdrawn)}
    told = [each.line for each in events if isinstance(each, messages.Log)]
    best = min((2, 4, 6, 8), key=lambda step: errors[step])
    loras = [each for each in files if each.kind is ArtifactKind.CHECKPOINT_LORA]
    assert gone == {each.name for each in loras if each.step not in (8, best)}
    assert {each.sha256 for each in loras} >= {each.sha256 for each in events if isinstance(each, messages.Withdrawn)}
    assert told[-1].startswith(f"best by validation: tiny-step{best:08d}.safetensors of step {best}")
