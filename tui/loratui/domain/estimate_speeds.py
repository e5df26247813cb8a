"""How fast a GPU trains: as earlier runs of ours measured it, else by figures that others published. Pure.

Speeds are units a second: pictures through a training step, each kind of base model in its own (``base_kinds``).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from loratui.domain.base_kinds import SDXL, BaseKind
from loratui.domain.seen_before import slow_of, told_by

_LEAST_SDXL_RATIO = 4.0
"""A picture of SDXL at 1024 has four times the pixels of one of SD 1.x at 512, through a larger network."""
_LIKELY_SDXL_RATIO = 7.3
"""On an RTX 3090: 5.9 pictures of SD 1.x a second (kohya_ss #1291) against 0.81 of SDXL (kohya_ss #1288)."""
_MOST_SDXL_RATIO = 8.4
"""In operations: 6.76 TFLOP forward against 0.80, counted."""
_OTHER_TRAINER = 1.5
"""A published figure is another trainer's, on another machine: it may be so much too fast for us."""
_OTHER_SDXL_TRAINER = 2.0
"""Of SDXL those of one GPU differ by more: an RTX 4090 has 1.08 to 2.7 pictures a second."""
_SCALED = 2.0
"""So much too fast may a figure be that was carried over from another GPU."""
_MOST_SCALED = 3.0
"""No further than this is a figure carried: what a provider says of memory may be anything."""
_SAME_GPU_ELSEWHERE = 0.25
"""By how much a speed that was measured once may be too good on another host."""
_OTHER_SHAPE = 2.0
"""How much slower it may turn out with steps of another size."""
_SAME_SHAPE = 1.5
_FEW_STEPS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A published speed. ``images_per_s``: of SDXL at 1024, or of SD 1.x at 512 where ``is_sd1``."""

    gpu: str
    images_per_s: float
    is_sd1: bool = False
    source: str

    def likely(self, kind: BaseKind) -> float:
        """Return units a second of that kind."""
        return self.images_per_s * self._ratio(kind, _LIKELY_SDXL_RATIO, _LIKELY_SDXL_RATIO)

    def slow(self, kind: BaseKind) -> float:
        """Return units a second of that kind if it goes badly."""
        return self.images_per_s * self._ratio(
            kind,
            _LEAST_SDXL_RATIO,
            _MOST_SDXL_RATIO * _OTHER_TRAINER,
            1 / (_OTHER_TRAINER if self.is_sd1 else _OTHER_SDXL_TRAINER),
        )

    def said(self, kind: BaseKind) -> str:
        """Return where it is from, and what was made of it."""
        if self._is_of(kind):
            return f"table: {self.source}"
        return f"table: {self.source}; " + (
            "of SD 1.x, brought to SDXL" if self.is_sd1 else "of SDXL, brought to SD 1.x"
        )

    def _is_of(self, kind: BaseKind) -> bool:
        return self.is_sd1 != (kind is SDXL)

    def _ratio(self, kind: BaseKind, to_sd1: float, to_sdxl: float, to_same: float = 1.0) -> float:
        if self._is_of(kind):
            return to_same
        return 1 / to_sdxl if self.is_sd1 else to_sd1


FIGURES = (
    Figure(
        gpu="RTX 2080 Ti",
        images_per_s=3.3,
        is_sd1=True,
        source="diffusers documentation, training/lora: 15,000 steps of 4 in about 5 h",
    ),
    Figure(gpu="RTX 3060", images_per_s=0.42, source="kohya_ss #1288: 2.4 s a step, batch 1"),
    Figure(gpu="RTX 3090", images_per_s=0.81, source="kohya_ss #1288: 1.23 s a step, batch 1"),
    Figure(gpu="RTX 3090 Ti", images_per_s=0.89, source="sd-scripts #827: 1.12 s a step, batch 1"),
    Figure(gpu="RTX 4090", images_per_s=1.2, source="sd-scripts PR #1061: 1.2 steps a second, batch 1, Linux"),
    Figure(
        gpu="RTX 5090",
        images_per_s=1.7,
        source="kohya_ss #3332: 3.45 s a step of 2 x 4, brought to batch 1 as an RTX 4090 has it (kohya_ss #1475)",
    ),
)
"""All that were found with a source that can be looked up, for GPUs that are rented. Others have none: they are scaled,
or unknown. Figures of one kind of model stand for the other through the ratios above."""
COMPARED_WITH = "RTX 3090"
"""The GPU with a figure that others are compared with by their memory. Later ones do more with theirs, so what is said
of them is rather too little; and it is to be had nearly always."""
_COMPARED = next(figure for figure in FIGURES if figure.gpu == COMPARED_WITH)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSpeed:
    """What a run of ours did on a GPU. ``units_per_step`` tells how large its steps were."""

    gpu: str
    kind: BaseKind
    units_per_s: float
    units_per_step: float
    run: str
    before: tuple[float, ...] = ()
    """Units a second of earlier runs with steps of this size, the newest first."""

    @property
    def slow_units_per_s(self) -> float:
        """Return the speed that nine of ten such runs are to stay above."""
        return 1 / slow_of([1 / each for each in (self.units_per_s, *self.before)], _SAME_GPU_ELSEWHERE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Units a second, as they are likely and as they are if it goes badly, and where that comes from."""

    likely: float
    slow: float
    source: str
    is_known: bool = True
    is_measured: bool = False


def gpu_key(name: str) -> str:
    """Return a GPU's name as it can be compared: providers, drivers and people write the maker and spaces or don't."""
    return re.sub(r"nvidia|geforce|[^a-z0-9]", "", name.casefold())


def measured_speed(
    *, gpu: str, kind: BaseKind, run: str, it_s: Sequence[float], units_per_step: float
) -> MeasuredSpeed | None:
    """Return the speed of a run from the steps a second that it said; None where these are too few to mean anything."""
    seen = [each for each in it_s if 0 < each < float("inf")]
    if len(seen) < _FEW_STEPS or not gpu_key(gpu):
        return None
    speed = median(seen) * units_per_step
    return MeasuredSpeed(gpu=gpu, kind=kind, units_per_s=speed, units_per_step=units_per_step, run=run)


def speed_of(
    gpu: str,
    kind: BaseKind,
    units_per_step: float,
    measured: Sequence[MeasuredSpeed] = (),
    memory_gb_per_s: Mapping[str, float] | None = None,
) -> Speed:
    """Return how fast a GPU trains such a base model with steps of that size.

    ``memory_gb_per_s`` is how fast the memory of GPUs is, by ``gpu_key``, as providers say it: a GPU without a figure
    is taken to be as much faster than ``COMPARED_WITH``, or slower, as its memory is.
    """
    key = gpu_key(gpu)
    ours = [each for each in measured if gpu_key(each.gpu) == key and each.kind is kind and each.units_per_s > 0]
    if ours:
        return _from_run(min(ours, key=lambda each: _apart(each.units_per_step, units_per_step)), units_per_step)
    for figure in FIGURES:
        if gpu_key(figure.gpu) == key:
            return Speed(likely=figure.likely(kind), slow=figure.slow(kind), source=figure.said(kind))
    slowest = min(FIGURES, key=lambda figure: figure.likely(kind))
    return _scaled(key, kind, memory_gb_per_s or {}) or Speed(
        likely=slowest.likely(kind),
        slow=slowest.slow(kind) / _SCALED,
        source=f"assumed: there is no figure for {gpu}, so that of the slowest GPU in the table ({slowest.gpu})",
        is_known=False,
    )


def lacks_comparison(memory_gb_per_s: Mapping[str, float]) -> bool:
    """Return whether there are GPUs without a figure, and it is not known what to compare their memory with."""
    with_figure = {gpu_key(figure.gpu) for figure in FIGURES}
    return gpu_key(COMPARED_WITH) not in memory_gb_per_s and bool(memory_gb_per_s.keys() - with_figure)


def _from_run(run: MeasuredSpeed, units_per_step: float) -> Speed:
    is_alike = _apart(run.units_per_step, units_per_step) <= _SAME_SHAPE
    return Speed(
        likely=run.units_per_s,
        slow=min(run.units_per_s, run.slow_units_per_s) if is_alike else run.units_per_s / _OTHER_SHAPE,
        source=told_by(run.run, 1 + len(run.before)) + ("" if is_alike else ", with steps of another size"),
        is_measured=True,
    )


def _scaled(key: str, kind: BaseKind, memory_gb_per_s: Mapping[str, float]) -> Speed | None:
    ours, theirs = memory_gb_per_s.get(key, 0.0), memory_gb_per_s.get(gpu_key(COMPARED_WITH), 0.0)
    if ours <= 0 or theirs <= 0:
        return None
    ratio = min(_MOST_SCALED, max(1 / _MOST_SCALED, ours / theirs))
    return Speed(
        likely=_COMPARED.likely(kind) * ratio,
        slow=_COMPARED.slow(kind) * ratio / _SCALED,
        source=f"scaled by the speed of its memory ({ours:.0f} GB/s) from {COMPARED_WITH} ({theirs:.0f} GB/s; "
        f"{_COMPARED.said(kind)})",
    )


def _apart(one: float, other: float) -> float:
    """Return how many times one is the other, the larger over the smaller."""
    return max(one, other) / min(one, other) if min(one, other) > 0 else float("inf")
