"""``rentals`` and ``terminate``: what is rented in our name now, and its end, believed when the provider shows it."""

import asyncio
import contextlib
import shlex
import sys
from collections.abc import Iterator, Sequence

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.leaving import deaf_to_hang_ups, tell
from loratui.cli.limits import agrees
from loratui.cli.rental_end import receipt_sentence, travelled_on
from loratui.domain import formatting
from loratui.headless.json_lines import to_json
from loratui.providers.base import Provider, ProviderError
from loratui.sessions.ending import EndingView, StillBillingError
from loratui.sessions.market import CONSOLES, PROVIDERS, opened, rentals_of
from loratui.sessions.renting_end import receipt
from loratui.sessions.renting_fate import Pace
from loratui.sessions.renting_orphans import (
    Found,
    Reconciled,
    Standing,
    end_found,
    reconcile,
    tidy_all,
)
from loratui.settings import Settings
from loratui.store import Store
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.errors import StorageError, UsageError
from loratui_protocol.messages import MICROUSD_PER_USD

STILL_BILLING = 5
_PACE = Pace(num_looks=3, first_look_s=1.0)
"""Somebody waits for the answer, and what is looked for was asked for by a process that is dead by now."""
_NO_LEDGER = "the ledger can't be read"


def rentals(arguments: Arguments) -> int:
    """List what is rented and how it stands; end what nobody minds, with ``sweep``.

    What nobody minds counts as billing, and so does what a provider could not be understood about.
    """
    if arguments.action is None and arguments.yes:
        raise UsageError("--yes is for sweep: a list ends nothing", fix="loratui rentals sweep --yes")
    try:
        if arguments.action is None:
            return asyncio.run(_list(arguments))
        with deaf_to_hang_ups():
            return asyncio.run(_sweep(arguments))
    except KeyboardInterrupt:
        if arguments.action is None:
            raise
        return _interrupted()


def terminate(arguments: Arguments) -> int:
    """End rentals for good, and return once their providers have shown them gone."""
    if (arguments.rental is None) == (not arguments.all):
        raise UsageError("which rental?", fix="loratui rentals lists them; give an id or a label, or --all")
    try:
        with deaf_to_hang_ups():
            return asyncio.run(_terminate(arguments))
    except KeyboardInterrupt:
        return _interrupted()


def orphan_sentence(found: Found) -> str:
    """Return what to tell a person who is about to rent more: it is theirs to judge whether somebody needs this one."""
    fields, price = _fields(found), formatting.hourly_price(_microusd_per_h(found))
    return (
        f"note: {found.provider} {fields['id']} ({fields['label']}) may bill as well, {price}: {found.why}. If nobody "
        f"needs it: loratui terminate {shlex.quote(str(fields['id']))}; loratui rentals sweep shows all such and asks "
        "before it ends them"
    )


async def _list(arguments: Arguments) -> int:
    preferences = settings.load()
    async with opened(preferences, PROVIDERS) as providers:
        with _ledger(preferences) as ledger:
            now = await _reconciled(preferences, providers, ledger)
    if arguments.json:
        unknown = [{"provider": name, "error": str(error)} for name, error in now.errors.items()]
        print(to_json({"rentals": [_fields(found) for found in now.found], "unknown": unknown}))
    else:
        _print(now)
    return STILL_BILLING if now.errors or _unminded(now) else 0


async def _sweep(arguments: Arguments) -> int:
    preferences = settings.load()
    async with opened(preferences, PROVIDERS) as providers:
        with _ledger(preferences) as ledger:
            now = await _reconciled(preferences, providers, ledger)
            by_name = {provider.name: provider for provider in providers}
            orphans = [found for found in now.found if found.standing is Standing.ORPHAN]
            still = [found for found in now.found if found.standing is Standing.UNKNOWN_FATE]
            for found in [*orphans, *still]:
                tell(_row(found))
            if orphans and not arguments.yes and not await asyncio.to_thread(_agrees, len(orphans)):
                still += orphans
                orphans = []
            still += [found for found in orphans if not await _end(preferences, by_name[found.provider], ledger, found)]
            if ledger is not None:
                for provider in providers:
                    await tidy_all(provider, ledger)
        _refuse_if_billing(still, now.errors)
        if now.settled:
            tell(f"{len(now.settled)} of the ledger turned out to be gone")
        print(f"{len(orphans)} ended, and shown gone by the provider" if orphans else "nothing is rented unminded")
    return 0


