"""What a run may take before it stops itself, and whether the user agrees to it."""

import difflib
import sys

from loratui.cli.arguments import Arguments
from loratui.domain import formatting
from loratui.domain.ledger import microseconds, time_microusd
from loratui.sessions import checking
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


def floor_microusd(arguments: Arguments, price_microusd_per_h: int, floor_s: float) -> int:
    """Return what a host bills at least.

    Raises:
        UsageError: that is more than the budget.
    """
    if floor_s and not price_microusd_per_h:
        print(
            "warning: ssh.billing_floor_min has no effect, an hour costs $0; set ssh.price_usd_per_h", file=sys.stderr
        )
    floor = time_microusd(price_microusd_per_h, microseconds(floor_s))
    if arguments.budget is not None and floor > arguments.budget:
        raise UsageError(
            f"the budget is {formatting.money(arguments.budget)}, and that host bills {formatting.money(floor)} at "
            f"least: {formatting.duration(floor_s)} at {formatting.hourly_price(price_microusd_per_h)}. Nothing was "
            "started",
            fix=f"--budget {formatting.dollars_at_least(floor)} or more, or correct ssh.billing_floor_min",
            code="budget.too_low",
        )
    return floor


ACCEPTABLE = (
    "deadman.none",
    "downloads.policy",
    "resume.billing",
    "network.ports",
    "upload.slow",
    "model.gated",
    "model.token",
    "model.not_base",
    "model.missing",
    "model.no_estimate",
    "model.incomplete",
    "model.unsupported",
    "model.unsafe",
    "model.format",
    "model.truncated",
    *checking.ACCEPTABLE,
)
"""Codes of refusals that ``--accept`` goes on in spite of."""


def check_accepted(arguments: Arguments) -> None:
    """Return if everything that is to be accepted could be refused: a code that is misspelt would have no effect.

    Raises:
        UsageError: it could not.
    """
    for code in arguments.accept:
        if code not in ACCEPTABLE:
            near = difflib.get_close_matches(code, ACCEPTABLE, 1, 0.6)
            raise UsageError(
                f"--accept {code}: there is no such refusal that could be accepted",
                fix=f"did you mean {near[0]}?" if near else f"one of {', '.join(ACCEPTABLE)}",
                code="usage.accept",
            )


def check_somebody_asked(arguments: Arguments) -> None:
    """Return if there is somebody to be asked before money is spent, or they want to be asked nothing.

    Raises:
        UsageError: neither is so.
    """
    if not arguments.yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "there is nobody to ask before money is spent: nothing was changed",
            fix="give --yes, and with train --budget 5",
            code="usage.unasked",
        )


def agrees(question: str, otherwise: str = "nothing was started") -> bool:
    """Return whether the person at the terminal says yes; where there is none, nobody is asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    try:
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        # What is said of it begins a line.
        print(file=sys.stderr)
        raise
    if not answer:
        print(otherwise, file=sys.stderr)
    return answer
