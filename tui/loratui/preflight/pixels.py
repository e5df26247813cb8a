"""Measures what a reduced copy of a picture shows, with Pillow's filters and plain Python: a few milliseconds each.

All is measured on a copy of one size, so that a figure means the same whatever camera a picture came from: blur and
noise that are gone at that size are gone at training size, too.
"""

import math
from collections.abc import Sequence
from statistics import fmean

from PIL import Image, ImageChops, ImageFilter, ImageStat

from loratui.preflight.facts import GREYS_PX, THUMB_PX, Pixels

COPY_PX = 768
"""Longest side of the copy: about what SD 1.5 and SDXL are trained at, and a third of the time of a megapixel."""
_PLACE_PX = 4
_TILES = 8
"""Tiles a side that blur and noise are looked for in: a sharp face before a soft ground is sharp."""
_SHARPEST = 0.9
_CALMEST, _CALMEST_OF_GRAIN = 0.25, 0.06
"""Grain is everywhere, and what has its size in a picture nearly everywhere: less of it is asked."""
_PLAIN = 1.0
"""Deviation of greys below which there is nothing that could be sharp."""
_CONTRASTED = 10.0
"""Deviation that takes edges; where it comes without any, they are blurred away."""
_STEPPED = 1.0
"""Mean step in levels, over two pixels, of a tile that has edges."""
_LEAST_STEP = 2
"""One of a level is rounding."""
_DULLEST = 0.0005
"""Where nothing is left of what is blurred."""
_LEAST_WAVE, _WAVES_OF_NOISE, _MOST_WAVE = 4, 7.0, 30
"""Levels of the Laplacian that count: more than rounding and JPEG leave, and more than most of the noise that there is.
Grain has no scale and would pass for sharpness; with more than the last, the strongest edges would be lost with it."""
_BLACK, _WHITE = 2, 253
"""JPEG moves a clipped pixel by a level or two."""
_CORNER = 16
"""A background reaches into all four corners, each one sixteenth of a side."""
_UNIFORM = 10
"""Levels that a bar may vary by: what JPEG leaves on a plain one."""
_EDGE = 24
"""Levels between a bar and the picture: a sky fades, a bar ends."""
_SUDDEN = 14
"""Levels that the mean changes by within so many rows of a bar's edge: a sky that fades takes longer."""
_SUDDEN_ROWS = 3
_DEPTH, _STAYS = 0.04, 0.4
"""Of a side behind the edge, and how much of it still differs from the bar."""
_RINGING = 8
"""Rows before an edge that JPEG may have disturbed: a block of colour, at half the size."""
_STRAIGHT = 0.5
"""Share of a bar's edge where the picture begins at once. A thing on a plain ground touches its box in few places."""
_SPECKS = 0.02
_THINNEST, _THICKEST = 0.02, 0.3
"""Shares of a side: below it is a frame's soft rim, above it is more likely a sky than a bar."""
_HASH_PX, _HASH_BITS = 32, 8

_LAPLACIAN = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)
# Immerkaer's: blind to edges and slopes, so what it leaves is noise. Its gain is 6.
_NOISE = ImageFilter.Kernel((3, 3), (1, -2, 1, -2, 4, -2, 1, -2, 1), scale=6, offset=128)
_FROM_128 = [abs(level - 128) for level in range(256)]
_STEPS = [step * (step >= _LEAST_STEP) for step in range(256)]
_COSINES = [
    [math.cos(math.pi * (2 * at + 1) * frequency / (2 * _HASH_PX)) for at in range(_HASH_PX)]
    for frequency in range(_HASH_BITS)
]


def look(copy: Image.Image, scale: float) -> Pixels:
    """Return what the copy shows, an RGB picture; ``scale`` is pixels of the picture to one of the copy."""
    # Bars are looked for in half the size: four times faster, and to two pixels as exact as needs be.
    bars = tuple(2 * side for side in _borders(copy.reduce(2)))
    grey = copy.convert("L")
    sharpness, noise = _detail(_within(grey, bars))
    small = grey.resize((_HASH_PX, _HASH_PX), Image.Resampling.BOX)
    coefficients = _cosine_transform(small.tobytes())
    left, top, right, bottom = (round(side * scale) for side in bars)
    black_share, white_share = _clipped(_within(grey, bars))
    return Pixels(
        # Of places, not pixels: grain is averaged, and the smallest drawing is more than one place.
        spread=max(round(high - low) for low, high in ImageStat.Stat(copy.reduce(_PLACE_PX)).extrema),
        sharpness=round(sharpness, 4),
        noise=round(noise, 2),
        # Averaged over 2 x 2, grain of two pixels is what noise of one pixel was before.
        grain=round(_noise(_within(grey, bars).reduce(2), _CALMEST_OF_GRAIN), 2),
        black_share=round(black_share, 4),
        white_share=round(white_share, 4),
        borders=(left, top, right, bottom),
        phash=_bits(coefficients),
        # Mirrored, every odd wave across the picture changes its sign.
        mirrored_phash=_bits([-each if at % 2 else each for at, each in enumerate(coefficients)]),
        greys=tuple(grey.resize((GREYS_PX, GREYS_PX), Image.Resampling.BOX).tobytes()),
        thumb=tuple(copy.resize((THUMB_PX, THUMB_PX), Image.Resampling.BOX).tobytes()),
        colours=_colours(copy),
        edges=_edges(small.tobytes()),
    )


