"""How much a run may cost, and when it stops itself: from its estimate, not from the budget alone. Pure.

A cap is what may be spent, traffic included. The auto-stop is when the machine ends by itself: a closed laptop costs
what is left until then, so it is not much later than the run should be over.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from loratui.domain import formatting
from loratui.domain.estimate import Estimate
from loratui.domain.estimate_ranking import Quote, cost_range
from loratui.domain.offers import Offer
from loratui_protocol.errors import UsageError

MOST_CAP_MICROUSD = 10_000_000
"""What nobody is let spend without having said so."""
_CAP_RATIO = Fraction(3, 2)
_STOP_RATIO = Fraction(3, 2)
_BALANCE_RATIO = Fraction(13, 10)
"""On the account, over what is used: a provider deletes the machines of an empty account, results and all."""
_S_PER_H = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """What is shown before anything is spent. ``notes`` are sentences for people: what was lowered, and why."""

    cap_microusd: int
    auto_stop_s: int
    needed_balance_microusd: int
    stops_for: str
    """Why it stops then, in a few words."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is shown to whoever agrees to it: the first offer and its limits, and what is taken when that is gone."""

    quotes: tuple[Quote, ...]
    limits: RunLimits

    @property
    def best(self) -> Quote:
        """The offer that is tried first."""
        return self.quotes[0]

    @property
    def highest_price_microusd_per_h(self) -> int:
        """What an hour may cost on any of them."""
        return max(quote.offer.price_microusd_per_h for quote in self.quotes)


def choose(quoted: Sequence[Quote], limits_of: Callable[[Quote, int | None], RunLimits], most: int) -> Choice:
    """Return the first offer that its limits allow, and up to ``most`` in all on which what is agreed to is enough.

    ``limits_of`` gives the limits of an offer under a cap, None: under the user's own. One whose account would lower
    the cap, or on which the run is not likely to be over at the auto-stop, or gives up more than on the first, is not
    what was agreed to.

    Raises:
        UsageError: none of them is allowed; says why of the first.
    """
    refused: UsageError | None = None
    for number, best in enumerate(quoted):
        try:
            limits = limits_of(best, None)
        except UsageError as error:
            refused = refused or error
            continue
        longest_s = max(limits.auto_stop_s, best.estimate.p50_s)
        others = (
            quote
            for quote in quoted[number + 1 :]
            if quote.estimate.p50_s <= longest_s and not {*quote.given_up}.difference(best.given_up)
        )
        fit = [quote for quote in others if _allows(quote, limits.cap_microusd, limits_of)]
        return Choice(quotes=(best, *fit[: most - 1]), limits=limits)
    raise refused or ValueError("nothing to choose from")


def _allows(quote: Quote, cap_microusd: int, limits_of: Callable[[Quote, int | None], RunLimits]) -> bool:
    try:
        return limits_of(quote, cap_microusd).cap_microusd == cap_microusd
    except UsageError:
        return False


def default_cap_microusd(estimated: Estimate, most_microusd: int = MOST_CAP_MICROUSD) -> int:
    """Return the cap of a user who names no budget."""
    return min(most_microusd, math.ceil(_CAP_RATIO * estimated.p90_microusd))


def needed_balance_microusd(estimated: Estimate, offer: Offer) -> int:
    """Return what should be on the account."""
    return max(offer.balance_floor_microusd, balance_for(estimated.p90_microusd))


def balance_for(microusd: int) -> int:
    """Return what should be on an account of which so much is going to be used."""
    return math.ceil(_BALANCE_RATIO * microusd)


