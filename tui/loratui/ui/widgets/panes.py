"""The panes beside the charts: progress, machine, checkpoints, samples."""

import math

from loratui.domain import formatting, signals
from loratui.domain.phases import PAUSES, title, took
from loratui.domain.run import RunView
from loratui.domain.run_stop import goes_to, stops_early
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, bar, spread
from loratui.ui.widgets.pane import Pane
from loratui_protocol.messages import Artifact, ArtifactKind, JobState, Metrics, Setup, Telemetry

_LORA_KINDS = (ArtifactKind.LORA, ArtifactKind.CHECKPOINT_LORA)
_TRAINING = (JobState.RUNNING, JobState.PAUSED, JobState.STOPPING)


class RunPane(Pane):
    """How far the run is, how fast, and when it ends."""

    def title(self, frame: Frame) -> list[Span]:
        """Return the name of the pane, and the age of its numbers when they are not fresh."""
        return [("run", Role.TITLE), *_age(frame)]

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return progress, speed, end and the last checkpoint, the most important first."""
        view = frame.view
        if _is_preparing(view):
            return _preparing(frame, height)
        metrics, norms = view.metrics or Metrics(step=0), view.delta_norms
        effective = next(iter(metrics.effective_lr.values()), None)
        delta = formatting.percent(norms.relative.get(signals.WHOLE) if norms else None)
        why = ", to look" if stops_early(view) else ""
        ends = f"  ends {frame.at(frame.now_s + view.eta_s):%H:%M}{why}" if view.eta_s and frame.is_current else ""
        eta = formatting.UNKNOWN if view.eta_s is None else formatting.duration(view.eta_s, exact=frame.is_current)
        return [
            _progress(frame, width),
            _fact("speed", f"{formatting.speed(view.it_s):<13} {formatting.significant(metrics.img_s, 'img/s')}"),
            _fact("eta", f"{eta}{ends}"),
            _fact("ckpt", _last_checkpoint(frame)),
            _fact("lr", f"{_rate(view.lr):<13} effective {_rate(effective)}"),
            _fact("seen", f"{signals.exposures(view.metrics):<13} delta {delta}"),
            _fact("epoch", f"{view.epoch:<13} grad {formatting.loss(view.grad_norm)}"),
        ]


class MachinePane(Pane):
    """How the machine is, as its agent measured it: what was not measured is not shown."""

    def title(self, frame: Frame) -> list[Span]:
        """Return what is shown and who measured it."""
        telemetry = frame.view.telemetry
        if telemetry is None:
            return [("machine", Role.TITLE)]
        name = "machine" if telemetry.gpu_name is None else "gpu"
        return [(name, Role.TITLE), *(_age(frame) or [(f" ({telemetry.source})", Role.DIM)])]

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - cut by the caller
        """Return the rows of a GPU, or of a machine without one."""
        telemetry = frame.view.telemetry
        if telemetry is None:
            # They are told while it runs, and stored nowhere.
            said = "its figures are not kept" if frame.view.state.is_final else "not measured yet"
            return [[(f" {said}", Role.DIM)]]
        if telemetry.gpu_name is None:
            return [
                _percent("cpu", telemetry.cpu_pct, width),
                _memory("ram", telemetry.ram_used_gib, telemetry.ram_total_gib, width),
                _fact("disk", f"{formatting.gib(telemetry.disk_free_gib)} free"),
                _fact("train", f"{formatting.gib(frame.view.ram_gib)} of RAM    no GPU"),
                _work(frame.view.metrics),
            ]
        return [
            _percent("util", telemetry.gpu_util_pct, width),
            _memory("vram", telemetry.vram_used_gib, telemetry.vram_total_gib, width),
            _fact("heat", _joined(_amount(telemetry.gpu_temp_c, "°C"), _amount(telemetry.gpu_power_w, "W"))),
            _fact("box", _box(telemetry)),
            _work(frame.view.metrics),
        ]


class DeltaPane(Pane):
    """How large the LoRA is beside the weights that it changes, block by block."""

    def title(self, frame: Frame) -> list[Span]:
        """Return what is measured, and when it was."""
        norms = frame.view.delta_norms
        when = f"  % of the weights, step {norms.step}" if norms else ""
        return [("delta norm", Role.TITLE), (when, Role.DIM)]

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - cut by the caller
        """Return a row for each kind of block."""
        norms = frame.view.delta_norms
        if norms is None:
            return [[(" not measured yet", Role.DIM)]]
        return [
            _fact(kind, "".join(f"{formatting.percent(value).removesuffix(' %'):<8}" for value in values))
            for kind, values in signals.by_kind(norms).items()
        ]


class CheckpointPane(Pane):
    """The newest checkpoints, and which of them this machine holds a file of."""

    def title(self, frame: Frame) -> list[Span]:
        """Return how many files of LoRAs are here."""
        loras = [item for item in frame.view.artifacts.values() if item.kind in _LORA_KINDS]
        here = sum(item.id in frame.view.downloaded for item in loras)
        synced = f"  ↓ {here}/{len(loras)} here" if loras else ""
        return [("checkpoints", Role.TITLE), (synced, Role.DIM)]

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return a row for each checkpoint that there is room for, the newest last."""
        newest = frame.view.checkpoints[-height:] if height > 0 else []
        if not newest:
            return [[(" none yet", Role.DIM)]]
        return [
            spread([(f" step {item.step:<7}", Role.TEXT), (formatting.size(item.size), Role.DIM)],
                   [(f"{_sync(frame, item.step)} ", Role.TEXT)], width)
            for item in newest
        ]  # fmt: skip


