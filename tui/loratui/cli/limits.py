"""What a run may take before it stops itself, and whether the user agrees to it."""

import sys

from loratui.cli.arguments import Arguments
from loratui.domain import formatting


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


def agrees(question: str, otherwise: str = "nothing was started") -> bool:
    """Return whether the person at the terminal says yes; where there is none, nobody is asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip().lower() in ("y", "yes")
    if not answer:
        print(otherwise, file=sys.stderr)
    return answer