def run_limits(
    estimated: Estimate,
    offer: Offer,
    *,
    budget_microusd: int | None = None,
    balance_microusd: int | None = None,
    spend_limit_microusd_per_h: int | None = None,
    linger_s: float = 0.0,
    deadline_s: float | None = None,
    most_microusd: int = MOST_CAP_MICROUSD,
) -> RunLimits:
    """Return cap and auto-stop of a run on an offer.

    ``balance_microusd`` and ``spend_limit_microusd_per_h`` are the account's, None: nobody knows them. ``linger_s``:
    how long the machine is kept after the results are here. ``deadline_s`` is the user's own, from the start of the
    rental; ``most_microusd`` is what is spent without a budget.

    Raises:
        UsageError: ``budget.too_low`` or ``balance.too_low``: it is not enough for what the run is likely to cost;
            ``balance.spend_limit``: the account may not spend so much in an hour.
    """
    if spend_limit_microusd_per_h is not None and offer.price_microusd_per_h > spend_limit_microusd_per_h:
        raise UsageError(
            f"the {offer.provider} account may spend {formatting.hourly_price(spend_limit_microusd_per_h)} at most; "
            f"{_named(offer)} is above it. Nothing was rented",
            fix=f"raise the limit in {offer.provider}'s console, or take another offer",
            code="balance.spend_limit",
        )
    needed = needed_balance_microusd(estimated, offer)
    cap = default_cap_microusd(estimated, most_microusd) if budget_microusd is None else budget_microusd
    traffic_microusd = estimated.p90_traffic_microusd
    if cap < estimated.p50_microusd or _paid_s(cap - traffic_microusd, offer) == 0:
        what = "the budget is" if budget_microusd is not None else "without --budget no more is spent than"
        raise UsageError(
            f"{what} {formatting.money(cap)}, the run is likely to cost {cost_range(estimated)} on {_named(offer)}. "
            "Nothing was rented",
            fix=f"--budget {formatting.dollars_at_least(estimated.p90_microusd)}, fewer steps, or another offer",
            code="budget.too_low",
        )
    notes = []
    if balance_microusd is not None:
        lowered = _cap_of_balance(balance_microusd)
        is_enough = lowered >= estimated.p50_microusd and _paid_s(lowered - traffic_microusd, offer) != 0
        if balance_microusd < offer.balance_floor_microusd or not is_enough:
            raise UsageError(
                f"there is {formatting.money(balance_microusd)} on the {offer.provider} account; the run is likely to "
                f"cost {cost_range(estimated)} on {_named(offer)}, so {formatting.money(needed)} should be there. "
                "Nothing was rented",
                fix=f"add {formatting.money(needed - balance_microusd)} there, or take another offer",
                code="balance.too_low",
            )
        if lowered < cap:
            notes.append(
                f"the cap is lowered from {formatting.money(cap)} to {formatting.money(lowered)}: there is "
                f"{formatting.money(balance_microusd)} on the {offer.provider} account, and a part must stay there"
            )
            cap = lowered
    paid_s = _paid_s(cap - traffic_microusd, offer)
    wanted_s = math.ceil(_STOP_RATIO * estimated.p90_s) + math.ceil(linger_s)
    auto_stop_s, stops_for = wanted_s, "1.5 x p90"
    if deadline_s is not None and deadline_s < wanted_s:
        auto_stop_s, stops_for = math.floor(deadline_s), "--deadline"
    if paid_s is not None and paid_s < auto_stop_s:
        auto_stop_s, stops_for = paid_s, "the cap"
        notes.append(
            f"auto-stop is after {formatting.duration(auto_stop_s)} instead of {formatting.duration(wanted_s)}: "
            f"the cap pays for no more"
        )
    if auto_stop_s < estimated.p50_s:
        notes.append(
            f"the run is likely to take {formatting.duration(estimated.p50_s, exact=False)}: it will save and stop "
            "before its last step"
        )
    return RunLimits(
        cap_microusd=cap,
        auto_stop_s=auto_stop_s,
        needed_balance_microusd=needed,
        stops_for=stops_for,
        notes=tuple(notes),
    )


def _cap_of_balance(balance_microusd: int) -> int:
    return max(0, math.floor(balance_microusd / _BALANCE_RATIO))


def _paid_s(microusd: int, offer: Offer) -> int | None:
    """Return for how long that pays, None: forever."""
    if not offer.price_microusd_per_h:
        return None
    return max(0, microusd * _S_PER_H // offer.price_microusd_per_h)


def _named(offer: Offer) -> str:
    return f"{offer.gpu_name} at {formatting.hourly_price(offer.price_microusd_per_h)} ({offer.provider})"
