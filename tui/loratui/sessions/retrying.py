"""How long to wait before an agent is tried again, and what is said where the fault is ours."""

from loratui_protocol.errors import LoratuiError

FIRST_RETRY_S = 0.25
LAST_RETRY_S = 30.0
STEADY_S = 5.0
"""A connection that lived so long had nothing to do with the failures before it; one that broke sooner is another."""


def retry_after_s(failures: int, chance: float) -> float:
    """Return how long to wait after so many failures in a row; ``chance`` (0 to 1) spreads clients out."""
    longest = min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(failures - 1, 20))
    return longest * (0.5 + 0.5 * chance)


def fault(error: Exception) -> LoratuiError:
    """Return what a person is told of a fault of ours, whatever it was."""
    return LoratuiError(
        f"this run can't be followed because of a fault of loratui ({type(error).__name__}); the run goes on",
        fix="loratui support writes down what helps to find it",
        code="client.fault",
    )
