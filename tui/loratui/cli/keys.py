"""``keys``: enter a provider's key, hidden; it is tried before it is kept, and what it opens is shown."""

import getpass
import sys

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.sessions.market import PROVIDERS, SCOPES, check_name
from loratui.sessions.provider_keys import keep_key, try_key, what_opens
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
    where, account = keep_key(name, _ask(name), preferences)
    print(f"{name}: the key works and is kept in {where}. {what_opens(account)}")
    return 0


def _ask(name: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    print(f"A key of {name} needs: {SCOPES[name]}", file=sys.stderr)
    text = getpass.getpass(f"key of {name} (not shown): ", sys.stderr).strip()
    if not text:
        raise UsageError("no key was entered; nothing has changed", code="key.form")
    return text


def _show(name: str, key: StoredKey | None, preferences: Settings) -> int:
    """Say whether there is a key, where it is from and what it opens; return 0 unless it does not work."""
    if key is None:
        print(f"{name:<8} no key: loratui keys {name}, or {variable(name)}")
        return 0
    try:
        print(f"{name:<8} from {key.origin}. {what_opens(try_key(name, key.text, preferences))}")
    except LoratuiError as error:
        print(f"{name:<8} from {key.origin}: {error.what}")
        return error.exit_status
    return 0
