"""Before a run goes on elsewhere: the machine that it was on may still bill, and nobody pays for two unasked."""

import asyncio
import sys
from pathlib import Path

from loratui.cli.arguments import Arguments
from loratui.cli.following import hosting, say
from loratui.cli.limits import agrees
from loratui.cli.rental_end import finish, print_receipt, wait
from loratui.cli.still_rented import how_it_ends
from loratui.sessions.ending import StillBillingError
from loratui.sessions.market import opened
from loratui.sessions.renting_fate import Pace
from loratui.sessions.renting_orphans import Found, reconcile
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui.store.rentals import Rentals, StoredRental

STILL_THERE = "resume.billing"
_PACE = Pace(num_looks=3, first_look_s=1.0)


def may_leave(preferences: Settings, run: StoredRun, arguments: Arguments) -> bool:
    """Return whether a run may go on elsewhere: its rental is gone, or ended now, or it was agreed to pay for both.

    Raises:
        StillBillingError: nobody was asked, and the rental is still there, as far as anybody knows.
    """
    with Rentals(preferences.database) as ledger:
        rental = ledger.of_run(run.id)
        if rental is None or rental.state.is_over:
            return True
        found = asyncio.run(_found(preferences, ledger, rental))
        if found is None:
            return True
        rental = ledger.rental(rental.label)
        others = _others(preferences.database, ledger.runs_on(rental), run)
    shown = "is still there" if found.instance is not None else f"may still be there ({found.why})"
    also = f"; {', '.join(others)} may go on there" if others else ""
    machine = f"{rental.provider} {found.id or rental.label}"
    what = f"{machine}, which {run.name} was on, {shown}: {how_it_ends(rental)}{also}"
    if STILL_THERE in arguments.accept:
        say(f"warning: {what}")
        # It is of this question alone: nothing that comes after knows it.
        arguments.accept = [code for code in arguments.accept if code != STILL_THERE]
        return True
    if arguments.yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise StillBillingError(
            f"{what}. Nothing was started",
            fix=f"end it first; or pay for both: --accept {STILL_THERE}",
            code=STILL_THERE,
        )
    say(what)
    # Ending it would end what others train there.
    if not others and found.id and agrees("End it first? Files there that were not fetched are lost.", "it goes on"):
        with hosting(preferences) as host:
            why = "you ended it, to go on elsewhere"
            print_receipt(wait(host, finish(preferences, rental.provider, rental.label, why), is_end=True))
        return True
    return agrees("Go on elsewhere all the same, and pay for both?")


async def _found(preferences: Settings, ledger: Rentals, rental: StoredRental) -> Found | None:
    """Return how the rental stands by its provider's word; None where that shows it gone."""
    async with opened(preferences, (rental.provider,)) as providers:
        now = await reconcile(providers, ledger, preferences.state_dir, pace=_PACE)
    for found in now.found:
        if found.rental is not None and found.rental.label == rental.label:
            return found
    return None


def _others(database: Path, run_ids: list[str], run: StoredRun) -> list[str]:
    """Return the names of the other runs on its machine that are not over, as far as is known here."""
    with Store(database) as store:
        return [
            each.name for each in store.runs() if each.id in run_ids and each.id != run.id and not each.state.is_final
        ]
