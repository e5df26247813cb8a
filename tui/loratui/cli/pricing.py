"""``plan --gpu`` and ``plan --all``: what a config takes on each kind of GPU, on the best offer of it now."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.before_renting import weigh_base_model
from loratui.cli.estimating import exit_status, quote_fields, tell_failures, tell_sources
from loratui.cli.offers import offer_fields
from loratui.cli.plan import print_rows
from loratui.cli.plan_money import money_fields, money_rows
from loratui.cli.plan_times import time_fields, time_rows
from loratui.domain import formatting
from loratui.domain.estimate_ranking import Quote, cost_range, fit_sentence, time_range
from loratui.domain.estimate_speeds import gpu_key
from loratui.domain.estimate_work import Work
from loratui.domain.offers import OfferQuery
from loratui.sessions.checking import Checked
from loratui.sessions.estimating import Quoted
from loratui.sessions.market import PROVIDERS
from loratui.sessions.quoting import ask_quotes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """A kind of GPU: the best quote of it, that of each provider, and how many there are."""

    best: Quote
    by_provider: Mapping[str, Quote]
    num_offers: int


def price_plan(arguments: Arguments, checked: Checked, plan_fields: Mapping[str, object]) -> int:
    """Print time and cost, or with ``--json`` the plan with both in it."""
    preferences = settings.load()
    query = OfferQuery(gpu_name=arguments.gpu or "", min_reliability=preferences.rental_min_reliability)
    quoted = ask_quotes(preferences, PROVIDERS, query, checked, weigh_base_model(preferences, checked))
    kinds = _kinds(quoted.ranked)
    if arguments.json:
        estimates = [
            {
                **offer_fields(kind.best.offer),
                **quote_fields(kind.best, quoted.ranked),
                "num_offers": kind.num_offers,
                "spare_mib": _spare_mib(kind.best, quoted),
                "providers": [_provider_fields(quote) for quote in kind.by_provider.values()],
            }
            for kind in kinds
        ]
        if kinds:
            money = money_fields(checked, quoted, kinds[0].best)
        else:
            money = time_fields(checked, preferences, arguments.gpu)
        print(json.dumps({**plan_fields, "estimates": estimates, **money}))
    else:
        for kind in kinds:
            print_rows(_rows(kind, quoted))
        if kinds:
            print_rows(money_rows(checked, quoted, kinds[0].best))
        else:
            print_rows(time_rows(checked, preferences, arguments.gpu))
    status = exit_status(quoted.answers)
    if status:
        print("no provider could be asked, so there is no price; times are of the steps alone", file=sys.stderr)
    elif not kinds:
        named = f"{arguments.gpu} " if arguments.gpu else ""
        print(f"no {named}GPU that this run fits on is offered now: {_needs(quoted.work)}", file=sys.stderr)
    elif not arguments.json:
        tell_sources(kinds[0].best, quoted.disk)
    tell_failures(quoted.answers)
    return status


def _needs(work: Work | None) -> str:
    if work is None:
        return f"what it needs is {formatting.UNKNOWN}"
    whole, least = (
        f"{formatting.APPROXIMATELY}{formatting.gib(mib / 1024)}" for mib in (work.min_vram_mib, work.least_vram_mib)
    )
    given_up = f", with all given up that can be {least}" if work.least_vram_mib < work.min_vram_mib else ""
    return f"as configured it needs {whole}{given_up}"


def _kinds(ranked: Sequence[Quote]) -> list[_Kind]:
    """Return each kind of GPU, in the order of their best quotes."""
    found: dict[str, _Kind] = {}
    for quote in ranked:
        key = gpu_key(quote.offer.gpu_name)
        known = found.get(key)
        provider, by_provider = quote.offer.provider, known.by_provider if known else {}
        found[key] = _Kind(
            best=known.best if known else quote,
            by_provider={**by_provider, provider: by_provider.get(provider, quote)},
            num_offers=known.num_offers + 1 if known else 1,
        )
    return list(found.values())


def _rows(kind: _Kind, quoted: Quoted) -> list[tuple[str, str]]:
    offer, estimated = kind.best.offer, kind.best.estimate
    guess = "" if estimated.is_speed_known else "; nobody has measured this GPU"
    spare_mib = _spare_mib(kind.best, quoted)
    spare = f"{formatting.APPROXIMATELY}{formatting.gib(abs(spare_mib) / 1024)}"
    tight = fit_sentence(kind.best)
    fits = f"short of {spare}; {tight}" if tight else f"fits with {spare} to spare"
    offers = f"best of {kind.num_offers} offers" if kind.num_offers > 1 else "1 offer"
    rows = [(offer.gpu_name, f"{_takes(kind.best)} ({offers}){guess}")]
    rows += [("", _takes(quote)) for quote in kind.by_provider.values() if quote is not kind.best]
    return [*rows, ("", f"{offer.vram_mib / 1024:.0f} GiB: {fits}")]


def _takes(quote: Quote) -> str:
    offer = quote.offer
    price = f"{formatting.hourly_price(offer.price_microusd_per_h)} at {offer.provider}"
    return f"{cost_range(quote.estimate)}, {time_range(quote.estimate)}, {price}"


def _spare_mib(quote: Quote, quoted: Quoted) -> int:
    return quote.offer.vram_mib - (quoted.work.min_vram_mib if quoted.work else 0)


def _provider_fields(quote: Quote) -> dict[str, object]:
    offer, estimated = quote.offer, quote.estimate
    return {
        "provider": offer.provider,
        "id": offer.id,
        "price_microusd_per_h": offer.price_microusd_per_h,
        "total_microusd": {"p50": estimated.p50_microusd, "p90": estimated.p90_microusd},
        "total_s": {"p50": estimated.p50_s, "p90": estimated.p90_s},
    }
