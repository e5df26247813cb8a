"""The training, top to bottom: encode prompts, cache latents, train, export, try out. Start reading here."""

import math
import time
from collections.abc import Callable

import torch
from torch import nn

from loratui_agent.judge.ways import judge_alone
from loratui_agent.train import brought_state, gradients, latents, lora, samples, saving, share, signals, validation
from loratui_agent.train.controls import Controls
from loratui_agent.train.finish import finish
from loratui_agent.train.fit import AgainError, step_down
from loratui_agent.train.identity import digest_of
from loratui_agent.train.job import Job, Outcome
from loratui_agent.train.memory import device_memory, is_out_of_memory, is_out_of_vram
from loratui_agent.train.probe import fit_to_device
from loratui_agent.train.ranks import Follower, Order, lead
from loratui_agent.train.reporter import Reporter, Unheard
from loratui_agent.train.run import Run, add_optimizer, resident_gib, set_up
from loratui_agent.train.text import num_cut_captions
from loratui_agent.train.threads import set_num_threads
from loratui_agent.train.watch import StepFacts, Watch
from loratui_protocol import messages
from loratui_protocol.captions import Captions
from loratui_protocol.config_checks import MAX_TOKEN_LENGTHS
from loratui_protocol.errors import JobError
from loratui_protocol.messages import JobState
from loratui_protocol.subsets import subsets_of

MAX_SKIPPED_IN_A_ROW = 10
_RAM_EVERY_S = 1.0


def train(job: Job, reporter: Reporter, controls: Controls) -> Outcome:
    """Run the job to its end, or until it is stopped, from wherever an earlier attempt got to.

    Raises:
        LoratuiError: the run failed; checkpoints and files saved before are intact.
    """
    if job.config.evaluate_loras:
        return judge_alone(job, reporter, controls)
    brought_state.take_in(job)
    run = set_up(job, reporter, lead(job, reporter))
    return _or_step_down(run, lambda: _lead(run, controls))


def follow(job: Job, ranks: Follower) -> Outcome:
    """Take part in a training that another process leads.

    Raises:
        LoratuiError: as ``train``.
    """
    run = set_up(job, Unheard(), ranks)
    return _or_step_down(run, lambda: _follow(run, ranks))


def _or_step_down(run: Run, work: Callable[[], Outcome]) -> Outcome:
    """Do the work, or where it takes too much memory leave it to another attempt that has given something up."""
    try:
        return work()
    except AgainError as reason:
        return Outcome("again", "oom_vram", str(reason))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        given_up = step_down(run.job, run.config, run.fit, run.reserves)
        if not given_up:
            raise
        code = "oom_vram" if is_out_of_vram(error) else "oom_ram"
        return Outcome("again", code, f"out of memory after step {run.step}. From now on {given_up}")


def _lead(run: Run, controls: Controls) -> Outcome:
    get_ready(run)
    saving.check_disk(run)
    run.reporter.emit(messages.State(state=JobState.RUNNING, detail=f"from step {run.step} of {run.plan.steps}"))
    if run.config.sample_at_first and run.step == 0:
        samples.make_samples(run, controls)
    train_steps(run, controls)
    run.ranks.leave()
    return finish(run, controls)


def _follow(run: Run, ranks: Follower) -> Outcome:
    get_ready(run)
    for order in ranks.orders():
        if order is Order.STEP:
            take_step(run)
        else:
            validation.look(run)
    ranks.leave()
    return Outcome("done")


def get_ready(run: Run) -> None:
    """Get the run to its next step, as it fits the device; each of several processes has all of it."""
    encode_prompts(run)
    cache_latents(run)
    add_optimizer(run)
    state = saving.load_state(run)
    saved = state.num_cpu_threads if state else None
    set_num_threads(run, saved=saved, train_once=lambda: gradients.of_batch(run, run.schedule.batch(1, 0)))
    if state:
        saving.restore(run, state)
        if not run.fit.learns_text:
            encode_prompts(run)  # again: with what the text encoders had learned
    if run.ranks.count > 1:
        share.check_equal(run.accelerator, digest_of(run.identity, run.step, run.parameters))
    fit_to_device(run)


def encode_prompts(run: Run) -> None:
    """Encode all captions once and free the text encoders, unless one learns or captions change every step."""
    config, models = run.config, run.models
    for text_encoder in models.text_encoders.values():
        text_encoder.to(run.accelerator.device)
    captions = [Captions(subset.config) for subset in subsets_of(config)]
    texts = [captions[picture.subset].whole(picture.caption) for picture in run.dataset.pictures]
    # Where there are two, both cut alike.
    tokenizer = models.tokenizers["tokenizer"]
    limit = config.max_token_length or tokenizer.model_max_length - 2
    num_cut = num_cut_captions(tokenizer, texts, limit)
    if num_cut:
        more = " or ".join(str(length) for length in MAX_TOKEN_LENGTHS if length > limit)
        cure = f"; max_token_length = {more} reads more" if more else ""
        what = f"{num_cut} of {len(texts)} captions have more than {limit} tokens: the rest is not read{cure}"
        run.reporter.emit(messages.Warn(code="captions.cut", message=what))
    run.say("encode_prompts", message="encoding captions")
    sampled = [text for prompt in run.plan.samples.prompts for text in (prompt.text, prompt.negative)]
    run.prompts.prepare([*texts, "", *sampled])
    if run.learns_text or run.reserves.captions_vary:
        return
    for name, text_encoder in list(models.text_encoders.items()):
        if name in run.learning_rates:
            text_encoder.to("cpu")  # its LoRA is part of the file
        else:
            del models.text_encoders[name]


