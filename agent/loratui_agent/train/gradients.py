"""The gradients of a micro-batch: noise the latents, ask the UNet, compare, go back. What a step is made of."""

# B batch, C latent channels, H W latent height and width

from collections.abc import Sequence

import torch
from torch import Tensor

from loratui_agent.train import noise
from loratui_agent.train.conditioning import time_ids
from loratui_agent.train.run import Run
from loratui_protocol.schedule import Exposure

_STEPS_AHEAD = 32


def of_micro_batch(run: Run, step: int, micro: int, share: float) -> Tensor:
    """Add the gradients of a micro-batch, which is ``share`` of its step, and return its share of the loss."""
    return of_pictures(run, run.schedule.batch(step, micro), noise.step_seed(run.seed, step, micro), share)


def of_pictures(run: Run, exposures: Sequence[Exposure], seed: int, share: float) -> Tensor:
    """Add the gradients of these pictures; the parts that go through the UNet together don't change what is drawn."""
    config, models, device = run.config, run.models, run.accelerator.device
    indices, flips = [each.picture_index for each in exposures], [each.flipped for each in exposures]
    torch.manual_seed(seed)  # dropout draws from the global generator
    shape = (len(indices), *run.latents.plain[indices[0]].mean.shape)
    num_timesteps = models.noise_scheduler.config.num_train_timesteps
    drawn = noise.draw_noise(shape, config, num_timesteps, seed)
    latents_BCHW = run.latents.sample(indices, flips, drawn.posterior_BCHW) * models.vae_scaling_factor
    noise_BCHW, timesteps_B = drawn.noise_BCHW.to(device), drawn.timesteps_B.to(device)
    noisy_BCHW = models.noise_scheduler.add_noise(latents_BCHW, drawn.added_BCHW.to(device), timesteps_B)
    target_BCHW = run.objective.target(models.noise_scheduler, latents_BCHW, noise_BCHW, timesteps_B)
    mask_B1HW = run.latents.mask(indices, flips)
    weights = [config.prior_loss_weight if run.dataset.pictures[i].is_reg else 1.0 for i in indices]
    weight_B = torch.tensor(weights, device=device) * (share / len(indices))
    total = torch.zeros((), device=device)
    for start in range(0, len(indices), run.fit.pictures_at_once):
        part = slice(start, start + run.fit.pictures_at_once)
        predicted_BCHW = predict(run, exposures[part], noisy_BCHW[part], timesteps_B[part])
        mask_part = None if mask_B1HW is None else mask_B1HW[part]
        loss_B = run.objective.losses(predicted_BCHW, target_BCHW[part], drawn.timesteps_B[part], mask_part)
        loss = (loss_B * weight_B[part]).sum()
        run.accelerator.backward(loss)
        total += loss.detach()
    return total


def predict(run: Run, exposures: Sequence[Exposure], noisy_BCHW: Tensor, timesteps_B: Tensor) -> Tensor:
    """Return what the UNet says of noisy latents of these pictures, shown so, shape (B, C, H, W)."""
    text = run.prompts.encode([exposure.caption for exposure in exposures])
    pictures, placements = run.dataset.pictures, run.plan.placements
    shown = [(each.picture_index, each.flipped) for each in exposures]
    sizes = [time_ids(pictures[index], placements[index], mirrored=flipped) for index, flipped in shown]
    added = text.added_cond_kwargs(sizes)
    predicted: Tensor = run.models.unet(noisy_BCHW, timesteps_B, text.hidden_BLD, added_cond_kwargs=added).sample
    return predicted


def encode_ahead(run: Run) -> None:
    """Encode the captions of the next steps, where the text encoders are not at hand at every one."""
    if run.step < run.encoded_until:
        return
    first, run.encoded_until = run.step + 1, min(run.step + _STEPS_AHEAD, run.plan.steps)
    schedule = run.schedule
    batches = (
        schedule.batch(step, micro)
        for step in range(first, run.encoded_until + 1)
        for micro in range(schedule.num_micro(step))
    )
    run.prompts.encode_ahead((each.caption for batch in batches for each in batch), run.accelerator.device)
