"""Offers of what did not serve before: said with the reason, since `train` leaves them out, or takes them last."""

import sys
import time
from collections.abc import Iterable

from loratui.domain.offers import Offer
from loratui.sessions.renting import BAD_FOR_S, KIND_BAD_FOR_S
from loratui.settings import Settings
from loratui.store.rentals import Rentals

_MAX_TOLD = 5


def why_failed_before(preferences: Settings, offers: Iterable[Offer]) -> dict[tuple[str, str], str]:
    """Return why each offer of what did not serve lately did not, by provider and id."""
    if not preferences.database.exists():
        return {}
    listed, now_ts, found = list(offers), time.time(), {}
    with Rentals(preferences.database) as ledger:
        for provider in {offer.provider for offer in listed}:
            machines = ledger.bad_hosts(provider, now_ts - BAD_FOR_S)
            kinds = ledger.bad_hosts(provider, now_ts - KIND_BAD_FOR_S)
            for offer in listed:
                why = machines.get(offer.machine) if offer.machine else kinds.get(offer.kind)
                if offer.provider == provider and why is not None:
                    found[provider, offer.id] = why
    return found


def tell_failed_before(preferences: Settings, offers: Iterable[Offer]) -> None:
    """Say on stderr which of these offers are passed over, and why."""
    listed = list(offers)
    why = why_failed_before(preferences, listed)
    failed = [offer for offer in listed if (offer.provider, offer.id) in why]
    for offer in failed[:_MAX_TOLD]:
        print(f"note: {_sentence(offer, why[offer.provider, offer.id])}", file=sys.stderr)
    if len(failed) > _MAX_TOLD:
        print(f"note: and {len(failed) - _MAX_TOLD} more that did not serve", file=sys.stderr)


def _sentence(offer: Offer, why: str) -> str:
    if offer.machine:
        days = round(BAD_FOR_S / 86_400)
        name = f"{offer.provider} {offer.id} ({offer.gpu_name})"
        return f"train leaves out {name}: it did not serve within the last {days} days ({why})"
    minutes = round(KIND_BAD_FOR_S / 60)
    return (
        f"train takes {offer.provider} {offer.kind} last: one of these did not serve within the last {minutes} min "
        f"({why})"
    )
