"""The gradients of a micro-batch: noise the latents, ask the UNet, compare, go back. What a step is made of."""

# B batch, C latent channels, H W latent height and width

from collections.abc import Sequence

import torch
from torch import Tensor

from loratui_agent.train import noise
from loratui_agent.train.conditioning import time_ids
from loratui_agent.train.run import Run
from loratui_agent.train.share import Piece, share_of
from loratui_protocol.schedule import Exposure

_STEPS_AHEAD = 32


def of_step(run: Run, step: int) -> list[Tensor]:
    """Add the gradients of this process's share of a step, and return the parts of its loss."""
    if run.fit.text_aside:
        _encode_ahead(run)
    pieces = share_of(run.schedule.batch_sizes(step), run.ranks.index, run.ranks.count, run.fit.pictures_at_once)
    return [
        _of_piece(run, run.schedule.batch(step, piece.micro), piece, noise.step_seed(run.seed, step, piece.micro))
        for piece in pieces
    ]


def of_batch(run: Run, exposures: Sequence[Exposure]) -> None:
    """Add the gradients of these pictures, which nobody is going to use."""
    for piece in share_of([len(exposures)], 0, 1, run.fit.pictures_at_once):
        _of_piece(run, exposures, piece, 0)


def _of_piece(run: Run, batch: Sequence[Exposure], piece: Piece, seed: int) -> Tensor:
    """Add the gradients of a piece of a micro-batch, and return its share of the loss."""
    config, models, device = run.config, run.models, run.accelerator.device
    run.pace.draw()
    exposures = batch[piece.rows]
    indices, flips = [each.picture_index for each in exposures], [each.flipped for each in exposures]
    torch.manual_seed(seed + piece.rows.start)  # dropout draws from the global generator
    shape = (len(batch), *run.latents.plain[indices[0]].mean.shape)
    num_timesteps = models.noise_scheduler.config.num_train_timesteps
    # Drawn for the whole micro-batch: a picture's noise does not depend on how it is cut.
    drawn = noise.draw_noise(shape, config, num_timesteps, seed).rows(piece.rows)
    latents_BCHW = run.latents.sample(indices, flips, drawn.posterior_BCHW).to(device) * models.vae_scaling_factor
    noise_BCHW, timesteps_B = drawn.noise_BCHW.to(device), drawn.timesteps_B.to(device)
    noisy_BCHW = models.noise_scheduler.add_noise(latents_BCHW, drawn.added_BCHW.to(device), timesteps_B)
    with run.pace.forward(noisy_BCHW):
        predicted_BCHW = predict(run, exposures, noisy_BCHW, timesteps_B)
    target_BCHW = run.objective.target(models.noise_scheduler, latents_BCHW, noise_BCHW, timesteps_B)
    mask_B1HW = run.latents.mask(indices, flips, device)
    loss_B = run.objective.losses(predicted_BCHW, target_BCHW, drawn.timesteps_B, mask_B1HW)
    prior_B = [config.prior_loss_weight if run.dataset.pictures[i].is_reg else 1.0 for i in indices]
    loss = (loss_B * torch.tensor(prior_B, device=device)).mean() * piece.share
    if loss.requires_grad:  # not where module_dropout has left out every module
        run.accelerator.backward(loss)
    return loss.detach()


def predict(run: Run, exposures: Sequence[Exposure], noisy_BCHW: Tensor, timesteps_B: Tensor) -> Tensor:
    """Return what the UNet says of noisy latents of these pictures, shown so, shape (B, C, H, W)."""
    text = run.prompts.encode([exposure.caption for exposure in exposures])
    pictures, placements = run.dataset.pictures, run.plan.placements
    shown = [(each.picture_index, each.flipped) for each in exposures]
    sizes = [time_ids(pictures[index], placements[index], mirrored=flipped) for index, flipped in shown]
    added = text.added_cond_kwargs(sizes)
    predicted: Tensor = run.models.unet(noisy_BCHW, timesteps_B, text.hidden_BLD, added_cond_kwargs=added).sample
    return predicted


def _encode_ahead(run: Run) -> None:
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
