"""Looks at pictures that are not trained on, and at as many that are: the same noise and timesteps every time.

With nothing drawn anew two looks differ by what was learned between them, and by nothing else.
"""

# B batch, C latent channels, H W latent height and width

from collections.abc import Sequence

import torch
from torch import Tensor

from loratui_agent.train import noise, share
from loratui_agent.train.gradients import predict
from loratui_agent.train.run import Run
from loratui_protocol import messages
from loratui_protocol.captions import Captions
from loratui_protocol.held_out import TIMESTEPS_PER_PICTURE
from loratui_protocol.schedule import Exposure
from loratui_protocol.subsets import subsets_of


@torch.no_grad()
def look(run: Run) -> messages.Validation:
    """Return the mean squared errors of both kinds of pictures at this step; no weight is changed, nothing is drawn."""
    parts = [run.models.unet, *run.learning.values()]
    for part in parts:
        part.eval()
    try:
        held, trained = (_error(run, indices) for indices in (run.plan.held_out.indices, run.plan.held_out.compared))
    finally:
        for part in parts:
            part.train()
    return messages.Validation(
        step=run.step, loss=held, train_loss=trained, num_pictures=len(run.plan.held_out.indices)
    )


def _error(run: Run, indices: Sequence[int]) -> float:
    """Return the mean over pictures and timesteps; one picture at a time, since they have their own sizes.

    Several processes share the pictures.
    """
    captions = [Captions(subset.config) for subset in subsets_of(run.config)]
    total = torch.zeros((), device=run.accelerator.device)
    for index in indices[run.ranks.index :: run.ranks.count]:
        picture = run.dataset.pictures[index]
        caption = captions[picture.subset].whole(picture.caption)
        mean_CHW = run.latents.plain[index].mean.to(run.accelerator.device) * run.models.vae_scaling_factor
        latents_BCHW = mean_CHW.expand(TIMESTEPS_PER_PICTURE, *mean_CHW.shape)
        noise_BCHW, timesteps_B = _fixed(run, index, latents_BCHW.shape)
        scheduler = run.models.noise_scheduler
        noisy_BCHW = scheduler.add_noise(latents_BCHW, noise_BCHW, timesteps_B)
        shown = Exposure(picture_index=index, caption=caption, flipped=False)
        predicted_BCHW = predict(run, [shown] * TIMESTEPS_PER_PICTURE, noisy_BCHW, timesteps_B)
        target_BCHW = run.objective.target(scheduler, latents_BCHW, noise_BCHW, timesteps_B)
        total += (predicted_BCHW.float() - target_BCHW.float()).square().mean()
    return float(share.total(run.accelerator, total)) / len(indices)


def _fixed(run: Run, index: int, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return noise that belongs to the picture, and timesteps in the middle of equal parts of all of them."""
    device = run.accelerator.device
    generator = torch.Generator().manual_seed(noise.step_seed(0, index, 0))
    part = run.models.noise_scheduler.config.num_train_timesteps // TIMESTEPS_PER_PICTURE
    timesteps = [part // 2 + part * number for number in range(TIMESTEPS_PER_PICTURE)]
    return torch.randn(tuple(shape), generator=generator).to(device), torch.tensor(timesteps, device=device)
