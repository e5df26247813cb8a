"""Finds out before the first step how the training fits its device, by steps that change nothing."""

import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from loratui_agent.train import gradients
from loratui_agent.train.attention import SLOW, attention_kernel
from loratui_agent.train.fit import AgainError, keep_fit
from loratui_agent.train.memory import DeviceMemory, device_memory, is_out_of_memory
from loratui_agent.train.run import DTYPES, Run, use_fit
from loratui_protocol import messages
from loratui_protocol.errors import JobError
from loratui_protocol.memory_ladder import Fit
from loratui_protocol.optimizers import STATE_BYTES
from loratui_protocol.schedule import Exposure

_WORTH_SAYING = 0.95
"""An offer must be faster by this factor."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a micro-batch took."""

    peak_bytes: int
    duration_s: float
    num_pictures: int

    @property
    def picture_s(self) -> float:
        """Return the seconds a picture."""
        return self.duration_s / self.num_pictures


def fit_to_device(run: Run, memory: DeviceMemory | None = None) -> None:
    """Try the largest micro-batch, and where it does not fit the fastest way that does and learns the same.

    Raises:
        JobError: nothing fits (code ``plan.does_not_fit``).
        AgainError: it must be tried in another way, from the start.
    """
    memory = memory or device_memory(run.accelerator.device)
    if memory is None:
        return
    run.say("fit", message="trying how the largest micro-batch fits")
    exposures = run.schedule.largest_batch()
    # Several processes share it, and the other micro-batches of its step.
    most = len(exposures) * run.config.gradient_accumulation_steps
    exposures = exposures[: -(-most // run.ranks.count)]
    wanted = run.fit
    prober = _Prober(run, memory)
    probe = prober.probe(wanted, exposures)
    if probe is None:
        probe = _fastest_that_fits(run, prober, exposures)
        run.reporter.emit(
            messages.Warn(
                code="fit.changed", message=f"the GPU is too small for the config as it is: {_told(run, wanted)}"
            )
        )
    run.measured_picture_s = probe.picture_s
    pictures = "picture" if probe.num_pictures == 1 else "pictures"
    width, height = run.plan.placements[exposures[0].picture_index].bucket
    run.say(
        "fit",
        message=f"{probe.num_pictures} {pictures} of {width}x{height}: {_size(probe.peak_bytes)} of "
        f"{_size(memory.total_bytes)}, {probe.duration_s:.2f} s",
    )
    _tell_kernel(run)
    chosen = run.fit
    if chosen == wanted:
        for offer in _offers(run, prober, exposures, probe):
            run.say("fit", message=offer)
    use_fit(run, chosen)
    keep_fit(run.job, chosen)
    memory.begin(margin=False)


def _tell_kernel(run: Run) -> None:
    device, dtype = run.accelerator.device, DTYPES[run.precision]
    kernel = attention_kernel(run.models.unet, device, dtype)
    run.say("fit", message=f"attention: {kernel.lower().replace('_', ' ')}")
    if kernel == SLOW:
        what = (
            "attention runs on torch's plain kernel, whose memory grows with the square of the pixels: this GPU or "
            f"this torch has no better one for {run.precision}. Set mixed_precision to fp16 or bf16, or use another GPU"
        )
        run.reporter.emit(messages.Warn(code="pace.attention", message=what))


def _fastest_that_fits(run: Run, prober: "_Prober", exposures: Sequence[Exposure]) -> Probe:
    """Choose the fit that is fastest of those that learn the same, and return what it takes.

    Raises:
        AgainError: only an optimizer of 8 bits is left to try, which is there from the start or not at all.
        JobError: nothing fits.
    """
    first, reserves = run.fit, run.reserves
    bases = [first]
    if reserves.has_text_on_device(first):
        bases.append(replace(first, text_aside=True))
    for base in bases:
        starts = {base, replace(base, checkpointing=True)}
        found = [fitting for start in starts for fitting in _first_that_fits(prober, start, exposures)]
        if found:
            fit, probe = min(found, key=lambda each: each[1].picture_s)
            use_fit(run, fit)
            return probe
    if reserves.optimizer_8bit and not first.is_8bit:
        keep_fit(run.job, replace(first, is_8bit=True))
        raise AgainError("the GPU is too small for the optimizer as it is: trying one of 8 bits")
    raise JobError(
        f"the training does not fit this GPU: one picture at a time and with everything saved that can be, it takes "
        f"more than the {_size(prober.memory.total_bytes)} there are. No step was taken.",
        fix="set network_train_unet_only, a smaller network_dim or resolution, or take a larger GPU",
        code="plan.does_not_fit",
    )


def _first_that_fits(prober: "_Prober", fit: Fit, exposures: Sequence[Exposure]) -> Iterator[tuple[Fit, Probe]]:
    """Yield the first that fits, with fewer and fewer pictures at once; nothing if none does."""
    while True:
        probe = prober.probe(fit, exposures)
        if probe is not None:
            yield fit, probe
            return
        if fit.pictures_at_once == 1:
            return
        fit = replace(fit, pictures_at_once=-(-fit.pictures_at_once // 2))


def _offers(run: Run, prober: "_Prober", exposures: Sequence[Exposure], probe: Probe) -> Iterator[str]:
    """Yield what would be faster, as measured, and is the user's to decide."""
    fit = run.fit
    if fit.checkpointing:
        without = prober.probe(replace(fit, checkpointing=False), exposures)
        if without is not None and without.picture_s < probe.picture_s * _WORTH_SAYING:
            yield f"without gradient_checkpointing it would fit, too: {_compared(without, probe)}"
    twice = [*exposures, *exposures]
    larger = prober.probe(replace(fit, pictures_at_once=len(twice)), twice)
    if larger is not None and larger.picture_s < probe.picture_s * _WORTH_SAYING:
        accumulated = run.config.gradient_accumulation_steps
        same = f" with gradient_accumulation_steps = {accumulated // 2}, the same effective batch" * (
            accumulated % 2 == 0
        )
        # A process probes its share of a micro-batch.
        size = len(twice) * run.ranks.count
        yield f"there is room for train_batch_size = {size}{same}: {_compared(larger, probe)}"


@dataclass(slots=True)
class _Prober:
    """Computes gradients that nobody uses."""

    run: Run
    memory: DeviceMemory

    def probe(self, fit: Fit, exposures: Sequence[Exposure]) -> Probe | None:
        """Return what the micro-batch takes; None: it does not fit."""
        use_fit(self.run, fit)
        self.memory.begin(margin=True)
        try:
            # The optimizer's averages come with the first step, and stay.
            with self.memory.held(_state_bytes(self.run)):
                gradients.of_batch(self.run, exposures)  # the first time is slower
                self.memory.synchronize()
                started_s = time.perf_counter()
                gradients.of_batch(self.run, exposures)
                self.memory.synchronize()
                return Probe(self.memory.peak_bytes(), time.perf_counter() - started_s, len(exposures))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        finally:
            self.run.optimizer.zero_grad()
        # Not before the error is gone: its traceback holds what did not fit.
        gc.collect()
        self.memory.release()
        return None


def _state_bytes(run: Run) -> int:
    if run.step:
        return 0  # they are there
    return int(sum(parameter.numel() for parameter in run.parameters) * STATE_BYTES[run.config.optimizer_type])


def _told(run: Run, wanted: Fit) -> str:
    """Return what was chosen instead of what was wanted."""
    fit = run.fit
    changes = []
    if fit.pictures_at_once < wanted.pictures_at_once:
        changes.append(f"{fit.pictures_at_once} at a time of {wanted.pictures_at_once} pictures")
    if fit.checkpointing and not wanted.checkpointing:
        changes.append("gradient checkpointing")
    if fit.text_aside:
        changes.append("text encoders in RAM")
    if fit.is_8bit:
        changes.append(run.config.optimizer_type)
    return f"{', '.join(changes)}. The effective batch stays {run.plan.effective_batch}, and so does the result"


def _compared(faster: Probe, slower: Probe) -> str:
    return f"{faster.picture_s:.3f} s a picture instead of {slower.picture_s:.3f} s, {_size(faster.peak_bytes)}"


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:.0f} MiB"
