"""The line that commands begin with while something may bill: from the ledger alone, nobody is asked."""

import contextlib
import sys

from loratui import settings
from loratui.domain import formatting
from loratui.sessions.renting_folder import RentalFolder
from loratui.store.rentals import may_bill
from loratui_protocol.errors import StorageError


def remind() -> None:
    """Say, in one line, what was rented here and is not proven gone. A ledger that can't be read says nothing.

    What a loratui minds that runs now is no news.
    """
    rentals = []
    with contextlib.suppress(StorageError):
        preferences = settings.load()
        rentals = [
            rental
            for rental in may_bill(preferences.database)
            if not RentalFolder(preferences.state_dir, rental.label).is_minded()
        ]
    if not rentals:
        return
    newest, oldest = rentals[0], rentals[-1]
    one = f"{newest.provider} {newest.instance_id or newest.label} is"
    what = one if len(rentals) == 1 else f"{len(rentals)} rentals are"
    price = formatting.hourly_price(sum(rental.price_microusd_per_h for rental in rentals))
    since = formatting.day_and_time(oldest.created_ts)
    print(f"{what} not proven gone, {price}, since {since}: loratui rentals", file=sys.stderr)
