"""All randomness of a step, keyed by (seed, step, micro-batch): resuming needs no generator state."""

# B batch, C latent channels, H W latent height and width

import hashlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from loratui_protocol.config import TrainingConfig


def step_seed(seed: int, step: int, micro: int) -> int:
    """Return a 63-bit seed that is unrelated for neighbouring steps."""
    digest = hashlib.sha256(f"{seed}:{step}:{micro}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@dataclass(frozen=True, slots=True)
class Noise:
    """What is drawn for one micro-batch, all on the CPU so that it does not depend on the device."""

    posterior_BCHW: Tensor
    noise_BCHW: Tensor
    """What the UNet is to find."""
    added_BCHW: Tensor
    """What is added to the latents: with ``ip_noise_gamma`` somewhat more than that (arXiv 2301.11706)."""
    timesteps_B: Tensor

    def rows(self, rows: slice) -> "Noise":
        """Return what was drawn for some of the pictures."""
        return Noise(self.posterior_BCHW[rows], self.noise_BCHW[rows], self.added_BCHW[rows], self.timesteps_B[rows])


def draw_noise(shape: tuple[int, int, int, int], config: TrainingConfig, num_train_timesteps: int, seed: int) -> Noise:
    """Draw everything for one micro-batch of the given latent shape.

    What a setting adds is drawn last: a run without it is the same run, whatever settings there are.
    """
    generator = torch.Generator().manual_seed(seed)
    posterior = torch.randn(shape, generator=generator)
    noise = torch.randn(shape, generator=generator)
    if config.noise_offset:
        noise = noise + config.noise_offset * torch.randn(shape[0], shape[1], 1, 1, generator=generator)
    first, end = config.min_timestep or 0, config.max_timestep or num_train_timesteps
    timesteps = torch.randint(first, end, (shape[0],), generator=generator)
    if config.multires_noise_iterations:
        noise = _pyramid(noise, config.multires_noise_iterations, config.multires_noise_discount, generator)
    added = noise
    if config.ip_noise_gamma:
        added = noise + config.ip_noise_gamma * torch.randn(shape, generator=generator)
    return Noise(posterior, noise, added, timesteps)


def _pyramid(noise_BCHW: Tensor, iterations: int, discount: float, generator: torch.Generator) -> Tensor:
    """Return noise with coarser and coarser noise added, of standard deviation 1 over all."""
    b, c, height, width = noise_BCHW.shape
    for level in range(iterations):
        ratio = 2 + 2 * float(torch.rand(1, generator=generator))
        size = max(1, int(height / ratio**level)), max(1, int(width / ratio**level))
        coarse = torch.randn(b, c, *size, generator=generator)
        noise_BCHW = noise_BCHW + discount**level * F.interpolate(coarse, (height, width), mode="bilinear")
        if 1 in size:
            break
    return noise_BCHW / noise_BCHW.std()
