"""A saved state is whole or not there, and only continues its own run."""

from pathlib import Path

import pytest
import torch

from loratui_agent.train.checkpoint import TrainingState, load_newest_state, save_state
from loratui_protocol.errors import StorageError

pytestmark = pytest.mark.torch


def state(step: int, identity: str = "run") -> TrainingState:
    return TrainingState(
        step=step,
        identity=identity,
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
    loaded = load_newest_state(tmp_path, "run")
    assert loaded is not None
    assert loaded.step == 7
    assert torch.equal(loaded.tensors["unet.a.down"], saved.tensors["unet.a.down"])
    assert torch.equal(loaded.optimizer["0.exp_avg"], saved.optimizer["0.exp_avg"])
    assert loaded.lr_scheduler == {"last_epoch": 7}
    assert size > 0


def test_there_is_nothing_to_load_before_the_first_save(tmp_path: Path):
    assert load_newest_state(tmp_path / "ckpt", "run") is None


def test_two_are_kept_and_the_newest_is_loaded(tmp_path: Path):
    for step in (3, 6, 9):
        save_state(tmp_path, state(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000006", "step-00000009"]
    loaded = load_newest_state(tmp_path, "run")
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
    loaded = load_newest_state(tmp_path, "run")
    assert loaded is not None
    assert loaded.step == 3


def test_only_damaged_states_are_an_error_not_a_fresh_start(tmp_path: Path):
    save_state(tmp_path, state(3))
    (tmp_path / "step-00000003" / "lora.safetensors").write_bytes(b"")
    with pytest.raises(StorageError, match=r"resume\.damaged"):
        load_newest_state(tmp_path, "run")


def test_a_state_of_another_run_is_refused_and_left_alone(tmp_path: Path):
    save_state(tmp_path, state(3, identity="other"))
    with pytest.raises(StorageError, match=r"resume\.other_run"):
        load_newest_state(tmp_path, "run")
    assert (tmp_path / "step-00000003" / "manifest.json").exists()


def test_an_unfinished_save_is_never_loaded(tmp_path: Path):
    save_state(tmp_path, state(3))
    (tmp_path / "step-00000003").rename(tmp_path / ".tmp-step-00000006")
    assert load_newest_state(tmp_path, "run") is None


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
    loaded = load_newest_state(tmp_path, "run")
    assert loaded is not None
    assert loaded.step == 3