def _within(grey: Image.Image, bars: Sequence[int]) -> Image.Image:
    """Return what the bars leave, without their own edge: it is sharp whatever the picture is."""
    if not any(bars):
        return grey
    left, top, right, bottom = (side and side + _RINGING for side in bars)
    return grey.crop((left, top, grey.width - right, grey.height - bottom))


def _detail(grey: Image.Image) -> tuple[float, float]:
    """Return sharpness and noise."""
    deviation = ImageStat.Stat(grey).stddev[0]
    if min(grey.size) < 4 * _TILES or deviation < _PLAIN:
        return 0.0, 0.0
    width, height = grey.size
    # The outermost pixels have no neighbours: filters copy them.
    inner = (1, 1, width - 1, height - 1)
    noise = _noise(grey, _CALMEST)
    least = min(_MOST_WAVE, _LEAST_WAVE + _WAVES_OF_NOISE * noise)
    waves = _tile_means(grey.filter(_LAPLACIAN).crop(inner).point([each * (each >= least) for each in _FROM_128]))
    across, down = (
        _tile_means(ImageChops.difference(grey.crop(one), grey.crop(other)).point(_STEPS))
        for one, other in (
            ((2, 1, width, height - 1), (0, 1, width - 2, height - 1)),
            ((1, 2, width - 1, height), (1, 0, width - 1, height - 2)),
        )
    )
    steps = [one + other for one, other in zip(across, down, strict=True)]
    # An edge that is twice as wide has half the Laplacian for the same steps, however strong it is.
    edged = sorted(wave / step for wave, step in zip(waves, steps, strict=True) if step > _STEPPED)
    if edged:
        return max(_DULLEST, edged[int(len(edged) * _SHARPEST)]), noise
    return (_DULLEST if deviation > _CONTRASTED else 0.0), noise


def _noise(grey: Image.Image, calmest: float) -> float:
    """Return the deviation of what is between neighbours and no edge, in so calm a share of the picture."""
    if min(grey.size) < 4 * _TILES:
        return 0.0
    residue = _tile_means(grey.filter(_NOISE).crop((1, 1, grey.width - 1, grey.height - 1)).point(_FROM_128))
    return math.sqrt(math.pi / 2) * sorted(residue)[int(len(residue) * calmest)]


def _tile_means(levels: Image.Image) -> Sequence[float]:
    # In floats: means of eight bits would be rounded to a level, which is more than a blurred picture has.
    tiles = levels.convert("F").resize((_TILES, _TILES), Image.Resampling.BOX).tobytes()
    return memoryview(tiles).cast("f")


