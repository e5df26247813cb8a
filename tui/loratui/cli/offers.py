"""``offers``: what can be rented now, the cheapest first; with ``--for``, what a run would cost on it in the end."""

import asyncio
from collections.abc import Mapping

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.before_renting import weigh_base_model
from loratui.cli.check import print_findings
from loratui.cli.estimating import (
    exit_status,
    quote_fields,
    quote_row,
    tell_failures,
    tell_sources,
)
from loratui.cli.failed_before import tell_failed_before, why_failed_before
from loratui.cli.market_query import query_of, sort_of, tell_untold
from loratui.domain import formatting
from loratui.domain.estimate_ranking import SortBy
from loratui.domain.offers import Offer, OfferQuery
from loratui.headless.json_lines import to_json
from loratui.sessions.checking import check_config
from loratui.sessions.estimating import Quoted
from loratui.sessions.market import PROVIDERS, Answered, check_name, offers_of, opened
from loratui.sessions.quoting import ask_quotes, check_any_asked
from loratui.settings import Settings
from loratui_protocol.messages import MICROUSD_PER_USD


def offers(arguments: Arguments) -> int:
    """List offers of every provider, or of one."""
    sort_by = sort_of(arguments, is_run_known=arguments.config_for is not None)
    preferences = settings.load()
    names = PROVIDERS if arguments.provider is None else (check_name(arguments.provider),)
    query = query_of(arguments, preferences, sort_by, arguments.disk)
    if arguments.config_for is not None:
        checked = check_config(arguments.config_for)
        print_findings(finding for finding in checked.findings if finding.severity == "error")
        quoted = ask_quotes(preferences, names, query, checked, weigh_base_model(preferences, checked), sort_by)
        _print_quotes(quoted, why_failed_before(preferences, quoted.offers), as_json=arguments.json)
        tell_failed_before(preferences, quoted.offers)
        tell_untold(arguments, (quote.offer for quote in quoted.ranked))
        tell_failures(quoted.answers)
        return exit_status(quoted.answers)
    answers = asyncio.run(_ask(preferences, names, query))
    check_any_asked(answers, names)
    found = sorted(
        (offer for answer in answers for offer in answer.value or []), key=lambda offer: _key(offer, sort_by)
    )
    if arguments.json:
        failed = why_failed_before(preferences, found)
        print(f"[{', '.join(to_json(_listed(offer, failed)) for offer in found)}]")
    else:
        for offer in found:
            print(_row(offer))
    tell_failed_before(preferences, found)
    tell_untold(arguments, found)
    tell_failures(answers)
    return exit_status(answers)


def _print_quotes(quoted: Quoted, failed: Mapping[tuple[str, str], str], *, as_json: bool) -> None:
    """List offers with what the run would take on them, and say what the first estimate is made of."""
    if as_json:
        rows = ({**_listed(each.offer, failed), **quote_fields(each, quoted.ranked)} for each in quoted.ranked)
        print(f"[{', '.join(map(to_json, rows))}]")
        return
    for each in quoted.ranked:
        print(quote_row(each, quoted.ranked))
    if quoted.ranked:
        tell_sources(quoted.ranked[0], quoted.disk)


def _key(offer: Offer, sort_by: SortBy) -> tuple[float, int]:
    unreliable = 1.0 - (offer.reliability or 0.0) if sort_by is SortBy.RELIABILITY else 0.0
    return unreliable, offer.price_microusd_per_h


async def _ask(preferences: Settings, names: tuple[str, ...], query: OfferQuery) -> list[Answered[list[Offer]]]:
    async with opened(preferences, names, may_lack_key=True) as providers:
        return await offers_of(providers, query)


def _row(offer: Offer) -> str:
    line = f"{offer.download_mbit_s:.0f} Mbit/s" if offer.download_mbit_s else formatting.UNKNOWN
    reliable = f"{100 * offer.reliability:.1f} %" if offer.reliability is not None else formatting.UNKNOWN
    traffic = formatting.money(offer.received_microusd_per_gb)
    return (
        f"{formatting.hourly_price(offer.price_microusd_per_h):>10}  {offer.provider:<7} {offer.gpu_name:<20} "
        f"{offer.vram_mib / 1024:>3.0f} GiB  {line:>11}  {reliable:>7}  {traffic:>8}/GB in  "
        f"{offer.availability or offer.region:<8} {offer.id}"
    )


def _listed(offer: Offer, failed: Mapping[tuple[str, str], str]) -> dict[str, object]:
    return {**offer_fields(offer), "failed_before": failed.get((offer.provider, offer.id))}


def offer_fields(offer: Offer) -> dict[str, object]:
    """Return an offer for ``--json``."""
    return {
        "provider": offer.provider,
        "id": offer.id,
        "gpu": offer.gpu_name,
        "vram_gib": round(offer.vram_mib / 1024, 1),
        "usd_per_h": offer.price_microusd_per_h / MICROUSD_PER_USD,
        "disk_gb": offer.disk_gb,
        "in_usd_per_gb": offer.received_microusd_per_gb / MICROUSD_PER_USD,
        "out_usd_per_gb": offer.sent_microusd_per_gb / MICROUSD_PER_USD,
        "download_mbit_s": offer.download_mbit_s,
        "upload_mbit_s": offer.upload_mbit_s,
        "reliability": offer.reliability,
        "availability": offer.availability,
        "region": offer.region,
        "is_datacenter": offer.is_datacenter,
        "cuda": ".".join(map(str, offer.cuda)) if offer.cuda else None,
    }
