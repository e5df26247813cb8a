"""A job that had ended goes on: where it is to end now, and what its next end is heard of."""

import json
from pathlib import Path

import pytest

from loratui_agent.going_on import set_end
from loratui_agent.job import Job
from loratui_protocol import messages
from loratui_protocol.config_file import parse_config
from loratui_protocol.errors import ConfigError
from loratui_protocol.ids import new_id
from loratui_protocol.messages import JobState, RunEnd
from loratui_protocol.run_end import STOP_AT_EPOCH

CONFIG = """
pretrained_model_name_or_path = "builtin:tiny"
train_data_dir = "pictures"
max_train_epochs = 4
stop_at_epoch = 2
"""


def job_in(folder: Path, code: str) -> Path:
    """Write the config of a job, and how its last attempt ended."""
    (folder / "job.toml").write_text(CONFIG, "utf-8")
    (folder / "exit.json").write_text(json.dumps({"outcome": "stopped", "code": code}), "utf-8")
    return folder


def ends(folder: Path) -> tuple[int | None, int | None]:
    config = parse_config((folder / "job.toml").read_text("utf-8"), folder).config
    assert config.train_data_dir == str(folder / "pictures")
    return config.max_train_epochs, config.stop_at_epoch


@pytest.mark.parametrize(
    ("code", "end", "after"),
    [
        (STOP_AT_EPOCH, None, (4, None)),
        ("", None, (4, 2)),
        ("", RunEnd(), (4, None)),
        ("", RunEnd(stop_at_epoch=3), (4, 3)),
        (STOP_AT_EPOCH, RunEnd(max_train_epochs=9), (9, None)),
    ],
)
def test_it_goes_past_the_epoch_that_it_stopped_at_or_to_the_end_that_it_is_given(
    tmp_path: Path, code: str, end: RunEnd | None, after: tuple[int | None, int | None]
) -> None:
    set_end(job_in(tmp_path, code), end)
    assert ends(tmp_path) == after


def test_an_end_that_can_not_be_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        set_end(job_in(tmp_path, ""), RunEnd(stop_at_epoch=-1))
    assert (tmp_path / "job.toml").read_text("utf-8") == CONFIG


def test_what_was_heard_at_its_first_end_is_not_taken_for_its_next_one(tmp_path: Path) -> None:
    start = messages.StartJob(id=new_id(), author="me", job=new_id(), name="cat", config_toml=CONFIG)
    folder = tmp_path / "jobs" / start.job
    (tmp_path / "run").mkdir()
    job = Job.create(folder, start)
    job.move(JobState.PREPARING)
    job.record(messages.Done(artifact_id="lora", name="cat", size=1, sha256="0" * 64, steps=4))
    job.move(JobState.DONE)
    assert job.heard_done
    job.move(JobState.QUEUED)
    job.move(JobState.PREPARING)
    assert not job.heard_done
    job.journal.close()
    again = Job.load(folder)
    assert again is not None
    assert not again.heard_done
    again.journal.close()
