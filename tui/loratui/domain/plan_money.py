"""What a plan says of money beyond the total: a queue against separate rentals, a picture more, whose time. Pure."""

from dataclasses import dataclass

from loratui.domain.estimate import (
    BASE_MODEL,
    BOOT,
    ENVIRONMENT,
    NOTHING_KNOWN,
    STEP_S,
    UPLOAD,
    Estimate,
    EstimatePart,
    Known,
    estimate,
)
from loratui.domain.estimate_ranking import Quote
from loratui.domain.estimate_work import Work, joined
from loratui.domain.ledger import microseconds, time_microusd
from loratui_protocol.config import TrainingConfig
from loratui_protocol.plan import Plan

QUEUE = 3
"""Runs that a queue is compared with separate rentals for."""
SET_UP = (BOOT, ENVIRONMENT, BASE_MODEL, UPLOAD)
"""Phases before the training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSaving:
    """What several such runs cost on one machine, and on one each. Likely values."""

    num_runs: int
    together_microusd: int
    apart_microusd: int
    together_s: int
    apart_s: int
    is_measured: bool
    """Whether boot and environment are as rentals of one's own have shown them; else as documented."""

    @property
    def share(self) -> float:
        """Return what of the separate rentals' cost is saved, 0 to 1."""
        return 1 - self.together_microusd / self.apart_microusd if self.apart_microusd else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureMore:
    """What a further picture adds, on average over those that are there."""

    steps: float
    """0: the number of steps is fixed, and every picture is shown less often."""
    seconds: float
    microusd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTime:
    """How much of it runs without the user. Seconds, likely and if it goes badly; sources of the set-up's figures."""

    set_up_s: tuple[int, int]
    wall_s: tuple[int, int]
    sources: tuple[str, ...]


def queue_saving(work: Work, quote: Quote, known: Known = NOTHING_KNOWN, num_runs: int = QUEUE) -> QueueSaving:
    """Return what so many runs like this one, with the same base model, save by sharing a machine."""
    several, _ = joined([work] * num_runs).fitted(quote.offer.vram_mib)
    together = estimate(several, quote.offer, known)
    alone = quote.estimate
    return QueueSaving(
        num_runs=num_runs,
        together_microusd=together.p50_microusd,
        apart_microusd=num_runs * alone.p50_microusd,
        together_s=together.p50_s,
        apart_s=num_runs * alone.p50_s,
        is_measured=all(part.source.startswith("measured") for part in _parts(alone, BOOT, ENVIRONMENT)),
    )


def steps_a_picture(config: TrainingConfig, plan: Plan) -> float:
    """Return by how many steps a run grows with a picture like those that are there; 0: ``max_train_steps`` holds."""
    return plan.steps / plan.num_pictures if config.max_train_epochs else 0.0


def picture_more(config: TrainingConfig, plan: Plan, work: Work, quote: Quote) -> PictureMore:
    """Return what a further picture adds to the likely time and cost."""
    fitted, _ = work.fitted(quote.offer.vram_mib)
    steps, load, speed = steps_a_picture(config, plan), fitted.loads[0], quote.estimate.speeds[0]
    seconds = steps * max(load.units_per_step / speed.likely, STEP_S)
    price = quote.offer.price_microusd_per_h
    return PictureMore(steps=steps, seconds=seconds, microusd=time_microusd(price, microseconds(seconds)))


def own_time(estimated: Estimate) -> OwnTime:
    """Return what runs by itself once the user has agreed: set-up, and all of it."""
    parts = _parts(estimated, *SET_UP)
    return OwnTime(
        set_up_s=(sum(part.p50.seconds for part in parts), sum(part.p90.seconds for part in parts)),
        wall_s=(estimated.p50_s, estimated.p90_s),
        sources=tuple(part.source for part in parts),
    )


def _parts(estimated: Estimate, *names: str) -> list[EstimatePart]:
    return [part for part in estimated.parts if part.name in names]
