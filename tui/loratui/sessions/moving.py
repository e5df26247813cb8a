"""Moving the end of a rental: the machine is told first, then the ledger; budget and deadline go together."""

from dataclasses import dataclass, replace

from loratui.domain.estimate_limits import balance_for
from loratui.domain.formatting import duration, hourly_price, money, time_of_day
from loratui.domain.ledger import lasts_s, microseconds, time_microusd
from loratui.domain.rental import RentalState
from loratui.sessions.market import opened
from loratui.sessions.rented import OVER, rental_target
from loratui.sessions.rented_box import Armed, arm
from loratui.sessions.renting_folder import RentalFolder
from loratui.sessions.steady_clock import steady_ts
from loratui.sessions.targets import Targets
from loratui.settings import Settings
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.errors import HostError, LoratuiError, UsageError

BY_HAND = "extended"
CAP = "the cap"
_SHORTEST_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """What moving the end of a rental by ``seconds`` comes to. Amounts in micro-dollars."""

    rental: StoredRental
    seconds: float
    deadline_ts: float
    cost_microusd: int
    cap_microusd: int | None

    @property
    def sentence(self) -> str:
        """Return it for whoever is to agree to it."""
        before, after = (time_of_day(ts)[:5] for ts in (self.rental.deadline_ts or 0.0, self.deadline_ts))
        more = f"{duration(abs(self.seconds))} {'more' if self.seconds > 0 else 'less'}"
        price = hourly_price(self.rental.price_microusd_per_h)
        cap = ""
        if self.cap_microusd is not None and self.rental.cap_microusd is not None:
            cap = f"; at most {money(self.cap_microusd)} in all, {money(self.rental.cap_microusd)} before"
        return f"{more} at {price}: {money(self.cost_microusd)}{cap}; auto-stop at {after}, {before} before"


def extension(ledger: Rentals, label: str, seconds: float) -> Extension:
    """Return what it comes to if a rental ends so many seconds later (negative: earlier).

    Raises:
        HostError: the rental is over.
        UsageError: it would end within a minute.
    """
    rental = ledger.rental(label)
    if rental.state is not RentalState.READY or rental.deadline_ts is None:
        raise HostError(f"the rental {label} is {rental.state}: it can't be extended", code=OVER)
    deadline_ts = rental.deadline_ts + seconds
    if deadline_ts < steady_ts() + _SHORTEST_S:
        raise UsageError(
            "the rental would end within a minute", fix=f"to end it now: loratui terminate {label}", code="rental.short"
        )
    # Rounded alike in both directions: what is taken back leaves the cap as it was.
    cost = time_microusd(rental.price_microusd_per_h, microseconds(abs(seconds))) * (1 if seconds > 0 else -1)
    cap = None if rental.cap_microusd is None else rental.cap_microusd + cost
    return Extension(rental=rental, seconds=seconds, deadline_ts=deadline_ts, cost_microusd=cost, cap_microusd=cap)


async def extend_rental(targets: Targets, settings: Settings, label: str, seconds: float) -> Extension:
    """Move the end of a rental, and its cap with it; the machine has agreed when this returns.

    Two at once come one after the other, each from where the one before has moved it.

    Raises:
        HostError: the rental is over, or its machine can't be told; then nothing has changed.
        UsageError: it would end within a minute, or the balance does not pay for it.
    """
    with Rentals(settings.database) as ledger:
        # What is over has no folder any more, and needs none.
        extension(ledger, label, seconds)
        async with RentalFolder(settings.state_dir, label).moving():
            asked = extension(ledger, label, seconds)
            if seconds > 0:
                await _check_balance(settings, asked)
            await move_deadline(
                targets,
                settings,
                ledger,
                asked.rental,
                asked.deadline_ts,
                stops_for=BY_HAND,
                cap_microusd=asked.cap_microusd,
            )
    return asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A deadline that was moved, by so many seconds, so that a cap holds."""

    seconds: float
    sentence: str


async def hold_to_cap(
    targets: Targets, settings: Settings, ledger: Rentals, rental: StoredRental, spent_microusd: int
) -> Held | None:
    """Have a rental end when its cap is used up at the price that it has now; None: it does so before.

    Whoever calls this is in ``RentalFolder.moving``, and has read ``rental`` there.
    """
    if rental.cap_microusd is None or rental.deadline_ts is None:
        return None
    now_ts = steady_ts()
    lasts = lasts_s(rental.cap_microusd - spent_microusd, rental.price_microusd_per_h)
    if lasts is None or now_ts + lasts >= rental.deadline_ts:
        return None
    try:
        await move_deadline(targets, settings, ledger, rental, now_ts + lasts, stops_for=CAP)
    except LoratuiError as error:
        # The client ends it then, if the machine does not.
        ledger.note(rental.label, deadline_ts=now_ts + lasts, stops_for=CAP)
        sentence = f"the machine could not be told to end earlier ({error.what}): this laptop has to be there for that"
    else:
        sentence = f"auto-stop is in {duration(lasts)} now, so that no more than {money(rental.cap_microusd)} is spent"
    return Held(seconds=now_ts + lasts - rental.deadline_ts, sentence=sentence)


async def move_deadline(
    targets: Targets,
    settings: Settings,
    ledger: Rentals,
    rental: StoredRental,
    deadline_ts: float,
    *,
    stops_for: str,
    cap_microusd: int | None = None,
) -> Armed:
    """Have the machine end its rental at another time, and write that down, with another cap if there is one.

    Whoever calls this is in ``RentalFolder.moving``, and has read ``rental`` there.

    Raises:
        HostError: it can't be told; its deadline, and what is written, stay as they were.
    """
    machine = targets.machine(rental_target(rental.provider, rental.label))
    key = RentalFolder(settings.state_dir, rental.label).scoped_key()
    armed = await arm(machine, replace(rental, deadline_ts=deadline_ts), key, settings, deadline_ts)
    ledger.note(rental.label, deadline_ts=deadline_ts, stops_for=stops_for, armed=armed.how, cap_microusd=cap_microusd)
    return armed


async def _check_balance(settings: Settings, asked: Extension) -> None:
    rental = asked.rental
    async with opened(settings, (rental.provider,)) as providers:
        if not providers:
            return
        balance = (await providers[0].account()).balance_microusd
    used = time_microusd(rental.price_microusd_per_h, microseconds(max(0.0, asked.deadline_ts - steady_ts())))
    needed = balance_for(used)
    if balance < needed:
        raise UsageError(
            f"there is {money(balance)} on the {rental.provider} account; the machine costs {money(used)} until then, "
            f"so {money(needed)} should be there: an empty account ends machines, results and all. Nothing has changed",
            fix=f"add {money(needed - balance)} there, or extend by less",
            code="balance.too_low",
        )
