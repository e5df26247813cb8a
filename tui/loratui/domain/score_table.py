"""A table of what was measured of files at their weights: its columns, and what stands in a cell. Pure."""

import math
from collections.abc import Iterable

from loratui.domain import formatting
from loratui_protocol.judging.advice import Pair, error_of
from loratui_protocol.judging.scores import SCORES


def columns_of(pairs: Iterable[Pair]) -> list[str]:
    """Return the names of the scores that any of them has, in the order in which they are explained."""
    found = {name for pair in pairs for name in pair.means}
    return [name for name in SCORES if name in found]


def width_of(name: str) -> int:
    """Return how many characters the column of a score has."""
    return max(len(SCORES[name].title), len("-0.00 ± 0.00"))


def cell(pair: Pair, name: str) -> str:
    """Return "0.71 ± 0.02", of a single picture or prompt "0.71", of what was not measured a dash."""
    if name not in pair.means:
        return formatting.UNKNOWN
    value, error = pair.means[name].value, error_of(pair, name)
    return f"{value:.2f} ± {error:.2f}" if math.isfinite(error) else f"{value:.2f}"
