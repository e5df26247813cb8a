"""A run that another machine began goes on from its saved state, wherever the files lie now; or it fails, untouched."""

import json
import shutil
from pathlib import Path

import pytest

from loratui_agent.train.brought_state import take_in
from loratui_agent.train.job import load_job
from loratui_protocol import messages
from loratui_protocol.errors import StorageError
from loratui_protocol.messages import ArtifactKind
from loratui_protocol.state_files import STATE_PARTS, state_folder
from support.tiny_training import tiny_config, write_pictures
from support.trainer_process import trainer, write_job

pytestmark = [pytest.mark.torch, pytest.mark.timeout(200)]

STEP = 6


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """The job of a whole run whose config leaves the seed open, and beside it the state of a step on its way."""
    folder = tmp_path_factory.mktemp("first")
    job = write_job(folder / "job", tiny_config(pictures, seed=None, network_dropout=0.1))
    with trainer(job, folder) as process:
        process.wait_for_step(STEP + 1)
        shutil.copytree(job / "ckpt" / state_folder(STEP), folder / state_folder(STEP))
        assert process.finish()["outcome"] == "done", process.log()
        offered = [each for each in process.of_type(messages.Artifact) if each.kind is ArtifactKind.STATE]
    assert [each.step for each in offered][: 2 * len(STATE_PARTS)] == [3] * len(STATE_PARTS) + [6] * len(STATE_PARTS)
    for part in STATE_PARTS:
        [announced] = [each for each in offered if each.id == f"state-{STEP:08d}-{part}"]
        assert announced.size == (folder / state_folder(STEP) / part).stat().st_size
    return folder


def second_job(folder: Path, first: Path, pictures: Path, **changes: object) -> Path:
    """Write a job as another machine gets it: everything lies elsewhere, under other names."""
    job = write_job(folder / "job", tiny_config(pictures, seed=None, network_dropout=0.1, **changes))
    below = Path("inputs", "state", state_folder(STEP))
    shutil.copytree(first / state_folder(STEP), job / below)
    (job / "spec.json").write_text(json.dumps({"state_dir": str(below)}), "utf-8")
    return job


def test_it_ends_with_the_file_of_the_run_that_it_goes_on_from(tmp_path: Path, first: Path, pictures: Path) -> None:
    elsewhere = shutil.copytree(pictures, tmp_path / "another name")
    job = second_job(tmp_path, first, elsewhere, output_name="tiny")
    with trainer(job, tmp_path) as process:
        assert process.finish()["outcome"] == "done", process.log()
        steps = [event.step for event in process.of_type(messages.Step)]
    assert steps == list(range(STEP + 1, 13))
    lora = Path("job", "artifacts", "lora.safetensors")
    assert (tmp_path / lora).read_bytes() == (first / lora).read_bytes()


def test_a_state_of_other_pictures_is_a_clear_failure(tmp_path: Path, first: Path, pictures: Path) -> None:
    changed = shutil.copytree(pictures, tmp_path / "changed")
    (changed / "1_zorbix" / "0.txt").write_text("something else\n", "utf-8")
    with trainer(second_job(tmp_path, first, changed), tmp_path) as process:
        outcome = process.finish()
        assert not process.of_type(messages.Step)
    assert (outcome["outcome"], outcome["code"]) == ("failed", "resume.other_run")


@pytest.mark.parametrize("part", STATE_PARTS)
@pytest.mark.parametrize("damage", ["changed", "missing", "longer"])
def test_a_damaged_state_is_refused_and_nothing_is_half_done(
    tmp_path: Path, first: Path, pictures: Path, part: str, damage: str
) -> None:
    job = second_job(tmp_path, first, pictures)
    path = job / "inputs" / "state" / state_folder(STEP) / part
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    match damage:
        case "changed":
            path.write_bytes(content)
        case "missing":
            path.unlink()
        case "longer":
            path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(StorageError, match=r"state\.damaged"):
        take_in(load_job(job))
    assert list((job / "ckpt").iterdir()) == []
    assert not (job / "seed").exists()


def test_a_job_that_has_saved_a_state_itself_goes_on_from_that(tmp_path: Path, first: Path, pictures: Path) -> None:
    job = second_job(tmp_path, first, pictures)
    own = shutil.copytree(first / "job" / "ckpt" / state_folder(12), job / "ckpt" / state_folder(12))
    take_in(load_job(job))
    assert list((job / "ckpt").iterdir()) == [own]
