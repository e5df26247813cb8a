"""Randomness belongs to a step, not to a history."""

import pytest
import torch
from diffusers import DDPMScheduler

from loratui_agent.train.noise import draw_noise, min_snr_weight, snr_table, step_seed

pytestmark = pytest.mark.torch


def test_the_same_step_draws_the_same_noise_whatever_was_drawn_before():
    first = draw_noise((2, 4, 8, 8), 1000, None, step_seed(1, 5, 0))
    torch.randn(100)
    second = draw_noise((2, 4, 8, 8), 1000, None, step_seed(1, 5, 0))
    assert torch.equal(first.noise_BCHW, second.noise_BCHW)
    assert torch.equal(first.timesteps_B, second.timesteps_B)


def test_neighbouring_steps_micro_batches_and_seeds_draw_different_noise():
    seeds = {step_seed(seed, step, micro) for seed in (1, 2) for step in range(50) for micro in range(4)}
    assert len(seeds) == 2 * 50 * 4


def test_noise_offset_moves_whole_channels():
    plain = draw_noise((1, 4, 8, 8), 1000, None, 3).noise_BCHW
    moved = draw_noise((1, 4, 8, 8), 1000, 0.5, 3).noise_BCHW
    difference = (moved - plain)[0].flatten(1)
    assert torch.allclose(difference.std(1), torch.zeros(4), atol=1e-6)
    assert difference.abs().max() > 0.01


def test_min_snr_weight_is_one_up_to_gamma_and_falls_beyond():
    snr = snr_table(DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"))
    weight = min_snr_weight(snr, 5.0)
    assert torch.all(weight[snr <= 5] == 1)
    assert torch.allclose((weight * snr)[snr > 5], torch.tensor(5.0))
