"""What ``plan`` says of time without a price: the steps, a picture more, a grid of test pictures, hosted trainers."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime

from loratui.domain import formatting
from loratui.domain.base_kinds import TINY
from loratui.domain.estimate import Known
from loratui.domain.estimate_work import Work
from loratui.domain.gpu_memory import full_name
from loratui.domain.grid_cost import SHIPPED_GPU, Grid, GridCost, grid_cost, picture_time
from loratui.domain.hosted_prices import HostedCost, hosted_costs
from loratui.domain.plan_money import steps_a_picture
from loratui.sessions.checking import Checked
from loratui.sessions.plan_here import known_for, times_told, work_told_here
from loratui.settings import Settings

Row = tuple[str, str]


def time_rows(checked: Checked, preferences: Settings, gpu: str | None = None) -> Iterator[Row]:
    """Yield it for people: on ``gpu``, else on GPUs that were trained on before or are rented most."""
    work = work_told_here(checked, preferences)
    if work is None:
        return
    known = known_for(checked, preferences)
    tries_out = work.loads[0].tries_out
    for told in times_told(work, known, gpu):
        time = formatting.minutes_range(*told.seconds)
        of_what = "pictures" if tries_out else "steps"
        yield f"time of the {of_what}", f"{time} on {told.gpu} ({told.source})"
    if tries_out:
        return
    yield "a picture more", picture_more_sentence(steps_a_picture(checked.config, checked.plan))
    drawn_on = _drawn_on(gpu)
    if grid := grid_of(checked, work, known, drawn_on):
        yield "testing the LoRA", grid_sentence(checked, grid, drawn_on)
    yield from hosted_rows(hosted_of(work, known))


def time_fields(checked: Checked, preferences: Settings, gpu: str | None = None) -> dict[str, object]:
    """Return it for ``--json``; amounts in micro-dollars, times in seconds."""
    work = work_told_here(checked, preferences)
    if work is None:
        return {}
    known, drawn_on = known_for(checked, preferences), _drawn_on(gpu)
    times = [
        {"gpu": told.gpu, "p50": round(told.seconds[0], 1), "p90": round(told.seconds[1], 1), "source": told.source}
        for told in times_told(work, known, gpu)
    ]
    if work.loads[0].tries_out:
        return {"judging_s": times}
    grid = grid_of(checked, work, known, drawn_on)
    return {
        "training_s": times,
        "test_grid": grid and {"gpu": drawn_on, **asdict(grid)},
        "hosted": [hosted_fields(cost) for cost in hosted_of(work, known)],
    }


def _drawn_on(gpu: str | None) -> str:
    return SHIPPED_GPU if gpu is None else full_name(gpu)


def picture_more_sentence(steps: float, seconds: float | None = None, microusd: int | None = None) -> str:
    """Return what a further picture adds; time and cost where they are known."""
    if not steps:
        return "no step more: max_train_steps holds, and every picture is shown less often"
    about, parts = formatting.APPROXIMATELY, [f"{formatting.APPROXIMATELY}{steps:.3g} steps"]
    if seconds is not None:
        parts.append(f"{about}{formatting.duration(seconds) if seconds >= 1 else f'{seconds:.1f} s'}")
    if microusd is not None:
        parts.append(formatting.money(microusd, exact=False))
    return ", ".join(parts)


def grid_of(checked: Checked, work: Work, known: Known, gpu: str, price_microusd_per_h: int = 0) -> GridCost | None:
    """Return what a grid of test pictures of one LoRA file takes; None: there are no prompts, or nobody knows."""
    prompts = checked.plan.samples.prompts
    load = work.loads[0]
    each = picture_time(gpu, load.kind, load.pixels, known.pictures, known.speeds, known.memory_gb_per_s)
    if not prompts or (load.kind is TINY and not each.is_measured):
        return None
    return grid_cost(Grid(num_prompts=len(prompts)), each, price_microusd_per_h)


def grid_sentence(checked: Checked, cost: GridCost, gpu: str) -> str:
    """Return it for people."""
    grid = Grid(num_prompts=len(checked.plan.samples.prompts))
    prompts = "1 prompt" if grid.num_prompts == 1 else f"{grid.num_prompts} prompts"
    shape = f"{grid.num_weights} weights x {grid.num_seeds} seeds x {prompts}"
    price = f", {formatting.money_range(cost.likely_microusd, cost.slow_microusd)}" if cost.slow_microusd else ""
    time = formatting.minutes_range(cost.likely_s, cost.slow_s)
    return f"{cost.num_pictures} pictures a LoRA file ({shape}): {time}{price} on {gpu} ({cost.source})"


def hosted_of(work: Work, known: Known) -> list[HostedCost]:
    """Return what hosted trainers would take today."""
    return list(hosted_costs(work.loads[0], known.speeds, _today()))


def _today() -> date:
    return datetime.now(tz=UTC).date()


def hosted_rows(costs: Iterable[HostedCost]) -> Iterator[Row]:
    """Yield what hosted trainers would take, each with where its price is from and how old that is."""
    for cost in costs:
        price = cost.price
        old = f": {cost.age_days} days old, look it up" if cost.is_old else ""
        how = f": {_times(cost)}" if cost.times else ""
        site = price.source.partition("/")[0]
        yield (
            f"at {price.name}",
            f"{formatting.money_range(cost.low_microusd, cost.high_microusd)}{how} ({price.terms}; {site}, "
            f"{price.seen:%Y-%m-%d}{old})",
        )


def _times(cost: HostedCost) -> str:
    """Return how long it takes on each GPU there; a source that several have is told once."""
    told: dict[str, list[str]] = {}
    for time in cost.times:
        on_it = f"{formatting.duration(time.seconds, exact=False)} on {time.gpu}"
        told.setdefault(time.source, []).append(on_it)
    return "; ".join(f"{' and '.join(times)}, {source}" for source, times in told.items())


def hosted_fields(cost: HostedCost) -> dict[str, object]:
    """Return it for ``--json``."""
    price = cost.price
    return {
        "name": price.name,
        "microusd": {"low": cost.low_microusd, "high": cost.high_microusd},
        "times": [asdict(time) for time in cost.times],
        "terms": price.terms,
        "source": price.source,
        "seen": price.seen.isoformat(),
        "age_days": cost.age_days,
        "is_old": cost.is_old,
    }
