"""Whether it is known what a machine costs: of another one than this somebody has to have said so. Pure."""

from typing import Protocol

from loratui.domain import formatting
from loratui.domain.run import RunView
from loratui_protocol.events import MICROUSD_PER_USD

SSH_PRICE = "ssh.price_usd_per_h"
"""The setting that says what a machine of the user's own costs."""


class Spending(Protocol):
    """A run as some record has it."""

    @property
    def target(self) -> str:
        """Return where it is."""

    @property
    def price_microusd_per_h(self) -> int:
        """Return what an hour costs; 0: nothing, or nobody has said."""

    @property
    def spent_microusd(self) -> int:
        """Return what was counted."""


def is_price_known(view: RunView) -> bool:
    """Return whether it is known what the time of a run costs."""
    return view.target == "local" or view.price_microusd_per_h > 0 or view.rental is not None


def is_cost_known(run: Spending) -> bool:
    """Return whether it is known what a run in the records has cost."""
    return run.target == "local" or run.price_microusd_per_h > 0 or run.spent_microusd > 0


def cost_told(run: Spending, *, exact: bool) -> str:
    """Return what a run in the records has cost; not ``exact``: it may be more by now."""
    return formatting.money(run.spent_microusd, exact=exact) if is_cost_known(run) else formatting.UNKNOWN


def cost_usd(run: Spending) -> float | None:
    """Return what a run in the records has cost as scripts get it, in dollars; None: nobody knows."""
    return run.spent_microusd / MICROUSD_PER_USD if is_cost_known(run) else None