async def _terminate(arguments: Arguments) -> int:
    """End what is meant. What the ledger takes for billing, and nobody can show to be gone, still bills."""
    preferences = settings.load()
    async with opened(preferences, PROVIDERS) as providers:
        with _ledger(preferences) as ledger:
            meant = {arguments.rental, *_labels_of_runs(preferences, ledger, arguments.rental)}
            now = await _reconciled(preferences, providers, ledger)
            chosen = [found for found in now.found if arguments.all or meant & _names(found)]
            gone = [
                each for each in now.settled if arguments.all or not meant.isdisjoint((each.instance_id, each.label))
            ]
            if not chosen and not gone and not now.errors and not arguments.all:
                raise UsageError(
                    f"nothing called {arguments.rental!r} is rented", fix="loratui rentals", code="rental.none"
                )
            for found in chosen:
                tell(_row(found))
            _tell_settled(gone)
            by_name = {provider.name: provider for provider in providers}
            endable = [found for found in chosen if found.provider in by_name and found.id]
            if endable and not arguments.yes and not await asyncio.to_thread(_agrees, len(endable)):
                return 0
            still = [found for found in chosen if found not in endable]
            still += [
                found
                for found in endable
                if not await _end(preferences, by_name[found.provider], ledger, found, "you ended it")
            ]
        # What can't be listed was ended all the same where its id is known; another one may be there.
        _refuse_if_billing(still, now.errors)
        print(f"{len(endable)} ended, and shown gone by the provider" if endable else "nothing is rented")
        return 0


async def _reconciled(preferences: Settings, providers: Sequence[Provider], ledger: Rentals | None) -> Reconciled:
    """Return what is rented, held against the ledger, or without one where that can't be read: money comes first."""
    if not providers and (ledger is None or not ledger.unproven()):
        raise UsageError("there is no key of any provider", fix="loratui keys vast", code="provider.no_key")
    if ledger is not None:
        try:
            return await reconcile(providers, ledger, preferences.state_dir, pace=_PACE)
        except StorageError as error:
            tell(f"loratui: {error}")
    answers = await rentals_of(providers)
    return Reconciled(
        found=[
            Found(provider=answer.provider, standing=Standing.UNKNOWN_FATE, why=_NO_LEDGER, instance=instance)
            for answer in answers
            for instance in answer.value or []
        ],
        settled=[],
        errors={answer.provider: answer.error for answer in answers if answer.error is not None},
    )


@contextlib.contextmanager
def _ledger(preferences: Settings) -> Iterator[Rentals | None]:
    """Give the ledger, None where it can't be read, which is said."""
    try:
        ledger = Rentals(preferences.database)
    except StorageError as error:
        tell(f"loratui: {error}")
        yield None
        return
    with ledger:
        yield ledger


def _labels_of_runs(preferences: Settings, ledger: Rentals | None, meant: str | None) -> set[str]:
    """Return the labels of the rentals that runs of this name, or whose ids begin so, are on."""
    if ledger is None or not meant:
        return set()
    with Store(preferences.database) as store:
        runs = [run.id for run in store.runs() if run.name == meant or run.id.startswith(meant.upper())]
    rentals = [ledger.of_run(run_id) for run_id in runs]
    return {rental.label for rental in rentals if rental is not None and not rental.state.is_over}


def _names(found: Found) -> set[str]:
    """Return what it may be called by whoever means it."""
    names = {found.id, found.instance.label if found.instance else "", found.rental.label if found.rental else ""}
    return names - {""}


def _unminded(now: Reconciled) -> list[Found]:
    return [found for found in now.found if found.standing is not Standing.YOURS]


