"""The line that commands begin with while something may bill: from the ledger alone, nobody is asked."""

import sys

from loratui import settings
from loratui.domain import formatting
from loratui.sessions.renting_folder import RentalFolder
from loratui.settings import Settings
from loratui.store.rentals import may_bill
from loratui_protocol.errors import ConfigError, StorageError


def remind() -> None:
    """Say what was rented here and is not proven gone. Settings that make no sense are for the command to refuse."""
    try:
        preferences = settings.load()
    except ConfigError:
        return
    if alarm := alarm_of(preferences):
        print(alarm, file=sys.stderr)


def alarm_of(preferences: Settings) -> str:
    """Return one line on what was rented here and is not proven gone; empty where there is nothing to say.

    What a loratui minds that runs now is no news. A ledger that can't be read is: it does not mean that nothing bills.
    """
    try:
        rentals = [
            rental
            for rental in may_bill(preferences.database)
            if not RentalFolder(preferences.state_dir, rental.label).is_minded()
        ]
    except StorageError as error:
        return f"what was rented here is not known ({error.what}), and may bill: loratui rentals asks the providers"
    if not rentals:
        return ""
    newest, oldest = rentals[0], rentals[-1]
    one = f"{newest.provider} {newest.instance_id or newest.label}"
    what = one if len(rentals) == 1 else f"{len(rentals)} rentals"
    price = formatting.hourly_price(sum(rental.price_microusd_per_h for rental in rentals))
    # Without the year: all of it, the command above all, has to fit into a row of the interface.
    since = formatting.day_and_time(oldest.created_ts)[-len("11-28 08:47") :]
    return f"{what} may bill, {price} since {since}: loratui rentals"
