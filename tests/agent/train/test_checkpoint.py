"""A saved state is whole or not there, and only continues its own run."""

from pathlib import Path

import pytest
import torch

from loratui_agent.train.checkpoint import TrainingState, check_newest_state, load_newest_state, save_state
from loratui_protocol.errors import StorageError

pytestmark = pytest.mark.torch


RUN = {"base model": "b", "dataset": "d", "seed": "5", "learning_rate": "0.1"}


def state(step: int) -> TrainingState:
    return TrainingState(
        step=step,
        num_steps=12,
        identity=RUN,
        num_skipped=0,
        num_cpu_threads=1,
        seed=5,
        tensors={"unet.a.down": torch.full((2, 3), float(step))},
        optimizer={"0.exp_avg": torch.arange(6.0).reshape(2, 3), "0.step": torch.tensor(float(step))},
        optimizer_type="AdamW",
        lr_scheduler={"last_epoch": step},
        scaler={},
    )


def test_what_was_saved_comes_back(tmp_path: Path):
    saved = state(7)
    size = save_state(tmp_path, saved)
    loaded = load_newest_state(tmp_path)
    assert loaded is not None
    assert loaded.step == 7
    assert torch.equal(loaded.tensors["unet.a.down"], saved.tensors["unet.a.down"])
    assert torch.equal(loaded.optimizer["0.exp_avg"], saved.optimizer["0.exp_avg"])
    assert loaded.lr_scheduler == {"last_epoch": 7}
    assert size > 0


def test_there_is_nothing_to_load_before_the_first_save(tmp_path: Path):
    assert load_newest_state(tmp_path / "ckpt") is None


def test_two_are_kept_and_the_newest_is_loaded(tmp_path: Path):
    for step in (3, 6, 9):
        save_state(tmp_path, state(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000006", "step-00000009"]
    loaded = load_newest_state(tmp_path)
    assert loaded is not None
    assert loaded.step == 9


@pytest.mark.parametrize("name", ["lora.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
def test_a_damaged_newest_state_is_passed_over(tmp_path: Path, name: str):
    save_state(tmp_path, state(3))
    save_state(tmp_path, state(6))
    damaged = tmp_path / "step-00000006" / name
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged.write_bytes(content)
    loaded = load_newest_state(tmp_path)
    assert loaded is not None
    assert loaded.step == 3


def test_only_damaged_states_are_an_error_not_a_fresh_start(tmp_path: Path):
    save_state(tmp_path, state(3))
    (tmp_path / "step-00000003" / "lora.safetensors").write_bytes(b"")
    with pytest.raises(StorageError, match=r"resume\.damaged"):
        load_newest_state(tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("base model", "the base model is another one"),
        ("dataset", "the dataset is another one"),
        ("seed", "seed is 7, it was 5"),
        ("learning_rate", "learning_rate is 7, it was 0.1"),
    ],
)
def test_a_state_of_another_run_is_refused_by_what_is_different_and_left_alone(tmp_path: Path, name: str, said: str):
    save_state(tmp_path, state(3))
    check_newest_state(tmp_path, RUN, 12)
    with pytest.raises(StorageError, match=rf"resume\.other_run.*belongs to another run: {said}\. It was left"):
        check_newest_state(tmp_path, {**RUN, name: "7"}, 12)
    assert (tmp_path / "step-00000003" / "manifest.json").exists()


def test_a_setting_that_the_version_which_saved_it_did_not_know_makes_no_other_run(tmp_path: Path):
    save_state(tmp_path, state(3))
    check_newest_state(tmp_path, {**RUN, "new_setting": "None"}, 12)


def test_a_state_from_beyond_the_end_is_refused(tmp_path: Path):
    save_state(tmp_path, state(3))
    check_newest_state(tmp_path, RUN, 3)
    with pytest.raises(StorageError, match=r"resume\.other_run.*is of step 3, the run has 2"):
        check_newest_state(tmp_path, RUN, 2)


def test_an_unfinished_save_is_never_loaded(tmp_path: Path):
    save_state(tmp_path, state(3))
    (tmp_path / "step-00000003").rename(tmp_path / ".tmp-step-00000006")
    assert load_newest_state(tmp_path) is None


def test_what_a_killed_save_left_is_removed_by_the_next(tmp_path: Path):
    (tmp_path / ".tmp-step-00000005").mkdir()
    save_state(tmp_path, state(6))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000006"]


def test_saving_the_same_step_again_leaves_the_first_save_untouched(tmp_path: Path):
    save_state(tmp_path, state(3))
    manifest = tmp_path / "step-00000003" / "manifest.json"
    before = manifest.stat().st_ino
    save_state(tmp_path, state(3))
    assert manifest.stat().st_ino == before


def test_saving_the_same_step_again_replaces_a_damaged_save(tmp_path: Path):
    save_state(tmp_path, state(3))
    (tmp_path / "step-00000003" / "state.json").write_text("{")
    save_state(tmp_path, state(3))
    loaded = load_newest_state(tmp_path)
    assert loaded is not None
    assert loaded.step == 3
