"""Asks every provider that there is a key for what is left on the account, and what is rented there unknown to us."""

import asyncio
from collections.abc import Iterable

from loratui.domain.accounts import Accounts
from loratui.domain.overview import RentalLine
from loratui.providers.base import Instance
from loratui.sessions.market import PROVIDERS, ask_all, opened, rentals_of
from loratui.settings import Settings
from loratui.store.keys import Keys
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.errors import LoratuiError, StorageError


def look_at_accounts(preferences: Settings) -> Accounts:
    """Return what the providers say now; takes as long as the slowest of them, and never raises for what they say."""
    try:
        return asyncio.run(_look(preferences))
    except LoratuiError as error:
        # A key that others can read, say: then nobody was asked.
        return Accounts(failures=dict.fromkeys(PROVIDERS, error.what), asked=frozenset(PROVIDERS))


def to_ask(preferences: Settings) -> list[str]:
    """Return the providers that there is a key for, or may be: one whose key can't be read is among them."""
    keys = Keys(preferences.config_dir)
    return [name for name in PROVIDERS if _may_open(keys, name)]


def _may_open(keys: Keys, name: str) -> bool:
    try:
        return keys.read(name) is not None
    except StorageError:
        return True


async def _look(preferences: Settings) -> Accounts:
    async with opened(preferences, PROVIDERS) as providers:
        if not providers:
            return Accounts(asked=frozenset())
        before = await asyncio.to_thread(_unproven, preferences)
        listed = await rentals_of(providers)
        accounts = await ask_all(providers, lambda provider: provider.account())
        # What was rented, or ended, while they answered is in one of the two.
        known = [*before, *await asyncio.to_thread(_unproven, preferences)]
    return Accounts(
        balances={each.provider: each.value.balance_microusd for each in accounts if each.value is not None},
        elsewhere=tuple(
            line(answer.provider, instance)
            for answer in listed
            for instance in answer.value or ()
            if not _is_known(instance, known)
        ),
        failures={answer.provider: answer.error.what for answer in listed if answer.error is not None},
        asked=frozenset(answer.provider for answer in listed),
    )


def line(provider: str, instance: Instance) -> RentalLine:
    """Return what a provider alone knows of as a line beside those of the records."""
    return RentalLine(
        label=instance.label,
        provider=provider,
        instance_id=instance.id,
        gpu=instance.gpu_name,
        state=str(instance.state),
        price_microusd_per_h=instance.price_microusd_per_h,
        spent_microusd=0,
        created_ts=instance.created_ts or 0.0,
        deadline_ts=None,
        is_minded=False,
        is_elsewhere=True,
    )


def _unproven(preferences: Settings) -> list[StoredRental]:
    try:
        with Rentals(preferences.database) as ledger:
            return ledger.unproven()
    except StorageError:
        # Then all that is listed is told: money comes first.
        return []


def _is_known(instance: Instance, known: Iterable[StoredRental]) -> bool:
    return any(each.label == instance.label and each.instance_id in ("", instance.id) for each in known)
