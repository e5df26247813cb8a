"""``keys``: enter a provider's key, hidden; it is tried before it is kept, and what it opens is shown."""

import asyncio
import getpass
import sys

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.domain import formatting
from loratui.providers.base import Account
from loratui.sessions.market import PROVIDERS, SCOPES, check_name, open_provider
from loratui.settings import Settings
from loratui.store.keys import Keys, StoredKey, variable
from loratui_protocol.errors import LoratuiError, UsageError


def keys(arguments: Arguments) -> int:
    """Enter, forget or show keys."""
    preferences = settings.load()
    store = Keys(preferences.config_dir)
    if arguments.provider is None:
        return max(_show(name, store.read(name), preferences) for name in PROVIDERS)
    name = check_name(arguments.provider)
    if arguments.forget:
        print(f"{name}: the key is gone from here" if store.forget(name) else f"{name}: no key was kept here")
        return 0
    text = _ask(name)
    # A key that does not work is not kept: it would be found out when a rental is to be ended.
    account = asyncio.run(_try(name, text, preferences))
    where = store.keep(name, text)
    print(f"{name}: the key works and is kept in {where}. {_opens(account)}")
    return 0


def _ask(name: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    print(f"A key of {name} needs: {SCOPES[name]}", file=sys.stderr)
    text = getpass.getpass(f"key of {name} (not shown): ", sys.stderr).strip()
    if not text:
        raise UsageError("no key was entered; nothing has changed", code="key.form")
    return text


async def _try(name: str, key: str, preferences: Settings) -> Account:
    provider = open_provider(name, key, preferences)
    try:
        return await provider.account()
    finally:
        await provider.close()


def _opens(account: Account) -> str:
    told = f"Balance {formatting.money(account.balance_microusd)}"
    if account.spend_limit_microusd_per_h is not None:
        told += f", at most {formatting.hourly_price(account.spend_limit_microusd_per_h)}"
    if account.missing_scopes:
        told += f"; it may not: {', '.join(account.missing_scopes)}"
    return told


def _show(name: str, key: StoredKey | None, preferences: Settings) -> int:
    """Say whether there is a key, where it is from and what it opens; return 0 unless it does not work."""
    if key is None:
        print(f"{name:<8} no key: loratui keys {name}, or {variable(name)}")
        return 0
    try:
        print(f"{name:<8} from {key.origin}. {_opens(asyncio.run(_try(name, key.text, preferences)))}")
    except LoratuiError as error:
        print(f"{name:<8} from {key.origin}: {error.what}")
        return error.exit_status
    return 0
