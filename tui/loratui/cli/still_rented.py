"""What a command leaves rented when it fails or is cut off: "nothing is billing" is said only where that is so."""

from loratui import settings
from loratui.cli.arguments import Arguments
from loratui.cli.leaving import tell
from loratui.cli.runs import choose
from loratui.domain import formatting
from loratui.sessions.rented import rental_label
from loratui.sessions.steady_clock import steady_ts
from loratui.store import Store
from loratui.store.rentals import StoredRental, may_bill
from loratui_protocol.errors import LoratuiError

STILL_BILLING = 5
_OF_A_RUN = ("attach", "control", "resume", "queueing")
"""Modules whose commands are about a run that is there."""


def tell_still_rented(arguments: Arguments, since_ts: float, *, only_new: bool = False) -> int:
    """Say what the command has to do with that is rented, and not proven gone; return 5 where there is such a thing.

    That is the rental of its run, without ``only_new``, and whatever was asked for since ``since_ts``.
    """
    try:
        preferences = settings.load()
        rentals = may_bill(preferences.database)
        label = ""
        if rentals and not only_new and getattr(arguments, "handler", "").partition(":")[0] in _OF_A_RUN:
            with Store(preferences.database) as store:
                label = rental_label(choose(store.runs(), arguments.run).target)
    except LoratuiError:
        # Why that is so was said, or will be by whatever is done next; this only adds to it.
        return 0
    left = [rental for rental in rentals if rental.label == label or rental.created_ts >= since_ts]
    for rental in left:
        tell(f"STILL BILLING, perhaps: {rental.provider} {rental.instance_id or rental.label}, {how_it_ends(rental)}")
    return STILL_BILLING if left else 0


def how_it_ends(rental: StoredRental) -> str:
    """Return what it costs, when it ends by itself, as far as anybody has seen that, and how to end it now."""
    left_s = max(0.0, (rental.deadline_ts or 0.0) - steady_ts())
    by_itself = (
        f"it ends itself in {formatting.duration(left_s)} at the latest"
        if rental.armed == "end"
        else "nobody has seen that it can end itself"
    )
    price = formatting.hourly_price(rental.price_microusd_per_h)
    return f"{price}; {by_itself}. To end it now: loratui terminate {rental.label}"
