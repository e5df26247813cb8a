"""A provider's key: tried before it is kept, and what it opens in words."""

import asyncio

from loratui.domain import formatting
from loratui.providers.base import Account
from loratui.sessions.market import open_provider
from loratui.settings import Settings
from loratui.store.keys import Keys


def keep_key(name: str, text: str, preferences: Settings) -> tuple[str, Account]:
    """Try a key, and keep it if it works; return where it is kept, and what it opens.

    Raises:
        ProviderError: it does not work, or nobody could say so; it was not kept.
        UsageError, StorageError: it is no key, or can't be kept.
    """
    # One that does not work would be found out when a rental is to be ended.
    account = try_key(name, text, preferences)
    return Keys(preferences.config_dir).keep(name, text), account


def try_key(name: str, text: str, preferences: Settings) -> Account:
    """Return what a key opens.

    Raises:
        ProviderError: nothing, or nobody could say so.
    """

    async def ask() -> Account:
        provider = open_provider(name, text, preferences)
        try:
            return await provider.account()
        finally:
            await provider.close()

    return asyncio.run(ask())


def what_opens(account: Account) -> str:
    """Return what a key opens, in words."""
    told = f"Balance {formatting.money(account.balance_microusd)}"
    if account.spend_limit_microusd_per_h is not None:
        told += f", at most {formatting.hourly_price(account.spend_limit_microusd_per_h)}"
    if account.missing_scopes:
        told += f"; it may not: {', '.join(account.missing_scopes)}"
    return told
