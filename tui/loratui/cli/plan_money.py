"""``plan --gpu`` and ``--all``: what the best offer's money means, in sentences and as fields."""

from collections.abc import Iterator
from dataclasses import asdict

from loratui.cli.plan_times import (
    Row,
    grid_of,
    grid_sentence,
    hosted_fields,
    hosted_of,
    hosted_rows,
    picture_more_sentence,
)
from loratui.domain import formatting
from loratui.domain.estimate_ranking import Quote, cost_range
from loratui.domain.plan_money import own_time, picture_more, queue_saving
from loratui.sessions.checking import Checked
from loratui.sessions.estimating import Quoted


def money_rows(checked: Checked, quoted: Quoted, best: Quote) -> Iterator[Row]:
    """Yield what there is to say of money, on the offer that comes first."""
    if quoted.work is None:
        return
    work, offer = quoted.work, best.offer
    yield "this run", f"{cost_range(best.estimate)} on {offer.gpu_name} of {offer.provider}"
    saving = queue_saving(work, best, quoted.known)
    num, less = saving.num_runs, f"{formatting.APPROXIMATELY}{100 * saving.share:.0f} %"
    together, apart = (
        formatting.money(each, exact=False) for each in (saving.together_microusd, saving.apart_microusd)
    )
    measured = "as your rentals have shown it" if saving.is_measured else "as documented, not measured by you"
    yield (
        f"{num} such runs",
        f"{together} in one queue, {apart} on {num} rentals: {less} less, as set-up is paid once ({measured})",
    )
    is_trained = not checked.config.evaluate_loras
    if is_trained:
        more = picture_more(checked.config, checked.plan, work, best)
        yield "a picture more", picture_more_sentence(more.steps, more.seconds, more.microusd)
    own = own_time(best.estimate)
    yield (
        "your own time",
        "the questions before it is rented. Nobody has to be there for the set-up "
        f"({formatting.minutes_range(*own.set_up_s)}) and the rest: {formatting.minutes_range(*own.wall_s)} in all",
    )
    if not is_trained:
        return
    if grid := grid_of(checked, work, quoted.known, offer.gpu_name, offer.price_microusd_per_h):
        yield "testing the LoRA", grid_sentence(checked, grid, offer.gpu_name)
    yield from hosted_rows(hosted_of(work, quoted.known))


def money_fields(checked: Checked, quoted: Quoted, best: Quote) -> dict[str, object]:
    """Return it for ``--json``; amounts in micro-dollars, times in seconds."""
    if quoted.work is None:
        return {}
    work, offer = quoted.work, best.offer
    saving, own = queue_saving(work, best, quoted.known), own_time(best.estimate)
    of_training: dict[str, object] = {}
    if not checked.config.evaluate_loras:
        grid = grid_of(checked, work, quoted.known, offer.gpu_name, offer.price_microusd_per_h)
        of_training = {
            "picture_more": asdict(picture_more(checked.config, checked.plan, work, best)),
            "test_grid": grid and {"gpu": offer.gpu_name, **asdict(grid)},
            "hosted": [hosted_fields(cost) for cost in hosted_of(work, quoted.known)],
        }
    return {
        **of_training,
        "money": {
            "offer": {"provider": offer.provider, "id": offer.id, "gpu": offer.gpu_name},
            "run_microusd": {"p50": best.estimate.p50_microusd, "p90": best.estimate.p90_microusd},
            "queue": {**asdict(saving), "share": round(saving.share, 4)},
            "set_up_s": {"p50": own.set_up_s[0], "p90": own.set_up_s[1], "sources": own.sources},
            "wall_s": {"p50": own.wall_s[0], "p90": own.wall_s[1]},
        },
    }