def _clipped(grey: Image.Image) -> tuple[float, float]:
    """Return the shares of black and of white; what fills all four corners is a background and counts as none."""
    width, height = grey.size
    across, down = max(1, width // _CORNER), max(1, height // _CORNER)
    corners = [
        grey.crop((left, top, left + across, top + down)).histogram()
        for left in (0, width - across)
        for top in (0, height - down)
    ]
    histogram, count = grey.histogram(), width * height
    black = 0.0 if not any(any(each[_BLACK + 1 :]) for each in corners) else sum(histogram[: _BLACK + 1]) / count
    white = 0.0 if not any(any(each[:_WHITE]) for each in corners) else sum(histogram[_WHITE:]) / count
    return black, white


def _borders(copy: Image.Image) -> tuple[int, int, int, int]:
    """Return the bars left, top, right and bottom; one without another of its colour across from it is none."""
    top, bottom = _bars(copy)
    left, right = _bars(copy.crop((0, top, copy.width, copy.height - bottom)).transpose(Image.Transpose.TRANSPOSE))
    if not (top or bottom):
        # Within a frame they begin only where the ones at the sides end.
        top, bottom = _bars(copy.crop((left, 0, copy.width - right, copy.height)))
    return left, top, right, bottom


def _bars(copy: Image.Image) -> tuple[int, int]:
    """Return the heights of two bars of one colour at the top and the bottom, both 0 unless there are both."""
    top, at_top = _top_bar(copy)
    bottom, at_bottom = _top_bar(copy.transpose(Image.Transpose.FLIP_TOP_BOTTOM))
    return (top, bottom) if top and bottom and _alike(at_top, at_bottom) else (0, 0)


def _alike(one: Sequence[int], other: Sequence[int]) -> bool:
    return all(abs(a - b) <= 2 * _UNIFORM for a, b in zip(one, other, strict=True))


def _top_bar(copy: Image.Image) -> tuple[int, tuple[int, ...]]:
    """Return the height of a uniform bar at the top, 0 if there is none, and its colour."""
    width, height = copy.size
    colour = tuple(copy.crop((0, 0, width, 1)).resize((1, 1), Image.Resampling.BOX).tobytes())
    upper = copy.crop((0, 0, width, min(height, int(height * (_THICKEST + _DEPTH)) + _SUDDEN_ROWS)))
    channels = ImageChops.difference(upper, Image.new("RGB", upper.size, colour)).split()
    off = ImageChops.lighter(ImageChops.lighter(channels[0], channels[1]), channels[2])
    plain, begun = (_shares(off, limit) for limit in (_UNIFORM, _EDGE))
    rows = next((row for row, share in enumerate(begun) if share >= _STRAIGHT), 0)
    if not height * _THINNEST <= rows <= height * _THICKEST:
        return 0, colour
    is_plain = all(share <= _SPECKS for share in plain[: max(1, rows - _RINGING)])
    levels = off.resize((1, off.height), Image.Resampling.BOX).tobytes()
    is_sudden = levels[min(rows + 1, off.height - 1)] - levels[max(0, rows - _SUDDEN_ROWS + 1)] >= _SUDDEN
    beyond = begun[rows + _SUDDEN_ROWS : rows + _SUDDEN_ROWS + max(4, int(height * _DEPTH))]
    # A line that is drawn around a picture is no bar before one.
    is_picture = fmean(beyond) >= _STAYS if beyond else False
    return rows if is_plain and is_sudden and is_picture else 0, colour


def _shares(off: Image.Image, limit: int) -> list[float]:
    """Return for each row the share of pixels above the limit."""
    above = off.point([0] * (limit + 1) + [255] * (255 - limit))
    return [share / 255 for share in above.resize((1, off.height), Image.Resampling.BOX).tobytes()]


def _cosine_transform(greys: bytes) -> list[float]:
    """Return the 8 x 8 lowest frequencies of 32 x 32 greys, row by row."""
    rows = [greys[start : start + _HASH_PX] for start in range(0, len(greys), _HASH_PX)]
    waves = [[sum(a * b for a, b in zip(row, cosine, strict=True)) for row in rows] for cosine in _COSINES]
    return [sum(a * b for a, b in zip(wave, cosine, strict=True)) for cosine in _COSINES for wave in waves]


def _bits(coefficients: Sequence[float]) -> int:
    """Return a bit for each frequency: whether it is above the median. The first is the mean grey and says nothing."""
    median = sorted(coefficients[1:])[len(coefficients) // 2 - 1]
    return sum(1 << at for at, each in enumerate(coefficients) if at and each > median)


def _colours(copy: Image.Image) -> tuple[float, ...]:
    few = copy.resize((_HASH_PX, _HASH_PX), Image.Resampling.BOX).tobytes()
    counts = [0] * 64
    for red, green, blue in zip(few[::3], few[1::3], few[2::3], strict=True):
        counts[(red >> 6) << 4 | (green >> 6) << 2 | blue >> 6] += 1
    return tuple(round(math.sqrt(count / _HASH_PX**2), 4) for count in counts)


def _edges(greys: bytes) -> tuple[float, ...]:
    side = _HASH_PX
    sums = [0] * 64
    for row in range(1, side - 1):
        for column in range(1, side - 1):
            at = row * side + column
            across, down = greys[at + 1] - greys[at - 1], greys[at + side] - greys[at - side]
            strength = abs(across) + abs(down)
            # Mostly upright, mostly level, or one of the two slants.
            if abs(across) > 2 * abs(down):
                direction = 0
            elif abs(down) > 2 * abs(across):
                direction = 1
            else:
                direction = 2 if across * down > 0 else 3
            sums[(row // 8 * 4 + column // 8) * 4 + direction] += strength
    # A level or two everywhere is what JPEG leaves of a plain ground.
    total = sum(sums)
    return tuple(round(math.sqrt(each / total), 4) if total > 2 * side * side else 0.0 for each in sums)
