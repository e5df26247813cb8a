"""What is asked before something that can't be taken back: about what, and what is at stake. Numbers stay live."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loratui.domain import formatting
from loratui.domain.known_price import is_price_known
from loratui.domain.overview import RentalLine
from loratui.domain.run import RunView
from loratui.domain.run_stop import goes_to
from loratui.ui.errands import Errand, is_renting
from loratui.ui.frame import Frame
from loratui.ui.terminating import rental_name
from loratui.ui.text import Role, Span
from loratui.ui.widgets.renting_rows import whether_it_bills
from loratui.ui.widgets.status import machine

if TYPE_CHECKING:
    from loratui.sessions.config_plan import ConfigPlan

_NUM_NAMED = 3
_AFTER_STOP = "f: its machine ends once the files are here, or is kept if you said --keep. t: it ends then in any case."
_TITLE_OF_NONE: tuple[Span, ...] = (("LEAVE", Role.TITLE),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question at one moment; ``stake`` is a sentence or two on what follows, ``more`` what does not fit there."""

    title: tuple[Span, ...]
    stake: str
    more: tuple[str, ...] = ()


def ask_stop(frame: Frame) -> Question:
    """Ask whether the open run is to be stopped."""
    view = frame.view
    spent = view.spent(frame.now_s)
    end = goes_to(view)
    done = f"{formatting.share(view.step, end)} done, " if end else ""
    paid = f"{formatting.money(spent.value_microusd, exact=spent.exact)} spent"
    if not is_price_known(view):
        paid = "at a price that is not known"
    is_rented = view.rental is not None and not view.rental.is_over
    return Question(
        title=_about(frame, "STOP", Role.ALARM),
        stake=f"{done}{paid}. What is {'drawn' if view.tries_out else 'learned'} so far is saved.",
        more=(_AFTER_STOP,) if is_rented else (),
    )


def ask_leave(
    frame: Frame, ending: Sequence[str] = (), unasked: Sequence[str] = (), kept: Sequence[str] = ()
) -> Question:
    """Ask whether what goes on is to be left alone.

    ``ending``: names of rentals whose end is asked for as this closes; ``unasked``: of those that wait for files, and
    whose end will not be asked for then. ``kept`` says what becomes of changes that are not written.
    """
    rentals = [rental for rental in frame.overview.rentals if rental_name(rental) not in ending]
    is_ended = any(_is_on(frame.run, rental) for rental in frame.overview.rentals if rental not in rentals)
    run = frame.run
    goes_on = run is not None and not run.state.is_final and not run.is_machine_gone and not is_ended
    stake, title = "", _TITLE_OF_NONE
    if run is not None and goes_on:
        title = _about(frame, "LEAVE", Role.TITLE)
        left_s = run.deadline_left_s(frame.now_s)
        mark = "" if frame.is_current else formatting.APPROXIMATELY
        until = "" if left_s is None else f", auto-stop {mark}{frame.at(frame.now_s + left_s):%H:%M}"
        price = f" at {formatting.hourly_price(run.price_microusd_per_h)}" if run.price_microusd_per_h else ""
        if not is_price_known(run):
            price = " at a price that is not known"
        stake = f"The run goes on without this screen{price}{until}."
    others = [rental for rental in rentals if not goes_on or not _is_on(run, rental)]
    rows = [stake] if stake else []
    rows += [_rental_goes_on(rental) for rental in others[:_NUM_NAMED]]
    if len(others) > _NUM_NAMED:
        price = formatting.hourly_price(sum(rental.price_microusd_per_h for rental in others[_NUM_NAMED:]))
        rows.append(f"{len(others) - _NUM_NAMED} more bill on at {price}: loratui rentals")
    rows += [_errand_goes_on(errand, frame) for errand in frame.errands]
    keeps = frame.keys.name_of("terminate_undo")
    if frame.overview.trouble:
        rows.append(f"! What is rented is not known, and may bill on: {frame.overview.trouble}.")
    rows += [f"! {name} is terminated when this closes, as was confirmed; {keeps} keeps it." for name in ending]
    rows += [f"! {name} is not terminated if this closes now: its files are not here yet." for name in unasked]
    if not rows:
        rows.append(f"Nothing goes on, and nothing{'' if frame.overview.is_all_known else ' from here'} bills.")
    rows += kept
    return Question(title=title, stake=rows[0], more=tuple(rows[1:]))


def _errand_goes_on(errand: Errand, frame: Frame) -> str:
    """Return that a command goes on; of one that rents whether it bills yet, and how it is ended later."""
    if not is_renting(errand):
        return f"{errand.name} goes on by itself."
    words = "".join(text for text, _ in whether_it_bills(frame, errand)).strip()
    return f"{errand.name} goes on by itself ({words}); loratui rentals shows it, loratui terminate ends it."


def _is_on(run: RunView | None, rental: RentalLine) -> bool:
    return run is not None and rental.target == run.target and not rental.is_elsewhere


def _rental_goes_on(rental: RentalLine) -> str:
    """Return at what price a rental goes on, and until when."""
    price = formatting.hourly_price(rental.price_microusd_per_h)
    until = "without an auto-stop"
    if rental.deadline_ts is not None:
        until = f"until {formatting.day_and_time(rental.deadline_ts)[-len('15:03') :]} at the latest"
    minded = ", and nobody minds it" if rental.is_orphan else ""
    if rental.is_elsewhere:
        until, minded = "until its own auto-stop", "; it was not rented from here"
    return f"{rental_name(rental)} bills on at {price}, {until}{minded}."


def ask_write(target: Path, num_keys: int, *, is_new: bool, is_whole: bool) -> Question:
    """Ask whether a config is to be written; ``is_whole``: it can be trained as it is."""
    differing = "1 key differs" if num_keys == 1 else f"{num_keys} keys differ"
    what = "a new file" if is_new else differing
    errors = "" if is_whole else ". It has errors, and can't be trained yet."
    return Question(
        title=(("WRITE", Role.TITLE), (f" {target.name}", Role.STRONG), (f" ({what})", Role.DIM)),
        stake=f"{formatting.homely(target)}{errors}",
    )


def ask_train(plan: "ConfigPlan", price_microusd_per_h: int) -> Question:
    """Ask where a config is to be trained, with what it costs on this machine."""
    steps = plan.plan.stop_step if plan.plan else 0
    price = formatting.hourly_price(price_microusd_per_h) if price_microusd_per_h else "nothing is rented"
    number = plan.num_warnings
    warned = f" {number} warning{'s' if number > 1 else ''}: see the plan." if number else ""
    return Question(
        title=(("TRAIN", Role.TITLE), (f" {plan.name}", Role.STRONG), (f" ({steps} steps)", Role.DIM)),
        stake=f"On this machine: {price}.{warned} The run goes on without this screen.",
    )


def _about(frame: Frame, verb: str, role: Role) -> tuple[Span, ...]:
    return (verb, role), (f" {frame.view.name}", Role.STRONG), (f" ({machine(frame)})", Role.DIM)