async def _end(preferences: Settings, provider: Provider, ledger: Rentals | None, found: Found, why: str = "") -> bool:
    """End one, and say what it has cost; return whether the provider has shown it gone."""
    name, said = f"{provider.name} {found.id}", ""

    def tell_how(view: EndingView) -> None:
        nonlocal said
        if view.sentence != said:
            said = view.sentence
            tell(f"{name}: {said}, {formatting.duration(view.since_s)}")

    try:
        await end_found(provider, ledger, found, tell_how, why=why)
    except ProviderError as error:
        tell(f"{name}: {error}")
        return False
    if ledger is None or found.rental is None:
        tell(f"{name}: it is gone; what it has cost is not known here, since no ledger that can be read has it")
        return True
    label = found.rental.label
    try:
        told = await receipt(provider, ledger, label, lambda: travelled_on(preferences, ledger, label))
    except StorageError as error:
        # It is gone all the same, and a ledger that can't be read says nothing of its cost.
        tell(f"{name}: {error}")
        return True
    tell(f"{name}: {receipt_sentence(told)}")
    return True


def _refuse_if_billing(still: Sequence[Found], errors: dict[str, ProviderError]) -> None:
    """Return if nothing may bill that nobody minds.

    Raises:
        StillBillingError: something may.
    """
    for provider, error in errors.items():
        tell(f"{provider}: {error}")
    names = [f"{found.provider} {_fields(found)['id'] or _fields(found)['label']}" for found in still]
    names += [f"whatever is at {provider}" for provider in errors]
    if names:
        raise StillBillingError(f"STILL BILLING, perhaps: {', '.join(names)}", fix=f"end it by hand: {_consoles()}")


def _agrees(number: int) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "there is nobody to ask whether that may end: nothing was ended", fix="give --yes", code="rental.unasked"
        )
    what = "it" if number == 1 else f"all {number}"
    return agrees(f"End {what} for good? Files that were not fetched are lost.", otherwise="nothing was ended")


def _interrupted() -> int:
    tell(f"STILL BILLING, perhaps: nobody has seen the end. By hand: {_consoles()}")
    return STILL_BILLING


def _print(now: Reconciled) -> None:
    for found in now.found:
        print(_row(found))
    _tell_settled(now.settled)
    for provider, error in now.errors.items():
        print(f"{provider}: nobody knows what is rented there: {error}", file=sys.stderr)
    if not now.found and not now.errors:
        print("nothing is rented")
    if _unminded(now):
        print("to end what nobody minds: loratui rentals sweep", file=sys.stderr)


def _tell_settled(rentals: Sequence[StoredRental]) -> None:
    for rental in rentals:
        tell(f"{rental.provider} {rental.instance_id or rental.label}: {rental.why}; it is gone")


def _row(found: Found) -> str:
    fields = _fields(found)
    price, since = int(_microusd_per_h(found)), fields["created_ts"]
    when = formatting.day_and_time(since) if isinstance(since, float) else formatting.UNKNOWN
    standing = f"{found.standing}: {found.why}" if found.why else str(found.standing)
    return (
        f"{found.provider:<7} {fields['id']!s:<14} {fields['label']!s:<36} {fields['state']!s:<9} "
        f"{formatting.hourly_price(price):>9}  {when}  {fields['gpu']}  {standing}"
    ).rstrip()


def _fields(found: Found) -> dict[str, object]:
    """Return it as JSON has it. What the provider does not show is told as the ledger knows it."""
    instance, rental = found.instance, found.rental
    if instance is not None:
        facts: dict[str, object] = {
            "id": instance.id,
            "label": instance.label,
            "state": str(instance.state),
            "detail": instance.detail,
            "created_ts": instance.created_ts,
            "gpu": instance.gpu_name,
        }
    elif rental is not None:
        facts = {
            "id": rental.instance_id,
            "label": rental.label,
            "state": str(rental.state),
            "detail": rental.why,
            "created_ts": rental.created_ts,
            "gpu": rental.offer.gpu_name,
        }
    else:
        raise ValueError("something was found, and it is nothing")
    return {
        "provider": found.provider,
        **facts,
        "usd_per_h": _microusd_per_h(found) / MICROUSD_PER_USD,
        "standing": str(found.standing),
        "why": found.why,
        "runs": rental.run_ids.split() if rental else [],
    }


def _microusd_per_h(found: Found) -> int:
    if found.instance is not None:
        return found.instance.price_microusd_per_h
    return found.rental.price_microusd_per_h if found.rental else 0


def _consoles() -> str:
    return ", ".join(CONSOLES.values())