def _age(frame: Frame) -> list[Span]:
    """Return when what is shown was heard, where that is not just now."""
    if frame.is_current or frame.heard_at is None:
        return []
    return [(f"  as of {frame.heard_at:%H:%M:%S}", Role.WARN)]


def _fact(name: str, value: str) -> Row:
    return [(f" {name:<6}", Role.DIM), (value, Role.TEXT)]


def _rate(lr: float | None) -> str:
    return formatting.UNKNOWN if lr is None or not math.isfinite(lr) else f"{lr:.1e}"


def _work(metrics: Metrics | None) -> Row:
    seen = metrics or Metrics(step=0)
    waits = f"{formatting.percent(seen.data_wait)} data wait"
    return _fact("work", f"{formatting.significant(seen.tflop_s, 'TFLOP/s'):<13} {waits}")


def _progress(frame: Frame, width: int) -> Row:
    view = frame.view
    end = goes_to(view)
    if not end:
        return _fact("step", formatting.UNKNOWN)
    numbers = f"{view.step}/{end} "
    room = width - 7 - len(numbers) - 6
    drawn = bar(view.step / end, min(room, 24)) if room > 6 else ""
    return [*_fact("step", numbers), (drawn, Role.GOOD), (f" {formatting.share(view.step, end)}", Role.TEXT)]


def _is_preparing(view: RunView) -> bool:
    is_training = view.state in _TRAINING and not view.tries_out
    return view.setup is not None and not is_training and not view.state.is_final


def _preparing(frame: Frame, height: int) -> list[Row]:
    """Return what goes on before the steps, a row or two for each phase: how far, how long, what it cost."""
    view, rows = frame.view, list[Row]()
    now_ts = frame.now_s - view.clock_offset_s
    phases = [(name, phase) for name, phase in view.phases.items() if not phase.is_over and name not in PAUSES]
    if view.state is JobState.FINISHING or view.tries_out:
        # What led to the steps is past, whether or not each phase said so.
        phases = [max(phases, key=lambda each: each[1].last_ts)] if phases else []
    for name, phase in phases:
        setup = phase.setup
        share = formatting.share(setup.done, setup.total) if setup.total else ""
        # They go on at once, so what the time costs is told once.
        time = took(phase, 0 if rows else view.price_microusd_per_h, now_ts)
        rows.append([(f" {title(name)} ", Role.TEXT), (share, Role.GOOD), (f"  {time}", Role.DIM)])
        detail = view.supply.speed if name == "dataset" and view.supply else _detail(setup)
        if detail and len(phases) < height:
            rows.append([(f"   {detail}", Role.DIM)])
    return rows or [_fact("now", _between(view))]


def _between(view: RunView) -> str:
    """Return what stands where no phase goes on: the last one, and that it is done."""
    if view.setup is None:
        return formatting.UNKNOWN
    last = view.phases.get(view.setup.phase)
    return f"{title(view.setup.phase)}{' is done' if last is not None and last.is_over else ''}"


def _detail(setup: Setup) -> str:
    counted = f"{setup.done}/{setup.total} {setup.unit}".rstrip() if setup.total and setup.unit != "bytes" else ""
    return "  ".join(filter(None, (setup.message, counted)))


def _last_checkpoint(frame: Frame) -> str:
    if not frame.view.checkpoints:
        return "none yet"
    last = frame.view.checkpoints[-1]
    return f"{last.step} saved  {_sync(frame, last.step)}"


def _sync(frame: Frame, step: int) -> str:
    """Return whether a LoRA file of this step is on this machine."""
    files = [item for item in frame.view.artifacts.values() if item.kind in _LORA_KINDS and item.step == step]
    if not files:
        return "on the box"
    return "↓ here" if all(_is_here(frame, item) for item in files) else "↓ on its way"


def _is_here(frame: Frame, artifact: Artifact) -> bool:
    return artifact.id in frame.view.downloaded


def _percent(name: str, value: float | None, width: int) -> Row:
    if value is None:
        return _fact(name, formatting.UNKNOWN)
    return [*_fact(name, f"{value:3.0f} % "), (bar(value / 100, min(20, width - 16)), Role.GOOD)]


def _memory(name: str, used: float | None, total: float | None, width: int) -> Row:
    if used is None or not total:
        return _fact(name, formatting.gib(used))
    numbers = f"{used:.1f}/{total:.1f} GiB "
    role = Role.WARN if used / total > 0.95 else Role.GOOD
    return [*_fact(name, numbers), (bar(used / total, max(3, min(14, width - 10 - len(numbers)))), role)]


def _box(telemetry: Telemetry) -> str:
    disk = telemetry.disk_free_gib
    return _joined(
        f"cpu {_amount(telemetry.cpu_pct, '%')}",
        f"ram {_amount(telemetry.ram_used_gib, 'GiB')}",
        f"{_amount(disk, 'GiB')} free" if disk is not None else "",
    )


def _amount(value: float | None, unit: str) -> str:
    return formatting.UNKNOWN if value is None else f"{value:.0f} {unit}"


def _joined(*facts: str) -> str:
    return "  ".join(filter(None, facts))
