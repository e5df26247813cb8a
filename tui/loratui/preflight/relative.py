"""Finds pictures that are blurred, noisy or badly exposed as the others of their set are not.

Only the set itself is the measure: a soft style is soft throughout and night pictures are dark, which is no fault.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from loratui.preflight.facts import Pixels
from loratui.preflight.looked import Looked, about
from loratui.preflight.pictures import SHOWS_TRANSPARENT
from loratui_protocol.findings import Finding

FEWEST = 8
"""Pictures: of fewer the median says little of what is usual."""
_DEVIATIONS = 4.0
"""Times the median deviation: of a bell curve one in 140 is so far out on one side, so the factors below decide too."""
BLURRED = 6.0
"""Times less sharp than the median: a blur of two pixels at training size takes away more than that, and below a
twelfth there is only rounding."""
NOISY = 3.0
"""Times the noise of the median."""
VISIBLE_NOISE = 6.0
"""Grey levels; less is not seen at training size."""
CLIPPED = 0.2
"""More of a picture is clipped than of the median one: a fifth of it shows nothing."""
_LEAST_SPREAD = 0.25
"""Of logarithms: where nearly all pictures are equally sharp, a small difference would be many deviations."""


class _Set(NamedTuple):
    """Values of all pictures in a set, by their middle and how far they usually are from it."""

    median: float
    deviation: float


def relative_findings(looked: Sequence[Looked]) -> Iterator[Finding]:
    """Yield what sets pictures off from the rest of the training pictures; of very small sets nothing."""
    judged = [(each, each.facts.pixels) for each in looked if each.facts.pixels and not each.is_reg]
    if len(judged) < FEWEST:
        return
    yield from _blurred(judged)
    yield from _noisy(judged)
    yield from _clipped(judged)


def _set_of(values: Sequence[float], *, least: float = 0.0) -> _Set:
    median = statistics.median(values)
    return _Set(median, max(least, 1.4826 * statistics.median(abs(value - median) for value in values)))


def _blurred(judged: Sequence[tuple[Looked, Pixels]]) -> Iterator[Finding]:
    # Pictures too small or too plain to have any detail have no sharpness either.
    detailed = [(each, math.log(pixels.sharpness)) for each, pixels in judged if pixels.sharpness > 0]
    if len(detailed) < FEWEST:
        return
    usual = _set_of([value for _, value in detailed], least=_LEAST_SPREAD)
    limit = usual.median - max(math.log(BLURRED), _DEVIATIONS * usual.deviation)
    blurred = sorted(((each, value) for each, value in detailed if value < limit), key=lambda pair: pair[1])
    if blurred:
        notes = [f"1/{math.exp(usual.median - value):.0f} of the median" for _, value in blurred]
        those = [each for each, _ in blurred]
        what = "far less sharp than the rest"
        yield about("picture.blurred", "warning", what, those, "replace them, or leave them out", notes=notes)


def _noisy(judged: Sequence[tuple[Looked, Pixels]]) -> Iterator[Finding]:
    usual = _set_of([pixels.noise for _, pixels in judged])
    limit = max(VISIBLE_NOISE, NOISY * usual.median, usual.median + _DEVIATIONS * usual.deviation)
    those = [(each, pixels.noise) for each, pixels in judged if pixels.noise > limit]
    if those:
        yield about(
            "picture.noisy",
            "warning",
            f"far noisier, or finer in texture, than the rest, whose median is {usual.median:.1f} grey levels",
            [each for each, _ in those],
            "use cleaner copies, or leave them out: grain that goes in comes out",
            notes=[f"{noise:.0f} levels" for _, noise in those],
        )


def _clipped(judged: Sequence[tuple[Looked, Pixels]]) -> Iterator[Finding]:
    # What is transparent is white for training, and spoken of by itself.
    judged = [(each, pixels) for each, pixels in judged if each.facts.transparent_share <= SHOWS_TRANSPARENT]
    if len(judged) < FEWEST:
        return
    for code, what, shares in (
        ("picture.overexposed", "burnt out to plain white", [pixels.white_share for _, pixels in judged]),
        ("picture.underexposed", "lost in plain black", [pixels.black_share for _, pixels in judged]),
    ):
        usual = _set_of(shares)
        limit = usual.median + max(CLIPPED, _DEVIATIONS * usual.deviation)
        those = [(each, share) for (each, _), share in zip(judged, shares, strict=True) if share > limit]
        if those:
            yield about(
                code,
                "warning",
                f"{what} in large parts, as the rest is not",
                [each for each, _ in those],
                "use other copies, or leave them out",
                notes=[f"{share:.0%}" for _, share in those],
            )
