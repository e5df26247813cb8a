"""How different the pictures of a set are from each other in colours, layout and edges, and which one is like none.

It sees no more than a thumbnail shows. Two faces before one wall are alike to it, one face before two walls is not:
it finds the picture that got into the wrong folder, not the wrong person.
"""

import math
import statistics
from collections.abc import Iterator, Sequence

from loratui.preflight.facts import Pixels
from loratui.preflight.looked import Looked, about
from loratui_protocol.findings import Finding

FEWEST = 10
"""Pictures: of fewer neither figure says anything."""
_NUM_NEIGHBOURS = 3
_OUTLYING = 1.6
"""Times as far from its nearest neighbours as the median picture, and so many deviations too."""
_DEVIATIONS = 5.0
_MOST_COMPARED = 600
"""Pictures: all are compared with so many, spread evenly over the set, or 5,000 of them would take minutes."""


def spread_findings(looked: Sequence[Looked]) -> Iterator[Finding]:
    """Yield the variety of the training pictures and those that stand apart, in sets of some size."""
    judged = [
        (each, each.facts.pixels) for each in looked if each.facts.pixels and not (each.is_reg or each.facts.is_blank)
    ]
    if len(judged) < FEWEST:
        return
    step = -(-len(judged) // _MOST_COMPARED)
    sample = [(each, _place(pixels)) for each, pixels in judged[::step]]
    means, nearest = [], []
    for each, pixels in judged:
        place = _place(pixels)
        # One row at a time: those of 2,000 pictures would take 50 MB.
        distances = sorted(math.dist(place, other) for there, other in sample if there is not each)
        means.append(statistics.fmean(distances))
        nearest.append(statistics.fmean(distances[:_NUM_NEIGHBOURS]))
    variety = statistics.fmean(means)
    yield Finding(
        code="picture.variety",
        severity="info",
        what=f"variety {variety:.2f}: the mean difference of two pictures in colours, layout and edges, where 0 is "
        "none and 1 is all. It compares sets with each other and says nothing of what is shown",
        path=str(judged[0][0].path.parent),
    )
    median = statistics.median(nearest)
    if median == 0:
        # Most pictures have one that shows the same to a thumbnail, as the frames of a film do.
        return
    deviation = 1.4826 * statistics.median(abs(each - median) for each in nearest)
    limit = max(_OUTLYING * median, median + _DEVIATIONS * deviation)
    apart = sorted(
        ((far, each) for far, (each, _) in zip(nearest, judged, strict=True) if far > limit), key=lambda pair: -pair[0]
    )
    if apart:
        yield about(
            "picture.outlier",
            "info",
            "unlike any other in colours, layout and edges",
            [each for _, each in apart],
            "look whether they belong here",
            notes=[f"{far / median:.1f} times as far from its neighbours" for far, _ in apart],
        )


def _place(pixels: Pixels) -> tuple[float, ...]:
    """Return where a picture is; the three parts are at most 1 apart each, and so are two places."""
    # Square roots of shares: their distance is at most the square root of 2.
    scale = 1 / math.sqrt(2 * 3)
    # Levels differ by 255 at most, of 192 of them.
    layout = 1 / (255 * math.sqrt(len(pixels.thumb) * 3))
    return (
        *(scale * each for each in pixels.colours),
        *(scale * each for each in pixels.edges),
        *(layout * each for each in pixels.thumb),
    )
