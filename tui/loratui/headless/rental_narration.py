"""Says on standard error what becomes of the rental that a run is on: prices, deadlines, money; a sentence a change."""

import sys
import threading
import time

from loratui.domain import formatting
from loratui.domain.rental_cost import RentalCost
from loratui.domain.run import RunView

_MONEY_EVERY_S = 600.0


class RentalNarrator:
    """Of one rental. ``look`` may be called as often as one likes, from any thread."""

    def __init__(self, money_every_s: float = _MONEY_EVERY_S) -> None:
        self._lock = threading.Lock()
        self._num_told = 0
        self._trouble = ""
        self._is_kept = False
        self._money_every_s = money_every_s
        self._told_money_s = time.monotonic()

    def look(self, view: RunView) -> None:
        """Say what is new."""
        if view.rental is not None:
            with self._lock:
                self._look(view.rental)

    def _look(self, rental: RentalCost) -> None:
        for note in rental.notes[self._num_told :]:
            _say(note)
        self._num_told = len(rental.notes)
        if rental.trouble and rental.trouble != self._trouble:
            _say(rental.trouble)
        self._trouble = rental.trouble
        is_kept = bool(rental.keep_left_s) and not rental.is_over
        if is_kept and not self._is_kept:
            price = formatting.hourly_price(rental.price_microusd_per_h)
            _say(
                f"everything is here; the machine is kept for {formatting.duration(rental.keep_left_s or 0.0)} at "
                f"{price}. To end it now: loratui terminate {rental.label}; Ctrl-C leaves it, and it ends itself"
            )
        self._is_kept = is_kept
        now_s = time.monotonic()
        if now_s - self._told_money_s >= self._money_every_s and not rental.is_over:
            self._told_money_s = now_s
            _say(money_sentence(rental, now_s))


def money_sentence(rental: RentalCost, now_s: float) -> str:
    """Return what it costs, in a sentence."""
    spent = formatting.money(rental.spent_at(now_s), exact=rental.is_fresh(now_s))
    parts = [f"{spent} spent at {formatting.hourly_price(rental.price_microusd_per_h)}"]
    if rental.projected_microusd is not None:
        parts.append(f"{formatting.money(rental.projected_microusd, exact=False)} in all")
    if rental.cap_microusd is not None:
        parts.append(f"at most {formatting.money(rental.cap_microusd)}")
    left_s = rental.ends_in_s(now_s)
    if left_s is not None:
        why = f" ({rental.stops_for})" if rental.stops_for else ""
        parts.append(f"auto-stop in {formatting.duration(left_s)}{why}")
    return ", ".join(parts)


def _say(text: str) -> None:
    print(f"rental: {text}", file=sys.stderr, flush=True)
