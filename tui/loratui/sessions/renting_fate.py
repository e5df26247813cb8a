"""What became of a request to rent whose answer was lost: looked up by the label, until it is certain."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from loratui.domain.rental import Limits
from loratui.providers.base import Instance, Provider, ProviderError, ProviderRefusedError
from loratui.sessions.ending import FIRST_WAIT_S
from loratui.settings import Settings

LAST_LOOK_S = 60.0
UNSEEN = "nothing is there now; whether something was rented, and what that cost, its provider alone knows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often a provider is asked, and how long is waited for it."""

    limits: Limits = field(default_factory=Limits)
    first_poll_s: float = 2.0
    last_poll_s: float = 15.0
    num_looks: int = 6
    """Well-formed listings without the label, before nothing is believed to have been rented."""
    first_look_s: float = 2.0
    """Between the first two of them; each wait is twice the one before."""
    busy_s: float = 5.0
    num_busy_tries: int = 3
    first_end_s: float = FIRST_WAIT_S
    young_s: float = 60.0
    """For so long after it was asked for, what was never shown may only be too young to be."""


def pace_of(preferences: Settings) -> Pace:
    """Return the pace that the settings ask for."""
    return Pace(
        limits=Limits(boot_s=preferences.rental_boot_limit_s, connect_s=preferences.rental_connect_limit_s),
    )


async def look_by_label(
    provider: Provider,
    label: str,
    hint: str,
    pace: Pace,
    tell: Callable[[ProviderError], None] = lambda _: None,
    *,
    num_errors: int | None = None,
) -> list[Instance]:
    """Return what bears the label; nothing only after ``num_looks`` well-formed listings without it.

    ``hint`` is the id that the lost answer named, if it did. Listings that fail, or make no sense, prove nothing: it
    is looked for as long as it takes, or until so many of them have failed.

    Raises:
        ProviderRefusedError: the key may not look any more.
        ProviderError: the last of ``num_errors``.
    """
    num_empty, num_failed, wait_s = 0, 0, pace.first_look_s
    while True:
        try:
            found = [instance for instance in await provider.list(label) if instance.label == label]
            named = await provider.get(hint) if hint and not found else None
            if named is not None and named.label == label:
                found = [named]
            if found:
                return found
            num_empty += 1
            if num_empty >= pace.num_looks:
                return []
        except ProviderRefusedError:
            raise
        except ProviderError as error:
            num_failed += 1
            if num_failed == num_errors:
                raise
            tell(error)
        await asyncio.sleep(wait_s)
        wait_s = min(LAST_LOOK_S, 2 * wait_s)
