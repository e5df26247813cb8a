"""A run stops where somebody wants to look, and goes on: to the end of its plan, or to a later one."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from loratui_agent.model_path import resolve_model
from loratui_agent.train import loop
from loratui_agent.train.controls import Controls
from loratui_agent.train.job import Job, Outcome
from loratui_protocol import messages
from loratui_protocol.errors import StorageError
from loratui_protocol.lr_schedule import lr_factor
from loratui_protocol.run_end import STOP_AT_EPOCH
from support.tiny_run import HeardReporter
from support.tiny_training import tiny_config, write_pictures

pytestmark = [pytest.mark.torch, pytest.mark.timeout(120)]

RATE = 1e-3


@pytest.fixture(scope="module", autouse=True)
def _same_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@dataclass
class Attempt:
    """What came of an attempt to train the job in a folder."""

    folder: Path
    outcome: Outcome
    heard: list[messages.Event]

    @property
    def weights(self) -> bytes:
        """Return what the file holds behind its header: that has a picture, and who stops to look has made more."""
        content = (self.folder / "artifacts" / "lora.safetensors").read_bytes()
        return content[8 + int.from_bytes(content[:8], "little") :]

    @property
    def steps(self) -> list[messages.Step]:
        return [event for event in self.heard if isinstance(event, messages.Step)]

    @property
    def news(self) -> list[str]:
        return [event.message for event in self.heard if isinstance(event, messages.Warn) and event.code == "plan.anew"]


def attempt(folder: Path, pictures: Path, **changes: Any) -> Attempt:
    """Train the job in ``folder``, of two steps an epoch, from wherever it is."""
    for part in ("artifacts", "ckpt"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "spec.json").write_text(json.dumps({}), "utf-8")
    settings: dict[str, Any] = {"network_dropout": 0.1, "caption_dropout_rate": 0.3, "learning_rate": RATE, **changes}
    config = tiny_config(pictures, **{"checkpoint_every_n_steps": None, **settings})
    reporter = HeardReporter(folder)
    return Attempt(folder, loop.train(Job(folder, config, ""), reporter, Controls(reporter)), reporter.heard)


def test_a_run_that_stops_to_be_looked_at_ends_as_if_it_never_had(tmp_path: Path, pictures: Path) -> None:
    planned: dict[str, Any] = {"max_train_epochs": 4, "lr_scheduler": "cosine", "lr_warmup_steps": 0.25}
    whole = attempt(tmp_path / "whole", pictures, **planned)
    stopped = attempt(tmp_path / "job", pictures, stop_at_epoch=1, **planned)
    assert (stopped.outcome.outcome, stopped.outcome.code) == ("stopped", STOP_AT_EPOCH)
    assert stopped.outcome.what == "stopped at epoch 1 of 4 planned, after step 2 of 8"
    assert [(step.step, step.total, step.stop) for step in stopped.steps] == [(1, 8, 2), (2, 8, 2)]
    assert {step.stop for step in whole.steps} == {None}
    assert stopped.steps[-1].eta_s == 0
    assert (tmp_path / "job" / "artifacts" / "lora-step00000002.safetensors").exists()
    again = attempt(tmp_path / "job", pictures, stop_at_epoch=3, **planned)
    assert [step.step for step in again.steps] == [3, 4, 5, 6]
    at_its_stop = attempt(tmp_path / "job", pictures, stop_at_epoch=3, **planned)
    assert (at_its_stop.steps, at_its_stop.outcome) == ([], again.outcome), "one that was killed right there stops, too"
    last = attempt(tmp_path / "job", pictures, **planned)
    assert (last.outcome.outcome, last.news) == ("done", [])
    assert last.weights == whole.weights


def test_a_constant_schedule_ends_as_if_it_had_been_planned_so_from_the_beginning(
    tmp_path: Path, pictures: Path
) -> None:
    whole = attempt(tmp_path / "whole", pictures, max_train_epochs=3)
    first = attempt(tmp_path / "job", pictures, max_train_epochs=2)
    assert first.outcome.outcome == "done"
    second = attempt(tmp_path / "job", pictures, max_train_epochs=3)
    assert [step.step for step in second.steps] == [5, 6]
    assert second.news == []
    assert second.weights == whole.weights
    # What the shorter run came to bore the same name.
    [kept] = [each for each in second.heard if isinstance(each, messages.Artifact) and each.id.startswith("lora-step")]
    assert (kept.step, kept.name) == (4, "tiny-step00000004.safetensors")


def test_a_schedule_that_falls_is_planned_anew_and_both_rates_are_said(tmp_path: Path, pictures: Path) -> None:
    cosine: dict[str, Any] = {"lr_scheduler": "cosine", "token_warmup_step": 0.75, "max_train_epochs": 2}
    attempt(tmp_path / "job", pictures, **cosine)
    longer = attempt(tmp_path / "job", pictures, **{**cosine, "max_train_epochs": 4})
    goes_on_at = RATE * 0.5
    assert longer.news == [
        "the cosine schedule was planned for 4 steps and is planned anew for 8: after step 4 the learning rate was 0 "
        f"and goes on at {goes_on_at:.3g}",
        "all tags are shown from step 7 on",
    ]
    config = tiny_config(pictures, **{**cosine, "learning_rate": RATE})
    expected = [RATE * lr_factor(config, num_done, 8) for num_done in range(4, 8)]
    assert [step.lr for step in longer.steps] == pytest.approx(expected)
    assert longer.steps[0].lr == pytest.approx(goes_on_at)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """The job of a run that was stopped, and beside it a copy of its base model."""
    folder = tmp_path_factory.mktemp("saved")
    base = shutil.copytree(resolve_model("builtin:tiny"), folder / "base")
    attempt(folder / "job", pictures, stop_at_epoch=1, pretrained_model_name_or_path=str(base))
    return folder


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "the base model is another one"),
        ({"learning_rate": 0.5}, "the base model is another one; learning_rate is 0.5, it was 0.001"),
        ({"seed": 8}, "the base model is another one; seed is 8, it was 7"),
        ({"train_data_dir": "others"}, "the base model is another one; the dataset is another one"),
    ],
)
def test_what_a_state_does_not_fit_is_named_before_the_base_model_is_loaded(
    tmp_path: Path, pictures: Path, saved: Path, changes: dict[str, Any], said: str
) -> None:
    base, job = (shutil.copytree(saved / name, tmp_path / name) for name in ("base", "job"))
    if changes.get("train_data_dir"):
        changes = {"train_data_dir": str(write_pictures(tmp_path / "others", 3))}
    # It could not be loaded: that it is another one is found out all the same.
    for weights in base.glob("unet/*.safetensors"):
        weights.write_bytes(b"nothing")
    with pytest.raises(StorageError) as raised:
        attempt(job, pictures, pretrained_model_name_or_path=str(base), **changes)
    assert raised.value.code == "resume.other_run"
    assert f"belongs to another run: {said}. It was left as it is" in raised.value.what
    assert list((job / "ckpt").iterdir()) == [job / "ckpt" / "step-00000002"]


def test_where_it_stops_to_be_looked_at_there_is_something_to_see(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", 8)
    stopped = attempt(
        tmp_path / "job",
        pictures,
        max_train_epochs=4,
        stop_at_epoch=1,
        validation_split=0.4,
        validate_every_n_epochs=3,
        sample_prompts=("a zorbix",),
        sample_every_n_epochs=3,
    )
    last = stopped.steps[-1].step
    assert [each.step for each in stopped.heard if isinstance(each, messages.Validation)] == [0, last]
    samples = [(each.step, each.weight) for each in stopped.heard if isinstance(each, messages.Sample)]
    assert samples == [(last, 0.0), (last, 1.0)], "beside that of the base alone"
