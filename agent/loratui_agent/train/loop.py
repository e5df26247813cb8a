"""The training, top to bottom: encode prompts, cache latents, train, export, try out. Start reading here."""

# B batch, C latent channels, H W latent height and width

import contextlib
import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from loratui_agent.train import brought_state, latents, lora, noise, saving, signals, validation
from loratui_agent.train.conditioning import time_ids
from loratui_agent.train.controls import Controls
from loratui_agent.train.finish import finish
from loratui_agent.train.job import Job, Outcome
from loratui_agent.train.reporter import Reporter
from loratui_agent.train.run import Run, add_optimizer, resident_gib, set_up
from loratui_agent.train.text import num_cut_captions
from loratui_agent.train.threads import set_num_threads
from loratui_protocol import messages
from loratui_protocol.captions import Captions
from loratui_protocol.errors import JobError
from loratui_protocol.messages import JobState
from loratui_protocol.schedule import Exposure

MAX_SKIPPED_IN_A_ROW = 10
_RAM_EVERY_S = 1.0


def train(job: Job, reporter: Reporter, controls: Controls) -> Outcome:
    """Run the job to its end, or until it is stopped, from wherever an earlier attempt got to.

    Raises:
        LoratuiError: the run failed; checkpoints and files saved before are intact.
    """
    brought_state.take_in(job)
    run = set_up(job, reporter)
    encode_prompts(run)
    cache_latents(run)
    add_optimizer(run)
    state = saving.load_state(run)
    set_num_threads(run, saved=state.num_cpu_threads if state else None, train_once=lambda: _gradients(run, 1, 0, 1.0))
    if state:
        saving.restore(run, state)
    saving.check_disk(run)
    reporter.emit(messages.State(state=JobState.RUNNING, detail=f"from step {run.step} of {run.plan.steps}"))
    if run.config.sample_at_first and run.step == 0:
        saving.make_samples(run, controls)
    train_steps(run, controls)
    return finish(run, controls)


def encode_prompts(run: Run) -> None:
    """Encode all captions once and free the text encoders, unless one learns or captions change every step."""
    config, models = run.config, run.models
    for text_encoder in models.text_encoders.values():
        text_encoder.to(run.accelerator.device)
    captions = Captions(config)
    texts = [captions.whole(picture.caption) for picture in run.dataset.pictures]
    # Where there are two, both cut alike.
    tokenizer = models.tokenizers["tokenizer"]
    num_cut = num_cut_captions(tokenizer, texts)
    if num_cut:
        limit = tokenizer.model_max_length - 2
        run.reporter.emit(
            messages.Warn(
                code="captions.cut", message=f"{num_cut} captions are longer than {limit} tokens: the rest is not read"
            )
        )
    run.say("encode_prompts", message="encoding captions")
    run.prompts.prepare([*texts, "", *config.sample_prompts])
    if not run.trains_text and not captions.vary:
        models.text_encoders.clear()


def cache_latents(run: Run) -> None:
    """Encode all pictures once; the VAE is kept only for samples."""
    vae = run.models.vae
    assert vae is not None
    pictures = run.dataset.pictures
    vae.to(run.accelerator.device)
    run.latents = latents.cache_latents(
        vae,
        pictures,
        run.plan.placements,
        mirrored=run.config.flip_aug,
        masked=run.config.masked_loss or run.config.alpha_mask,
        alpha=run.config.alpha_mask,
        on_progress=lambda done: run.say("cache_latents", done, len(pictures), "pictures"),
    )
    if run.config.sample_prompts:
        vae.to("cpu")
    else:
        run.models.vae = None
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def train_steps(run: Run, controls: Controls) -> None:
    """Take optimizer steps until the last one or until someone stops the run."""
    if run.step == 0:
        _look_if_due(run)
    ram_gib, ram_read_s = resident_gib(), time.monotonic()
    while run.step < run.plan.steps and not controls.stopping:
        controls.wait_while_paused(
            lambda state: run.reporter.emit(messages.State(state=state)),
            lambda: saving.meet_requests(run, controls),
        )
        if controls.stopping:
            return
        lr, rates = float(run.lr_scheduler.get_last_lr()[0]), signals.learning_rates(run)
        with run.pace.step():
            loss, grad_norm = take_step(run)
        now_s = time.monotonic()
        if now_s - ram_read_s > _RAM_EVERY_S:
            ram_gib, ram_read_s = resident_gib(), now_s
        step_s = run.pace.step_s
        vram_gib = None
        if torch.cuda.is_available():
            vram_gib = torch.cuda.max_memory_reserved() / 2**30
            torch.cuda.reset_peak_memory_stats()
        run.reporter.emit(
            messages.Step(
                step=run.step,
                total=run.plan.steps,
                epoch=run.plan.epoch_of(run.step),
                loss=loss,
                lr=lr,
                it_s=1 / step_s,
                eta_s=(run.plan.steps - run.step) * step_s,
                vram_gib=vram_gib,
                ram_gib=ram_gib,
                grad_norm=grad_norm,
            )
        )
        signals.tell_metrics(run, rates)
        _look_if_due(run)
        signals.tell_norms_if_due(run)
        saving.save_what_is_due(run, controls)
        controls.answer()


