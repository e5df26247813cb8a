"""No decorative settings: each one changes what is learned, from the very step that it should."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from loratui_agent.train.run import Run
from support.tiny_run import new_run, take_steps, trained

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]
NUM_STEPS = 2


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """As in the runs of the other tests: more of them only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


def run_with(folder: Path, **changes: Any) -> tuple[Run, list[tuple[float, float]]]:
    # Without its folder a run would go on with the random seed of the one before.
    shutil.rmtree(folder / "ckpt", ignore_errors=True)
    run = new_run(folder, **changes)
    return run, take_steps(run, NUM_STEPS)


@pytest.fixture(scope="module")
def plain(folder: Path) -> dict[str, Tensor]:
    run, _ = run_with(folder)
    return trained(run)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss_type": "l1"},
        {"loss_type": "huber"},
        {"loss_type": "smooth_l1"},
        {"loss_type": "huber", "huber_schedule": "constant"},
        {"loss_type": "huber", "huber_schedule": "exponential"},
        {"loss_type": "huber", "huber_c": 0.9},
        {"loss_type": "huber", "huber_schedule": "constant", "huber_scale": 5.0},
        {"min_snr_gamma": 1.0},
        {"debiased_estimation_loss": True},
        {"v_pred_like_loss": 0.5},
        {"scale_v_pred_loss_like_noise_pred": True},
        {"noise_offset": 0.1},
        {"multires_noise_iterations": 6},
        {"multires_noise_iterations": 6, "multires_noise_discount": 0.9},
        {"ip_noise_gamma": 0.1},
        {"min_timestep": 900},
        {"max_timestep": 100},
        {"zero_terminal_snr": True},
        {"clip_skip": 2},
        {"network_dropout": 0.5},
        {"caption_dropout_rate": 1.0},
        {"caption_dropout_every_n_epochs": 1},
        {"caption_tag_dropout_rate": 1.0},
        {"caption_prefix": "a red circle and"},
        {"caption_suffix": "and a red circle"},
        {"token_warmup_step": 100, "token_warmup_min": 0},
        {"secondary_separator": "zorbix"},
        {"learning_rate": 1e-4},
        {"network_alpha": 1.0},
        {"scale_weight_norms": 1e-3},
        {"lr_scheduler": "constant_with_warmup", "lr_warmup_steps": 4},
    ],
    ids=lambda changes: " ".join(f"{key}={value}" for key, value in changes.items()),
)
def test_each_setting_changes_what_is_learned(folder: Path, plain: dict[str, Tensor], changes: dict[str, Any]):
    run, steps = run_with(folder, **changes)
    learned = trained(run)
    assert learned.keys() == plain.keys()
    assert not all(torch.equal(tensor, plain[name]) for name, tensor in learned.items())
    assert all(torch.isfinite(torch.tensor(step)).all() for step in steps)


def test_the_same_settings_learn_the_same(folder: Path, plain: dict[str, Tensor]):
    run, _ = run_with(folder)
    assert all(torch.equal(tensor, plain[name]) for name, tensor in trained(run).items())


def test_convolutions_are_learned_beside_the_rest(folder: Path, plain: dict[str, Tensor]):
    run, _ = run_with(folder, network_args={"conv_dim": 2.0, "conv_alpha": 1.0})
    more = trained(run).keys() - plain.keys()
    assert "lora_unet_mid_block_resnets_0_conv1.lora_up.weight" in more
    assert all(trained(run)[name].abs().sum() > 0 for name in more if name.endswith("lora_up.weight"))
