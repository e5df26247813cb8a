"""What the UNet is to predict, and how much being wrong counts: sd-scripts' losses under sd-scripts' names.

Weights depend on a timestep's signal-to-noise ratio; the order in which they apply is sd-scripts'.
"""

# B batch, C latent channels, H W latent height and width, T all timesteps

import math
from dataclasses import dataclass

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from loratui_protocol.config import TrainingConfig

V_PREDICTION = "v_prediction"
_HIGHEST_SNR = 1000.0
"""sd-scripts': at the first timesteps there is hardly any noise, and the ratio has no bound."""


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss of a run, its tables on the CPU: one value a timestep, shape (T,)."""

    is_v: bool
    loss_type: str
    threshold_T: Tensor | None
    """From where on an error counts by its size and no longer by its square; None: by its square always."""
    weight_T: Tensor | None
    """What the loss of a timestep is multiplied by; None: 1."""

    def target(self, scheduler: DDPMScheduler, latents_BCHW: Tensor, noise_BCHW: Tensor, timesteps_B: Tensor) -> Tensor:
        """Return what the UNet is to predict, shape (B, C, H, W): the noise, or v (arXiv 2202.00512)."""
        if not self.is_v:
            return noise_BCHW
        velocity: Tensor = scheduler.get_velocity(latents_BCHW, noise_BCHW, timesteps_B)
        return velocity

    def losses(
        self, predicted_BCHW: Tensor, target_BCHW: Tensor, timesteps_B: Tensor, mask_B1HW: Tensor | None = None
    ) -> Tensor:
        """Return the loss of each picture, shape (B,), in float32 on their device; ``timesteps_B`` on the CPU.

        What the mask hides counts as if it were right: as in sd-scripts the mean is over the whole picture.
        """
        loss_BCHW = self._errors(predicted_BCHW.float() - target_BCHW.float(), timesteps_B)
        if mask_B1HW is not None:
            loss_BCHW = loss_BCHW * mask_B1HW
        loss_B = loss_BCHW.mean((1, 2, 3))
        if self.weight_T is not None:
            loss_B = loss_B * self.weight_T[timesteps_B].to(loss_B.device)
        return loss_B

    def _errors(self, error_BCHW: Tensor, timesteps_B: Tensor) -> Tensor:
        if self.loss_type == "l1":
            return error_BCHW.abs()
        if self.threshold_T is None:
            return error_BCHW.square()
        c = self.threshold_T[timesteps_B].to(error_BCHW.device).view(-1, 1, 1, 1)
        # Pseudo-Huber in both: they differ by the factor that smooth_l1 divides by.
        smooth = 2 * ((error_BCHW.square() + c.square()).sqrt() - c)
        return smooth * c if self.loss_type == "huber" else smooth


def new_objective(config: TrainingConfig, scheduler: DDPMScheduler) -> Objective:
    """Return the loss that the config asks for, for a model that predicts what its scheduler says."""
    is_v = scheduler.config.prediction_type == V_PREDICTION
    return Objective(
        is_v=is_v,
        loss_type=config.loss_type,
        threshold_T=_thresholds(config, scheduler),
        weight_T=_weights(config, snr_table(scheduler), is_v=is_v),
    )


def snr_table(scheduler: DDPMScheduler) -> Tensor:
    """Return the signal-to-noise ratio of every timestep, shape (T,)."""
    alphas_cumprod: Tensor = scheduler.alphas_cumprod
    return alphas_cumprod / (1 - alphas_cumprod)


def min_snr_weight(snr: Tensor, gamma: float, *, is_v: bool = False) -> Tensor:
    """Return weights of the shape of ``snr``: min(SNR, gamma) / SNR, for v / (SNR + 1) (arXiv 2303.09556)."""
    return snr.clamp(max=gamma) / (snr + 1 if is_v else snr)


def _weights(config: TrainingConfig, snr_T: Tensor, *, is_v: bool) -> Tensor | None:
    weight_T = torch.ones_like(snr_T)
    bounded_T = snr_T.clamp(max=_HIGHEST_SNR)
    like_noise_T = bounded_T / (bounded_T + 1)
    if config.min_snr_gamma is not None:
        weight_T = weight_T * min_snr_weight(snr_T, config.min_snr_gamma, is_v=is_v)
    if config.scale_v_pred_loss_like_noise_pred:
        weight_T = weight_T * like_noise_T
    if config.v_pred_like_loss is not None:
        weight_T = weight_T * (1 + config.v_pred_like_loss / like_noise_T)
    if config.debiased_estimation_loss:
        weight_T = weight_T / (bounded_T + 1 if is_v else bounded_T.sqrt())
    return None if torch.equal(weight_T, torch.ones_like(weight_T)) else weight_T


def _thresholds(config: TrainingConfig, scheduler: DDPMScheduler) -> Tensor | None:
    if config.loss_type not in ("huber", "smooth_l1"):
        return None
    num_timesteps = scheduler.config.num_train_timesteps
    least, scale = config.huber_c, config.huber_scale
    if config.huber_schedule == "constant":
        return torch.full((num_timesteps,), least * scale)
    if config.huber_schedule == "exponential":
        return torch.exp(math.log(least) / num_timesteps * torch.arange(num_timesteps)) * scale
    sigmas_T = snr_table(scheduler).rsqrt()
    return (1 - least) / (1 + sigmas_T).square() + least
