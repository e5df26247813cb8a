"""``rentals`` and ``terminate``: what is rented in our name now, and its end, believed when the provider shows it."""

import asyncio
import sys
from collections.abc import Sequence

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.following import say
from loratui.cli.limits import agrees
from loratui.domain import formatting
from loratui.headless.json_lines import to_json
from loratui.providers.base import Instance, Provider, ProviderError
from loratui.sessions.ending import EndingView, end_for_certain
from loratui.sessions.market import CONSOLES, PROVIDERS, Answered, opened, rentals_of
from loratui_protocol.errors import LoratuiError, UsageError
from loratui_protocol.messages import MICROUSD_PER_USD

STILL_BILLING = 5


class StillBillingError(LoratuiError):
    """Something may go on costing money."""

    default_code = "rental.billing"
    exit_status = STILL_BILLING


def rentals(arguments: Arguments) -> int:
    """List what is rented; a provider that could not be understood counts as one where something may bill."""
    answers = asyncio.run(_listed())
    if arguments.json:
        found = [_fields(answer.provider, instance) for answer in answers for instance in answer.value or []]
        unknown = [{"provider": each.provider, "error": str(each.error)} for each in answers if each.error]
        print(to_json({"rentals": found, "unknown": unknown}))
    else:
        _print(answers)
    return STILL_BILLING if any(answer.error for answer in answers) else 0


def terminate(arguments: Arguments) -> int:
    """End rentals for good, and return once their providers have shown them gone."""
    if (arguments.rental is None) == (not arguments.all):
        raise UsageError("which rental?", fix="loratui rentals lists them; give an id or a label, or --all")
    try:
        return asyncio.run(_terminate(arguments))
    except KeyboardInterrupt:
        print(f"STILL BILLING, perhaps: nobody has seen the end. By hand: {_consoles()}", file=sys.stderr)
        return STILL_BILLING


async def _terminate(arguments: Arguments) -> int:
    async with opened(settings.load(), PROVIDERS) as providers:
        if not providers:
            raise UsageError("there is no key of any provider", fix="loratui keys vast", code="provider.no_key")
        answers = await rentals_of(providers)
        by_name = {provider.name: provider for provider in providers}
        found = [(by_name[answer.provider], instance) for answer in answers for instance in answer.value or []]
        chosen = [pair for pair in found if arguments.all or arguments.rental in (pair[1].id, pair[1].label)]
        unknown = [answer for answer in answers if answer.error is not None]
        if not chosen and not unknown and not arguments.all:
            raise UsageError(
                f"nothing called {arguments.rental!r} is rented", fix="loratui rentals", code="rental.none"
            )
        for provider, instance in chosen:
            say(_row(provider.name, instance))
        if chosen and not arguments.yes and not await asyncio.to_thread(_agrees, len(chosen)):
            return 0
        still = [pair for pair in chosen if not await _end(*pair)]
        if still or unknown:
            for answer in unknown:
                say(f"{answer.provider}: {answer.error}")
            names = [f"{provider.name} {instance.id}" for provider, instance in still]
            names += [f"whatever is at {answer.provider}" for answer in unknown]
            raise StillBillingError(f"STILL BILLING, perhaps: {', '.join(names)}", fix=f"end it by hand: {_consoles()}")
        print(f"{len(chosen)} ended, and shown gone by the provider" if chosen else "nothing is rented")
        return 0


async def _end(provider: Provider, instance: Instance) -> bool:
    """End one; return whether the provider has shown it gone."""
    said = ""

    def tell(view: EndingView) -> None:
        nonlocal said
        how = str(view.error.what) if view.error else "gone" if view.last is None else str(view.last.state)
        if how != said:
            said = how
            say(f"{provider.name} {instance.id}: {how}, {formatting.duration(view.since_s)}")

    try:
        await end_for_certain(provider, instance.id, tell)
    except ProviderError as error:
        say(f"{provider.name} {instance.id}: {error}")
        return False
    return True


def _agrees(number: int) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "there is nobody to ask whether that may end: nothing was ended", fix="give --yes", code="rental.unasked"
        )
    what = "it" if number == 1 else f"all {number}"
    return agrees(f"End {what} for good? Files that were not fetched are lost.", otherwise="nothing was ended")


async def _listed() -> list[Answered[list[Instance]]]:
    async with opened(settings.load(), PROVIDERS) as providers:
        if not providers:
            raise UsageError("there is no key of any provider", fix="loratui keys vast", code="provider.no_key")
        return await rentals_of(providers)


def _print(answers: Sequence[Answered[list[Instance]]]) -> None:
    for answer in answers:
        for instance in answer.value or []:
            print(_row(answer.provider, instance))
        if answer.error is not None:
            print(f"{answer.provider}: nobody knows what is rented there: {answer.error}", file=sys.stderr)
    if not any(answer.value or answer.error for answer in answers):
        print("nothing is rented")


def _row(provider: str, instance: Instance) -> str:
    price = formatting.hourly_price(instance.price_microusd_per_h)
    since = formatting.day_and_time(instance.created_ts) if instance.created_ts else formatting.UNKNOWN
    return (
        f"{provider:<7} {instance.id:<14} {instance.label:<36} {instance.state:<9} {price:>9}  {since}  "
        f"{instance.gpu_name}"
    ).rstrip()


def _fields(provider: str, instance: Instance) -> dict[str, object]:
    return {
        "provider": provider,
        "id": instance.id,
        "label": instance.label,
        "state": str(instance.state),
        "detail": instance.detail,
        "usd_per_h": instance.price_microusd_per_h / MICROUSD_PER_USD,
        "created_ts": instance.created_ts,
        "gpu": instance.gpu_name,
    }


def _consoles() -> str:
    return ", ".join(CONSOLES.values())
