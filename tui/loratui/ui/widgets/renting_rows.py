"""The two rows while a machine is rented and no run has begun there: how far that is, and whether it bills yet."""

from loratui.domain import formatting
from loratui.domain.boot_steps import NUM_STEPS, step_of_rental
from loratui.domain.overview import RentalLine
from loratui.domain.rental import RentalState
from loratui.ui.errands import Errand, is_renting
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span

_UNSENT = ("", RentalState.INTENT)


def renting(frame: Frame) -> Errand | None:
    """Return the command that rents now; a run that is open and goes on has the rows for itself."""
    if frame.run is not None and not frame.run.state.is_final:
        return None
    return next((errand for errand in frame.errands if is_renting(errand)), None)


def coming(frame: Frame) -> RentalLine | None:
    """Return the rental that is being brought about, as the ledger has it; None: nothing was asked for yet."""
    taken = {run.target for run in frame.overview.runs}
    return next(
        (
            rental
            for rental in frame.overview.rentals
            if rental.is_minded and rental.target not in taken and rental.state != RentalState.ENDING
        ),
        None,
    )


def badge(frame: Frame, errand: Errand) -> list[Span]:
    """Return the state: which of seven steps goes on once a machine is there, for how long, and what is said of it."""
    rental = coming(frame)
    age = formatting.stopwatch(max(0.0, frame.now_s - errand.started_s))
    step = 1 if rental is None else step_of_rental(rental.state)
    words = f" ◐ RENTING {age}" if step == 1 else f" ◐ BOOT {step}/{NUM_STEPS} {age}"
    if rental is not None and rental.state == RentalState.UNKNOWN:
        words = f" ! RENTED? {age}"
    return [(words, Role.WARN), (f"   {errand.last_line()}", Role.TEXT)]


def whether_it_bills(frame: Frame, errand: Errand) -> Row:
    """Return what was agreed to, and since when the ledger takes it for billing."""
    rental = coming(frame)
    agreed: Row = [(" · ".join(("", *_agreed(errand))), Role.TEXT)]
    state = "" if rental is None else rental.state
    if not frame.overview.is_read or frame.overview.trouble:
        return [(" whether it bills is not known: the records can't be read", Role.ALARM), *agreed]
    if rental is None or state in _UNSENT:
        return [(" not billing yet", Role.STRONG), *agreed]
    if state == RentalState.CREATING:
        return [(" asked for: it may bill from now on", Role.WARN), *agreed]
    if state == RentalState.UNKNOWN:
        return [(" its provider's answer was lost: assume that it is billing", Role.ALARM), *agreed]
    spent = formatting.money(rental.spent_microusd, exact=False)
    price = formatting.hourly_price(rental.price_microusd_per_h)
    return [(f" {spent} spent", Role.STRONG), (f" · {price}", Role.TEXT), *_cap(errand)]


def _agreed(errand: Errand) -> list[str]:
    """Return the highest price and the budget that the command was sent out with."""
    price, budget = _value(errand, "--max-price"), _value(errand, "--budget")
    return [*([f"quote ${price}/h"] if price else []), *([f"at most ${budget}"] if budget else [])]


def _cap(errand: Errand) -> Row:
    budget = _value(errand, "--budget")
    return [(f" · at most ${budget}", Role.TEXT)] if budget else []


def _value(errand: Errand, name: str) -> str:
    return errand.argv[errand.argv.index(name) + 1] if name in errand.argv[:-1] else ""
