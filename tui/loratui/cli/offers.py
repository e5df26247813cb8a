"""``offers``: what can be rented now, the cheapest first."""

import asyncio
import sys

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.domain import formatting
from loratui.domain.offers import Offer, OfferQuery
from loratui.headless.json_lines import to_json
from loratui.sessions.market import PROVIDERS, Answered, check_name, offers_of, opened
from loratui.settings import Settings
from loratui_protocol.errors import UsageError
from loratui_protocol.messages import MICROUSD_PER_USD

_MIB_PER_GB = 1000**3 / 2**20
# Cards of 24 GB say 24 564 MiB, or less: what the driver keeps is not theirs to give.
_VRAM_SHARE = 0.93


def offers(arguments: Arguments) -> int:
    """List offers of every provider, or of one."""
    preferences = settings.load()
    names = PROVIDERS if arguments.provider is None else (check_name(arguments.provider),)
    query = OfferQuery(
        min_vram_mib=int(arguments.vram * _MIB_PER_GB * _VRAM_SHARE) if arguments.vram else 0,
        disk_gb=arguments.disk,
        max_price_microusd_per_h=arguments.max_price,
        gpu_name=arguments.gpu or "",
        only_datacenters=arguments.datacenter,
    )
    answers = asyncio.run(_ask(preferences, names, query))
    if not answers:
        raise UsageError(
            f"without a key {' and '.join(names)} shows no offers",
            fix=f"loratui keys {names[0]}",
            code="provider.no_key",
        )
    found = sorted(
        (offer for answer in answers for offer in answer.value or []), key=lambda offer: offer.price_microusd_per_h
    )
    if arguments.json:
        print(f"[{', '.join(to_json(_fields(offer)) for offer in found)}]")
    else:
        for offer in found:
            print(_row(offer))
    for answer in answers:
        if answer.error is not None:
            print(f"{answer.provider}: {answer.error}", file=sys.stderr)
    return 4 if all(answer.error is not None for answer in answers) else 0


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


def _fields(offer: Offer) -> dict[str, object]:
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