def _look_if_due(run: Run) -> None:
    """Look at the pictures that are held out, where the plan says so."""
    if run.step in run.plan.validation_steps:
        run.reporter.emit(validation.look(run, predict))


def take_step(run: Run) -> tuple[float, float]:
    """Take one optimizer step and return (loss, gradient norm).

    A step with a non-finite gradient changes no weight and is counted.

    Raises:
        JobError: too many such steps in a row (code ``nan_loss``); the last good state is on disk.
    """
    losses = []
    num_micro = run.schedule.num_micro(run.step + 1)
    for micro in range(num_micro):
        last = micro == num_micro - 1
        # Several GPUs exchange gradients once a step, with the last micro-batch.
        with contextlib.nullcontext() if last else run.accelerator.no_sync(run.models.unet):
            losses.append(_gradients(run, run.step + 1, micro, 1 / num_micro))
    grad_norm = _clip(run)
    loss = torch.stack(losses).sum().item()  # waits for the GPU: the guard below must know
    if math.isfinite(grad_norm) and math.isfinite(loss):
        run.optimizer.step()
        run.num_skipped = 0
        if run.config.scale_weight_norms is not None:
            for part in run.trained.values():
                lora.scale_norms(part, run.config.scale_weight_norms)
    else:
        _skip(run, loss)
    run.optimizer.zero_grad()
    run.lr_scheduler.step()
    run.step += 1
    return loss, grad_norm


def _gradients(run: Run, step: int, micro: int, share: float) -> Tensor:
    """Add the gradients of a micro-batch, which is ``share`` of its step, and return its share of the loss."""
    config, models, device = run.config, run.models, run.accelerator.device
    run.pace.draw()
    exposures = run.schedule.batch(step, micro)
    indices = [exposure.picture_index for exposure in exposures]
    seed = noise.step_seed(run.seed, step, micro)
    torch.manual_seed(seed)  # dropout draws from the global generator
    shape = (len(indices), *run.latents.plain[indices[0]].mean.shape)
    num_timesteps = models.noise_scheduler.config.num_train_timesteps
    drawn = noise.draw_noise(shape, config, num_timesteps, seed)
    latents_BCHW = run.latents.sample(indices, [e.flipped for e in exposures], drawn.posterior_BCHW)
    latents_BCHW = latents_BCHW * models.vae_scaling_factor
    noise_BCHW, timesteps_B = drawn.noise_BCHW.to(device), drawn.timesteps_B.to(device)
    noisy_BCHW = models.noise_scheduler.add_noise(latents_BCHW, drawn.added_BCHW.to(device), timesteps_B)
    with run.pace.forward(noisy_BCHW):
        predicted_BCHW = predict(run, exposures, noisy_BCHW, timesteps_B)
    target_BCHW = run.objective.target(models.noise_scheduler, latents_BCHW, noise_BCHW, timesteps_B)
    mask_B1HW = run.latents.mask(indices, [e.flipped for e in exposures])
    loss_B = run.objective.losses(predicted_BCHW, target_BCHW, drawn.timesteps_B, mask_B1HW)
    prior_B = [config.prior_loss_weight if run.dataset.pictures[i].is_reg else 1.0 for i in indices]
    loss = (loss_B * torch.tensor(prior_B, device=device)).mean() * share
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


def _clip(run: Run) -> float:
    """Clip the gradients and return their norm before that."""
    max_norm = run.config.max_grad_norm or math.inf
    parameters = [p for group in run.optimizer.param_groups for p in group["params"]]
    norm = run.accelerator.clip_grad_norm_(parameters, max_norm)
    return float(norm)


def _skip(run: Run, loss: float) -> None:
    """Count a step without a usable gradient; give up after too many in a row."""
    run.num_skipped += 1
    scaler = run.accelerator.scaler
    if scaler is not None:
        # fp16: the scale was too high, which is normal at the start; the scaler lowers it.
        run.optimizer.step()
    if run.num_skipped >= MAX_SKIPPED_IN_A_ROW:
        raise JobError(
            f"training diverged: no usable gradient for {run.num_skipped} steps up to step {run.step} (loss {loss}). "
            "The state and files saved before are good.",
            fix="lower the learning rate, or use mixed_precision bf16 or no; then start again",
            code="nan_loss",
        )
    run.reporter.emit(
        messages.Warn(code="step.skipped", message=f"step {run.step + 1} had no finite gradient (loss {loss}); skipped")
    )
