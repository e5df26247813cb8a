"""Losses as sd-scripts defines them, for models that predict the noise and for those that predict v."""

import math

import pytest
import torch
from diffusers import DDPMScheduler

from loratui_agent.train.objective import min_snr_weight, new_objective, snr_table
from loratui_protocol.config import TrainingConfig

pytestmark = pytest.mark.torch
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
EPSILON, V = DDPMScheduler(**BETAS), DDPMScheduler(**BETAS, prediction_type="v_prediction")
TIMESTEPS_B = torch.tensor([0, 20, 500, 999])
SNR_B = snr_table(EPSILON)[TIMESTEPS_B]


def config(**changes: object) -> TrainingConfig:
    return TrainingConfig(pretrained_model_name_or_path="x", train_data_dir="y", **changes)


def losses(error: float, scheduler: DDPMScheduler = EPSILON, **changes: object) -> torch.Tensor:
    """Return the loss of a picture that is wrong by ``error`` everywhere, at each of ``TIMESTEPS_B``."""
    target_BCHW = torch.zeros(4, 4, 8, 8)
    return new_objective(config(**changes), scheduler).losses(target_BCHW + error, target_BCHW, TIMESTEPS_B)


def test_min_snr_weight_is_one_up_to_gamma_and_falls_beyond():
    snr = snr_table(DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"))
    weight = min_snr_weight(snr, 5.0)
    assert torch.all(weight[snr <= 5] == 1)
    assert torch.allclose((weight * snr)[snr > 5], torch.tensor(5.0))


def test_without_a_setting_every_timestep_counts_the_square_of_the_error():
    assert torch.allclose(losses(0.3), torch.full((4,), 0.09))


def test_the_absolute_error_can_be_asked_for():
    assert torch.allclose(losses(-0.3, loss_type="l1"), torch.full((4,), 0.3))


@pytest.mark.parametrize("loss_type", ["huber", "smooth_l1"])
def test_a_constant_bound_squares_small_errors_and_counts_large_ones_by_their_size(loss_type: str):
    small, large = (losses(e, loss_type=loss_type, huber_schedule="constant") for e in (1e-3, 100.0))
    factor = 0.1 if loss_type == "huber" else 1.0
    assert torch.allclose(small, torch.full((4,), factor * 1e-6 / 0.1), rtol=1e-3)
    assert torch.allclose(large, torch.full((4,), factor * 2 * (100.0 - 0.1)), rtol=1e-3)


def test_the_bound_falls_from_one_to_huber_c_over_the_timesteps():
    for schedule in ("exponential", "snr"):
        threshold_T = new_objective(config(loss_type="huber", huber_schedule=schedule), EPSILON).threshold_T
        assert threshold_T is not None
        assert torch.all(threshold_T.diff() < 0)
        assert 0.9 < threshold_T[0] <= 1.0
        assert 0.1 < threshold_T[-1] < 0.12
    exponential = new_objective(config(loss_type="huber", huber_schedule="exponential"), EPSILON).threshold_T
    assert exponential is not None
    assert exponential[500].item() == pytest.approx(math.sqrt(0.1), rel=1e-4)


def test_min_snr_divides_by_one_more_where_v_is_predicted():
    noise_B, v_B = losses(1.0, min_snr_gamma=5.0), losses(1.0, V, min_snr_gamma=5.0)
    assert torch.allclose(noise_B, SNR_B.clamp(max=5) / SNR_B)
    assert torch.allclose(v_B, SNR_B.clamp(max=5) / (SNR_B + 1))


def test_debiased_estimation_counts_noisy_timesteps_more():
    bounded_B = SNR_B.clamp(max=1000)
    assert torch.allclose(losses(1.0, debiased_estimation_loss=True), 1 / bounded_B.sqrt())
    assert torch.allclose(losses(1.0, V, debiased_estimation_loss=True), 1 / (bounded_B + 1))


def test_losses_of_v_can_be_weighted_like_those_of_noise_and_back():
    scale_B = SNR_B.clamp(max=1000) / (SNR_B.clamp(max=1000) + 1)
    assert torch.allclose(losses(1.0, V, scale_v_pred_loss_like_noise_pred=True), scale_B)
    assert torch.allclose(losses(1.0, v_pred_like_loss=0.5), 1 + 0.5 / scale_B)


def test_v_is_what_the_model_is_to_find_where_it_predicts_v():
    latents_BCHW, noise_BCHW = torch.randn(4, 4, 8, 8), torch.randn(4, 4, 8, 8)
    a_B = EPSILON.alphas_cumprod[TIMESTEPS_B].view(-1, 1, 1, 1)
    v_BCHW = a_B.sqrt() * noise_BCHW - (1 - a_B).sqrt() * latents_BCHW
    assert torch.equal(
        new_objective(config(), EPSILON).target(EPSILON, latents_BCHW, noise_BCHW, TIMESTEPS_B), noise_BCHW
    )
    assert torch.allclose(
        new_objective(config(), V).target(V, latents_BCHW, noise_BCHW, TIMESTEPS_B), v_BCHW, atol=1e-6
    )
