"""Randomness belongs to a step, not to a history."""

import pytest
import torch

from loratui_agent.train.noise import Noise, draw_noise, step_seed
from loratui_protocol.config import TrainingConfig

pytestmark = pytest.mark.torch


def drawn(shape: tuple[int, int, int, int], seed: int, **changes: object) -> Noise:
    config = TrainingConfig(pretrained_model_name_or_path="x", train_data_dir="y", **changes)
    return draw_noise(shape, config, 1000, seed)


def test_the_same_step_draws_the_same_noise_whatever_was_drawn_before():
    first = drawn((2, 4, 8, 8), step_seed(1, 5, 0))
    torch.randn(100)
    second = drawn((2, 4, 8, 8), step_seed(1, 5, 0))
    assert torch.equal(first.noise_BCHW, second.noise_BCHW)
    assert torch.equal(first.timesteps_B, second.timesteps_B)


def test_neighbouring_steps_micro_batches_and_seeds_draw_different_noise():
    seeds = {step_seed(seed, step, micro) for seed in (1, 2) for step in range(50) for micro in range(4)}
    assert len(seeds) == 2 * 50 * 4


def test_noise_offset_moves_whole_channels():
    plain = drawn((1, 4, 8, 8), 3).noise_BCHW
    moved = drawn((1, 4, 8, 8), 3, noise_offset=0.5).noise_BCHW
    difference = (moved - plain)[0].flatten(1)
    assert torch.allclose(difference.std(1), torch.zeros(4), atol=1e-6)
    assert difference.abs().max() > 0.01


def test_perturbed_input_is_noisier_than_what_is_to_be_found():
    plain, perturbed = drawn((1, 4, 64, 64), 3), drawn((1, 4, 64, 64), 3, ip_noise_gamma=0.5)
    assert torch.equal(plain.noise_BCHW, perturbed.noise_BCHW)
    assert torch.equal(plain.added_BCHW, plain.noise_BCHW)
    assert (perturbed.added_BCHW - perturbed.noise_BCHW).std().item() == pytest.approx(0.5, rel=0.05)


def test_multires_noise_is_coarser_and_as_strong():
    plain, coarse = (
        drawn((1, 4, 64, 64), 3, multires_noise_iterations=n, multires_noise_discount=0.8).noise_BCHW for n in (None, 6)
    )
    assert coarse.std().item() == pytest.approx(1.0, abs=1e-4)
    shifted = [
        torch.corrcoef(torch.stack([n[..., 1:].flatten(), n[..., :-1].flatten()]))[0, 1] for n in (plain, coarse)
    ]
    assert shifted[0].abs() < 0.05
    assert shifted[1] > 0.2


def test_timesteps_stay_within_the_bounds():
    timesteps_B = drawn((2000, 1, 1, 1), 3, min_timestep=200, max_timestep=205).timesteps_B
    assert set(timesteps_B.tolist()) == set(range(200, 205))
    assert drawn((20000, 1, 1, 1), 3).timesteps_B.unique().numel() == 1000
