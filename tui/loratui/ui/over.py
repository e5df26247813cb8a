"""What may cover the page."""

from enum import StrEnum


class Over(StrEnum):
    """What covers the page."""

    NOTHING = ""
    HELP = "help"
    PALETTE = "palette"
    COST = "cost"
