"""What a run may take before it stops itself, and whether the user agrees to it."""

import sys

from loratui.cli.arguments import Arguments
from loratui.domain import formatting
from loratui_protocol.errors import UsageError


def max_runtime_s(arguments: Arguments, price_microusd_per_h: int, price_setting: str) -> float | None:
    """Return the time after which the run saves and stops: the earlier of deadline and spent budget."""
    limits = [] if arguments.deadline is None else [arguments.deadline]
    if arguments.budget is not None and price_microusd_per_h:
        limits.append(3600 * arguments.budget / price_microusd_per_h)
    elif arguments.budget is not None:
        print(
            f"warning: --budget {formatting.money(arguments.budget)} has no effect, an hour costs $0; "
            f"set {price_setting}",
            file=sys.stderr,
        )
    return min(limits, default=None)


def check_cap(arguments: Arguments, price_microusd_per_h: int) -> None:
    """Return if somebody has said, or is going to be asked, how much may be spent.

    Raises:
        UsageError: nobody has, and nobody is.
    """
    is_capped = arguments.budget is not None or arguments.deadline is not None
    if price_microusd_per_h and arguments.yes and not is_capped:
        raise UsageError(
            f"with --yes nobody is asked, and an hour costs {formatting.money(price_microusd_per_h)}: say what it may "
            "cost at most",
            fix="add --budget 5, or --deadline 2h",
            code="usage.budget",
        )


def agrees(question: str, otherwise: str = "nothing was started") -> bool:
    """Return whether the person at the terminal says yes; where there is none, nobody is asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip().lower() in ("y", "yes")
    if not answer:
        print(otherwise, file=sys.stderr)
    return answer
