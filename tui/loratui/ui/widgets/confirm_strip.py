"""The question before something that can't be taken back: rows at the foot of the screen, not a window over it."""

from loratui.domain import formatting
from loratui.ui.actions import ACTIONS
from loratui.ui.frame import Frame
from loratui.ui.registry import Scope
from loratui.ui.text import Role, Row, Span
from loratui.ui.widgets.pane import Pane
from loratui.ui.widgets.status import machine

GUARD_S = 0.3
"""Keys typed this soon after the strip opened were meant for something else."""


class ConfirmStrip(Pane):
    """Asks about one scope of actions at a time."""

    scope: Scope | None = None
    _opened_s = 0.0

    def open(self, scope: Scope, frame: Frame) -> None:
        """Ask; ``frame`` is the moment at which the key was pressed."""
        self.scope = scope
        self._opened_s = frame.now_s
        self.display = True
        self.show(frame)

    def close(self) -> None:
        """Stop asking."""
        self.scope = None
        self.display = False

    def is_guarded(self, now_s: float) -> bool:
        """Return whether it is too early for an answer."""
        return now_s - self._opened_s < GUARD_S

    def title(self, frame: Frame) -> list[Span]:
        """Return what is asked, about which run."""
        verb, role = ("STOP", Role.ALARM) if self.scope is Scope.STOP_STRIP else ("LEAVE", Role.TITLE)
        return [(verb, role), (f" {frame.view.name}", Role.STRONG), (f" ({machine(frame)})", Role.DIM)]

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - three rows
        """Return what is at stake and the keys that answer."""
        if self.scope is None:
            return []
        stake = _stop_stake(frame) if self.scope is Scope.STOP_STRIP else _leave_stake(frame)
        keys: Row = [(" ", Role.TEXT)]
        for action in ACTIONS.within(self.scope):
            keys += [(action.key, Role.KEY), (f" {action.label}    ", Role.TEXT)]
        return [[(f" {stake}", Role.TEXT)], keys, [(" Enter does nothing here.", Role.DIM)]]


def _stop_stake(frame: Frame) -> str:
    view = frame.view
    spent = view.spent(frame.now_s)
    done = f"{formatting.share(view.step, view.total)} done, " if view.total else ""
    return f"{done}{formatting.money(spent.value_microusd, exact=spent.exact)} spent. What is learned so far is saved."


def _leave_stake(frame: Frame) -> str:
    view = frame.view
    if view.is_machine_gone:
        return "The machine is gone, and nothing bills any more. What was fetched is here."
    left_s = view.deadline_left_s(frame.now_s)
    until = "" if left_s is None else f", auto-stop {frame.at(frame.now_s + left_s):%H:%M}"
    price = f" at {formatting.hourly_price(view.price_microusd_per_h)}" if view.price_microusd_per_h else ""
    return f"The run goes on without this screen{price}{until}."
