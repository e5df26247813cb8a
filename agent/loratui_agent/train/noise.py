"""All randomness of a step, keyed by (seed, step, micro-batch): resuming needs no generator state."""

# B batch, C latent channels, H W latent height and width

import hashlib
from dataclasses import dataclass

import torch
from diffusers import DDPMScheduler
from torch import Tensor


def step_seed(seed: int, step: int, micro: int) -> int:
    """Return a 63-bit seed that is unrelated for neighbouring steps."""
    digest = hashlib.sha256(f"{seed}:{step}:{micro}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@dataclass(frozen=True, slots=True)
class Noise:
    """What is drawn for one micro-batch, all on the CPU so that it does not depend on the device."""

    posterior_BCHW: Tensor
    noise_BCHW: Tensor
    timesteps_B: Tensor


def draw_noise(
    shape: tuple[int, int, int, int], num_train_timesteps: int, noise_offset: float | None, seed: int
) -> Noise:
    """Draw everything for one micro-batch of the given latent shape."""
    generator = torch.Generator().manual_seed(seed)
    posterior = torch.randn(shape, generator=generator)
    noise = torch.randn(shape, generator=generator)
    if noise_offset:
        noise = noise + noise_offset * torch.randn(shape[0], shape[1], 1, 1, generator=generator)
    timesteps = torch.randint(0, num_train_timesteps, (shape[0],), generator=generator)
    return Noise(posterior, noise, timesteps)


def snr_table(scheduler: DDPMScheduler) -> Tensor:
    """Return the signal-to-noise ratio of every timestep, shape (num_train_timesteps,)."""
    alphas_cumprod: Tensor = scheduler.alphas_cumprod
    return alphas_cumprod / (1 - alphas_cumprod)


def min_snr_weight(snr_B: Tensor, gamma: float) -> Tensor:
    """Return the loss weights of epsilon prediction, shape (B,): min(SNR, gamma) / SNR (arXiv 2303.09556)."""
    return snr_B.clamp(max=gamma) / snr_B
