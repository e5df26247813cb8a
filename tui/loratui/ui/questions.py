"""What is asked before something that can't be taken back: about what, and what is at stake. Numbers stay live."""

from dataclasses import dataclass
from pathlib import Path

from loratui.domain import formatting
from loratui.sessions.config_plan import ConfigPlan
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Span
from loratui.ui.widgets.status import machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question at one moment; ``stake`` is a sentence or two on what follows."""

    title: tuple[Span, ...]
    stake: str


def ask_stop(frame: Frame) -> Question:
    """Ask whether the open run is to be stopped."""
    view = frame.view
    spent = view.spent(frame.now_s)
    done = f"{formatting.share(view.step, view.total)} done, " if view.total else ""
    paid = formatting.money(spent.value_microusd, exact=spent.exact)
    return Question(
        title=_about(frame, "STOP", Role.ALARM), stake=f"{done}{paid} spent. What is learned so far is saved."
    )


def ask_leave(frame: Frame) -> Question:
    """Ask whether the open run is to be left alone."""
    view = frame.view
    if view.is_machine_gone:
        stake = "The machine is gone, and nothing bills any more. What was fetched is here."
    else:
        left_s = view.deadline_left_s(frame.now_s)
        until = "" if left_s is None else f", auto-stop {frame.at(frame.now_s + left_s):%H:%M}"
        price = f" at {formatting.hourly_price(view.price_microusd_per_h)}" if view.price_microusd_per_h else ""
        stake = f"The run goes on without this screen{price}{until}."
    return Question(title=_about(frame, "LEAVE", Role.TITLE), stake=stake)


def ask_write(target: Path, num_keys: int, *, is_new: bool, is_whole: bool) -> Question:
    """Ask whether a config is to be written; ``is_whole``: it can be trained as it is."""
    differing = "1 key differs" if num_keys == 1 else f"{num_keys} keys differ"
    what = "a new file" if is_new else differing
    errors = "" if is_whole else ". It has errors, and can't be trained yet."
    return Question(
        title=(("WRITE", Role.TITLE), (f" {target.name}", Role.STRONG), (f" ({what})", Role.DIM)),
        stake=f"{target}{errors}",
    )


def ask_train(plan: ConfigPlan, price_microusd_per_h: int) -> Question:
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
