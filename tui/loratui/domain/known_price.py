"""Whether it is known what a machine costs: of another one than this somebody has to have said so. Pure."""

from loratui.domain.overview import RunLine
from loratui.domain.run import RunView

SSH_PRICE = "ssh.price_usd_per_h"
"""The setting that says what a machine of the user's own costs."""


def is_price_known(view: RunView) -> bool:
    """Return whether it is known what the time of a run costs."""
    return view.target == "local" or view.price_microusd_per_h > 0 or view.rental is not None


def is_cost_known(line: RunLine) -> bool:
    """Return whether it is known what a run in the records has cost."""
    return line.target == "local" or line.price_microusd_per_h > 0 or line.spent_microusd > 0
