"""The providers that this user has keys for, asked at once: what can be rented, what is rented, what a key opens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from loratui.domain.offers import Offer, OfferQuery
from loratui.providers.base import Instance, Provider, ProviderError
from loratui.settings import Settings
from loratui.store.keys import Keys
from loratui_protocol.errors import UsageError

PROVIDERS = ("vast", "runpod")
CHEAPEST = "cheapest"
MARKETS = (*PROVIDERS, CHEAPEST)
"""What can follow ``--on`` to rent a machine."""
WITHOUT_KEY = ("vast",)
"""Whose offers can be looked at by anyone."""
SCOPES = {
    "vast": "misc, user_read, user_write, instance_read, instance_write, billing_read",
    "runpod": "read and write of pods (all of api.runpod.io v2), read of GraphQL for the balance",
}
"""What a key must be allowed, in the provider's words."""
CONSOLES = {"vast": "https://cloud.vast.ai/instances/", "runpod": "https://console.runpod.io/pods"}
"""Where a person can end a rental by hand."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(Generic[T]):
    """What a provider said, or why it could not be understood: then nothing is known, not that there is nothing."""

    provider: str
    value: T | None = None
    error: ProviderError | None = None


def check_name(name: str) -> str:
    """Return a provider's name as it was typed.

    Raises:
        UsageError: there is none of that name.
    """
    if name == "gpuflow":
        from loratui.providers.gpuflow import WHY_NOT

        raise UsageError(WHY_NOT, fix=f"providers: {', '.join(PROVIDERS)}", code="provider.unsupported")
    if name not in PROVIDERS:
        raise UsageError(
            f"there is no provider {name!r}", fix=f"one of {', '.join(PROVIDERS)}", code="provider.unknown"
        )
    return name


def open_provider(name: str, key: str, preferences: Settings) -> Provider:
    """Return the adapter of a provider; close it in the end."""
    # Each takes a while to load, and most commands need none.
    if name == "vast":
        from loratui.providers.vast import Vast

        return Vast(key, url=preferences.vast_url, spacing=preferences.vast_spacing)
    from loratui.providers.runpod import RunPod

    return RunPod(key, url=preferences.runpod_url, graphql_url=preferences.runpod_graphql_url)


@asynccontextmanager
async def opened(
    preferences: Settings, names: Iterable[str], *, may_lack_key: bool = False
) -> AsyncIterator[list[Provider]]:
    """Give the adapters of those providers that there is a key for; with ``may_lack_key`` those too that need none."""
    keys = Keys(preferences.config_dir)
    found: list[Provider] = []
    try:
        for name in names:
            key = await asyncio.to_thread(keys.read, name)
            if key is not None or (may_lack_key and name in WITHOUT_KEY):
                found.append(open_provider(name, key.text if key else "", preferences))
        yield found
    finally:
        for provider in found:
            await provider.close()


async def ask_all(providers: Iterable[Provider], ask: Callable[[Provider], Awaitable[T]]) -> list[Answered[T]]:
    """Ask every provider at once; one that fails hides no other's answer."""

    async def one(provider: Provider) -> Answered[T]:
        try:
            return Answered(provider=provider.name, value=await ask(provider))
        except ProviderError as error:
            return Answered(provider=provider.name, error=error)

    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(one(provider)) for provider in providers]
    return [task.result() for task in asked]


async def offers_of(providers: Iterable[Provider], query: OfferQuery) -> list[Answered[list[Offer]]]:
    """Return what each has to rent."""
    return await ask_all(providers, lambda provider: provider.offers(query))


async def rentals_of(providers: Iterable[Provider]) -> list[Answered[list[Instance]]]:
    """Return what is rented at each by us, this laptop or another one."""
    return await ask_all(providers, lambda provider: provider.list())
