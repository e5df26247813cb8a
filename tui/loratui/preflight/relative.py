"""Finds pictures that are blurred, noisy or badly exposed as the others of their set are not.

The set itself is the measure: a soft style is soft throughout and night pictures are dark, which is no fault.
"""

import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from loratui.preflight.facts import Pixels
from loratui.preflight.looked import Looked, about
from loratui.preflight.pictures import SHOWS_TRANSPARENT
from loratui_protocol.findings import Finding

FEWEST = 8
"""Pictures: of fewer the median says little of what is usual in noise and light."""
_DEVIATIONS = 4.0
"""Times the median deviation: of a bell curve one in 140 is so far out on one side, so the factors below decide too."""
FEWEST_SHARP = 4
"""Pictures: sharpness has a measure of its own, and only asks whether the set is soft by style."""
BLURRED = 0.2
"""Sharpness of edges that are blurred by two pixels or more on the copy, three at 1024. Of 89 sharp pictures, smooth
and flat ones among them, none is below; blurred by 2.25 pixels 88 are, by 3 all (docs/decisions.md). Under grain of two
levels on the copy a blur of 3 is seen in one of four, and a hand that shook along a line is not."""
_NONE_LEFT = 50
"""Times softer than the median: what is measured there is rounding."""
LESS_SHARP = 2.0
"""Times less than the middle of the set at least, where all are a little soft."""
NOISY = 3.0
"""Times the noise of the median."""
VISIBLE_NOISE, VISIBLE_GRAIN = 6.0, 4.0
"""Grey levels; less is not seen at training size. Grain was averaged before it was measured."""
CLIPPED = 0.2
"""More of a picture is clipped than of the median one: a fifth of it shows nothing."""


class _Set(NamedTuple):
    """Values of all pictures in a set, by their middle and how far they usually are from it."""

    median: float
    deviation: float


def relative_findings(looked: Sequence[Looked]) -> Iterator[Finding]:
    """Yield what sets pictures off from the rest of the training pictures; of very small sets nothing."""
    judged = [
        (each, each.facts.pixels) for each in looked if each.facts.pixels and not (each.is_reg or each.facts.is_blank)
    ]
    yield from _blurred(judged)
    if len(judged) < FEWEST:
        return
    yield from _noisy(judged)
    yield from _clipped(judged)


def _set_of(values: Sequence[float]) -> _Set:
    median = statistics.median(values)
    return _Set(median, 1.4826 * statistics.median(abs(value - median) for value in values))


def _blurred(judged: Sequence[tuple[Looked, Pixels]]) -> Iterator[Finding]:
    # Pictures too small or too plain to have an edge have no sharpness either.
    detailed = sorted(
        ((each, pixels.sharpness) for each, pixels in judged if pixels.sharpness > 0), key=lambda pair: pair[1]
    )
    if len(detailed) < FEWEST_SHARP:
        return
    usual = statistics.median_low(sharpness for _, sharpness in detailed)
    limit = BLURRED if usual < BLURRED else min(BLURRED, usual / LESS_SHARP)
    blurred = [(each, sharpness) for each, sharpness in detailed if sharpness < limit]
    if not blurred:
        return
    those = [each for each, _ in blurred]
    if usual < BLURRED:
        yield about(
            "picture.soft",
            "info",
            f"without a sharp edge, of {len(judged)}: right for a soft style, and else what the LoRA learns",
            those,
            "use sharper originals, if that is not the style",
        )
        return
    notes = [_less(usual / sharpness) for _, sharpness in blurred]
    what = "far less sharp than the rest"
    yield about("picture.blurred", "warning", what, those, "replace them, or leave them out", notes=notes)


def _less(times: float) -> str:
    return "no edge at all" if times > _NONE_LEFT else f"edges {times:.0f} times as soft as the median's"


def _noisy(judged: Sequence[tuple[Looked, Pixels]]) -> Iterator[Finding]:
    noise, grain = [pixels.noise for _, pixels in judged], [pixels.grain for _, pixels in judged]
    limits = _noise_limit(noise, VISIBLE_NOISE), _noise_limit(grain, VISIBLE_GRAIN)
    those = [
        (each, max(pixels.noise, pixels.grain))
        for each, pixels in judged
        if pixels.noise > limits[0] or pixels.grain > limits[1]
    ]
    if those:
        yield about(
            "picture.noisy",
            "warning",
            "far noisier, or finer in texture, than the rest, whose median is "
            f"{statistics.median(map(max, noise, grain)):.1f} grey levels",
            [each for each, _ in those],
            "use cleaner copies, or leave them out: grain that goes in comes out",
            notes=[f"{levels:.0f} levels" for _, levels in those],
        )


def _noise_limit(values: Sequence[float], visible: float) -> float:
    usual = _set_of(values)
    return max(visible, NOISY * usual.median, usual.median + _DEVIATIONS * usual.deviation)


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
