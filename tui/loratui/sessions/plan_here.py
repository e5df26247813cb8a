"""What this machine can tell of a run's work and time without asking anyone."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loratui.domain.base_kinds import TINY, KnownBase
from loratui.domain.estimate import Known, training_s
from loratui.domain.estimate_speeds import FIGURES, Speed, gpu_key, speed_of
from loratui.domain.estimate_work import Work, left
from loratui.domain.gpu_memory import full_name
from loratui.domain.grid_cost import SHIPPED_GPU, picture_time
from loratui.sessions.base_kind import kind_told_here
from loratui.sessions.estimating import known_facts, work_for
from loratui.sessions.judging import features_told_here
from loratui.sessions.model_source import model_source
from loratui.settings import Settings
from loratui_protocol.errors import LoratuiError

if TYPE_CHECKING:
    from loratui.sessions.checking import Checked

_COMMON = ("RTX 3090", SHIPPED_GPU)
"""GPUs whose time is told where none was measured: those that are rented most."""
_MOST_GPUS = 4


def work_told_here(
    checked: "Checked", preferences: Settings, *, after: int | None = None, model_bytes: int | None = None
) -> Work | None:
    """Return what there is to do, as far as this machine can tell without asking anyone; None: files are missing.

    ``after``: what comes after that step alone. ``model_bytes``: of a base model that is downloaded, where its hub was
    asked before.
    """
    name = checked.config.pretrained_model_name_or_path
    try:
        model = model_source(name, preferences.remote_hub_url)
        features = features_told_here(checked.config, preferences)
        base = KnownBase(num_bytes=model_bytes if model else 0, kind=kind_told_here(name), features=features)
        todo = checked.plan_left if after is None else left(checked.plan, after)
        return work_for(checked.config, todo, preferences, base)
    except LoratuiError:
        # What is missing was said by the check.
        return None


def known_for(checked: "Checked", preferences: Settings) -> Known:
    """Return what earlier runs have shown, for a base model of this kind."""
    name = checked.config.pretrained_model_name_or_path
    return known_facts(preferences, [(name, kind_told_here(name))])


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeTold:
    """How long a GPU computes, likely and if it goes badly: at the steps, or at pictures where nothing is trained."""

    gpu: str
    seconds: tuple[float, float]
    source: str


def times_told(work: Work, known: Known, gpu: str | None = None) -> list[TimeTold]:
    """Return it for the GPU; without one for those that were trained on before, and else those rented most."""
    load = work.loads[0]
    speeds = _speeds_told(work, known, gpu)
    if not load.tries_out:
        return [TimeTold(gpu=name, seconds=training_s(load, each), source=each.source) for name, each in speeds]
    told = []
    for name, _ in speeds:
        each = picture_time(name, load.kind, load.pixels, known.pictures, known.speeds, known.memory_gb_per_s)
        seconds = load.num_judged_pictures * each.likely_s, load.num_judged_pictures * each.slow_s
        told.append(TimeTold(gpu=name, seconds=seconds, source=each.source))
    return told


def _speeds_told(work: Work, known: Known, gpu: str | None = None) -> list[tuple[str, Speed]]:
    load = work.loads[0]
    if gpu is not None:
        gpus = [full_name(gpu)]
    else:
        measured = list(dict.fromkeys(each.gpu for each in known.speeds if each.kind is load.kind))
        of_table = [] if load.kind is TINY else [figure.gpu for figure in FIGURES if figure.gpu in _COMMON]
        seen = {gpu_key(each) for each in measured}
        gpus = [*measured, *(each for each in of_table if gpu_key(each) not in seen)][:_MOST_GPUS]
    return [(each, speed_of(each, load.kind, load.units_per_step, known.speeds)) for each in gpus]