def cache_latents(run: Run) -> None:
    """Encode all pictures once; the VAE is kept for samples, which a person may ask for at any time."""
    vae = run.models.vae
    assert vae is not None
    pictures = run.dataset.pictures
    vae.to(run.accelerator.device)
    run.latents = latents.cache_latents(
        vae,
        pictures,
        run.plan.placements,
        subsets_of(run.config),
        on_progress=lambda done: run.say("cache_latents", done, len(pictures), "pictures"),
    )
    mib = run.latents.num_bytes / 2**20
    run.say("cache_latents", len(pictures), len(pictures), "pictures", f"cached in {mib:.0f} MiB of RAM")
    vae.to("cpu")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def train_steps(run: Run, controls: Controls) -> None:
    """Take optimizer steps until the last one or until someone stops the run."""
    if run.step == 0:
        _look_if_due(run)
    ram_gib, ram_read_s = resident_gib(), time.monotonic()
    memory = device_memory(run.accelerator.device)
    watch = Watch(
        num_steps=run.plan.stop_step,
        measured_picture_s=run.measured_picture_s,
        total_bytes=memory.total_bytes if memory else None,
        microusd_per_h=run.job.price_microusd_per_h,
    )
    while run.step < run.plan.stop_step and not controls.stopping:
        controls.wait_while_paused(
            lambda state: run.reporter.emit(messages.State(state=state)),
            lambda: saving.meet_requests(run, controls),
        )
        if controls.stopping:
            return
        lr, rates = float(run.lr_scheduler.get_last_lr()[0]), signals.learning_rates(run)
        with run.pace.step(sum(run.schedule.batch_sizes(run.step + 1))):
            loss, grad_norm = take_step(run)
        now_s = time.monotonic()
        _watch_pace(run, watch)
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
                eta_s=(run.plan.stop_step - run.step) * step_s,
                vram_gib=vram_gib,
                ram_gib=ram_gib,
                grad_norm=grad_norm,
                stop=run.plan.stop_step if run.plan.stop_step < run.plan.steps else None,
            )
        )
        signals.tell_metrics(run, rates)
        _look_if_due(run)
        signals.tell_norms_if_due(run)
        saving.save_what_is_due(run, controls)
        controls.answer()


def _watch_pace(run: Run, watch: Watch) -> None:
    """Say what makes the run slower than it could be."""
    timed = run.pace.last
    facts = StepFacts(
        step=run.step,
        duration_s=timed.seconds,
        num_pictures=timed.num_shared,
        # On a CPU what draws the data is what trains: it waits for nobody.
        waited_s=timed.wait_s if run.accelerator.device.type != "cpu" else None,
        reserved_bytes=torch.cuda.max_memory_reserved() if torch.cuda.is_available() else None,
    )
    for code, sentence in watch.take(facts):
        run.reporter.emit(messages.Warn(code=code, message=sentence))


def _look_if_due(run: Run) -> None:
    """Look at the pictures that are held out, where the plan says so."""
    if run.step in run.plan.validation_steps:
        run.ranks.tell(Order.LOOK)
        run.last_look = validation.look(run)
        run.reporter.emit(run.last_look)


def take_step(run: Run) -> tuple[float, float]:
    """Take one optimizer step and return (loss, gradient norm).

    A step with a non-finite gradient changes no weight and is counted.

    Raises:
        JobError: too many such steps in a row (code ``nan_loss``); the last good state is on disk.
    """
    step = run.step + 1
    run.ranks.tell(Order.STEP)
    whole_loss = share.add_up(run.accelerator, _parameters(run), gradients.of_step(run, step))
    grad_norm = _clip(run)
    loss = whole_loss.item()  # waits for the GPU: the guard below must know
    if math.isfinite(grad_norm) and math.isfinite(loss):
        run.optimizer.step()
        run.num_skipped = 0
        if run.config.scale_weight_norms is not None:
            for part in run.learning.values():
                lora.scale_norms(part, run.config.scale_weight_norms)
    else:
        _skip(run, loss)
    run.optimizer.zero_grad()
    run.lr_scheduler.step()
    run.step += 1
    return loss, grad_norm


def _clip(run: Run) -> float:
    """Clip the gradients and return their norm before that."""
    max_norm = run.config.max_grad_norm or math.inf
    norm = run.accelerator.clip_grad_norm_(_parameters(run), max_norm)
    return float(norm)


def _parameters(run: Run) -> list[nn.Parameter]:
    return [p for group in run.optimizer.param_groups for p in group["params"]]


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
