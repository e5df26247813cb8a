"""Says what becomes of the rental that a run is on: prices, deadlines, money. Sentences on standard error, or JSON."""

import sys
import threading
import time

from loratui.domain import formatting
from loratui.domain.rental_cost import RentalCost
from loratui.domain.run import RunView
from loratui.headless.json_lines import print_line, to_json
from loratui_protocol.messages import MICROUSD_PER_USD

_MONEY_EVERY_S = 600.0
_JSON_EVERY_S = 60.0


class RentalNarrator:
    """Of one rental. ``look`` may be called as often as one likes, from any thread."""

    def __init__(self, money_every_s: float = _MONEY_EVERY_S, *, as_json: bool = False) -> None:
        """With ``as_json`` it says on standard output, as an object a line, what a program wants to know."""
        self.as_json = as_json
        self._state = ""
        self._lock = threading.Lock()
        self._num_told = 0
        self._trouble = ""
        self._is_kept = False
        self._money_every_s = money_every_s
        self._told_money_s = time.monotonic()
        self._printed_s = float("-inf")

    def look(self, view: RunView) -> None:
        """Say what is new."""
        if view.rental is not None:
            with self._lock:
                self._look(view.rental)

    def _look(self, rental: RentalCost) -> None:
        if self.as_json:
            self._print(rental)
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

    def _print(self, rental: RentalCost) -> None:
        now_s = time.monotonic()
        known = f"{rental.state} {rental.price_microusd_per_h} {rental.cap_microusd} {len(rental.notes)}"
        if known == self._state and now_s - self._printed_s < _JSON_EVERY_S:
            return
        self._state, self._printed_s = known, now_s
        fields = {
            "event": "rental",
            "ts": time.time(),
            "seq": 0,
            "label": rental.label,
            "provider": rental.provider,
            "state": str(rental.state),
            "usd": rental.spent_at(now_s) / MICROUSD_PER_USD,
            "usd_per_h": rental.price_microusd_per_h / MICROUSD_PER_USD,
            "disk_usd": rental.disk_microusd / MICROUSD_PER_USD,
            "traffic_usd": rental.traffic_microusd / MICROUSD_PER_USD,
            "projected_usd": _usd(rental.projected_microusd),
            "cap_usd": _usd(rental.cap_microusd),
            "ends_in_s": rental.ends_in_s(now_s),
            "armed": rental.armed,
            "stops_for": rental.stops_for,
            "is_fresh": rental.is_fresh(now_s),
            "is_exact": rental.is_exact,
            "trouble": rental.trouble,
        }
        print_line(to_json(fields))


def _usd(microusd: int | None) -> float | None:
    return None if microusd is None else microusd / MICROUSD_PER_USD


def money_sentence(rental: RentalCost, now_s: float) -> str:
    """Return what it costs, in a sentence."""
    spent = formatting.money(rental.spent_at(now_s), exact=rental.is_known(now_s))
    shares = {"disk": rental.disk_microusd, "traffic": rental.traffic_microusd}
    told = ", ".join(f"{formatting.money(share)} of it {name}" for name, share in shares.items() if share)
    parts = [f"{spent} spent at {formatting.hourly_price(rental.price_microusd_per_h)}{told and f' ({told})'}"]
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
