"""``plan --gpu`` and ``plan --all``: what a config takes on each kind of GPU, on the best offer of it now."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.before_renting import weigh_base_model
from loratui.cli.estimating import ask_quotes, exit_status, quote_fields, tell_failures, tell_sources
from loratui.cli.offers import offer_fields
from loratui.domain import formatting
from loratui.domain.estimate_ranking import Quote, cost_range, time_range
from loratui.domain.estimate_speeds import gpu_key
from loratui.domain.offers import OfferQuery
from loratui.sessions.checking import Checked
from loratui.sessions.market import PROVIDERS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """A kind of GPU: the best quote of it, and how many there are."""

    best: Quote
    num_offers: int


def price_plan(arguments: Arguments, checked: Checked, plan_fields: Mapping[str, object]) -> int:
    """Print time and cost, or with ``--json`` the plan with both in it."""
    preferences = settings.load()
    query = OfferQuery(gpu_name=arguments.gpu or "", min_reliability=preferences.rental_min_reliability)
    quoted = ask_quotes(preferences, PROVIDERS, query, checked, weigh_base_model(preferences, checked))
    kinds = _kinds(quoted.ranked)
    if arguments.json:
        estimates = [
            {**offer_fields(kind.best.offer), **quote_fields(kind.best, quoted.ranked), "num_offers": kind.num_offers}
            for kind in kinds
        ]
        print(json.dumps({**plan_fields, "estimates": estimates}))
    else:
        for kind in kinds:
            print(f"{kind.best.offer.gpu_name:<24} {_row(kind)}")
    status = exit_status(quoted.answers)
    if status:
        print("no provider could be asked, so there is no price and no time", file=sys.stderr)
    elif not kinds:
        named = f"{arguments.gpu} " if arguments.gpu else ""
        print(f"no {named}GPU that this run fits on is offered now", file=sys.stderr)
    elif not arguments.json:
        tell_sources(kinds[0].best, quoted.disk)
    tell_failures(quoted.answers)
    return status


def _kinds(ranked: Sequence[Quote]) -> list[_Kind]:
    """Return each kind of GPU, in the order of their best quotes."""
    found: dict[str, _Kind] = {}
    for quote in ranked:
        key = gpu_key(quote.offer.gpu_name)
        known = found.get(key)
        found[key] = _Kind(best=known.best if known else quote, num_offers=known.num_offers + 1 if known else 1)
    return list(found.values())


def _row(kind: _Kind) -> str:
    offer, estimated = kind.best.offer, kind.best.estimate
    offers = f"best of {kind.num_offers} offers" if kind.num_offers > 1 else "1 offer"
    guess = "" if estimated.is_speed_known else "; nobody has measured this GPU"
    return (
        f"{cost_range(estimated)}, {time_range(estimated)}, at {formatting.hourly_price(offer.price_microusd_per_h)} "
        f"({offer.provider}, {offer.vram_mib / 1024:.0f} GiB, {offers}){guess}"
    )
