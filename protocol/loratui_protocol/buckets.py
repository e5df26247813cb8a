"""Which size a picture is trained at, and how it gets there: scaled until it covers its bucket, then cropped.

A bucket is a width and a height in pixels, both multiples of a step, with an area of at most the resolution's.
Pictures are never padded or stretched.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from loratui_protocol.config import TrainingConfig
from loratui_protocol.errors import ConfigError

VAE_FACTOR = 8
"""Pixels of a picture to one latent, a side."""


class Bucket(NamedTuple):
    """A size in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The way of a picture into its bucket: resize to ``resized``, then cut out ``crop`` (left, top, right, bottom)."""

    bucket: Bucket
    resized: tuple[int, int]
    crop: tuple[int, int, int, int]
    scale: float
    """Of both sides; above 1 the picture is enlarged."""

    @property
    def cropped_share(self) -> float:
        """Return the share of the picture that is cut off, 0 to 1."""
        return 1 - self.bucket.width * self.bucket.height / (self.resized[0] * self.resized[1])


def ladder(resolution: tuple[int, int], *, shortest: int, longest: int, step: int) -> tuple[Bucket, ...]:
    """Return all buckets, narrowest first: for each width the tallest that keeps the resolution's area, and its turn.

    ``shortest`` is lowered to the resolution where that is smaller, or nothing would fit.

    Raises:
        ConfigError: not even a square of one step fits.
    """
    area = resolution[0] * resolution[1]
    square = min(math.isqrt(area), longest) // step * step
    if square < step:
        raise _too_small(min(math.isqrt(area), longest), step)
    least = min(_round_up(shortest, step), square)
    sizes = {Bucket(square, square)}
    for width in range(least, longest + 1, step):
        height = min(longest, area // width) // step * step
        if height >= least:
            sizes |= {Bucket(width, height), Bucket(height, width)}
    return tuple(sorted(sizes))


def _too_small(side: int, step: int) -> ConfigError:
    """Return the error for a square of ``side`` pixels that has no room for one step."""
    return ConfigError(
        f"{side} pixels a side are too few for buckets in steps of {step} pixels",
        fix=f"raise resolution (and max_bucket_reso) to {step} or more, or lower bucket_reso_steps",
        code="config.value",
    )


def _round_up(size: int, step: int) -> int:
    return -(-size // step) * step


def choose(width: int, height: int, choices: Sequence[Bucket]) -> Bucket:
    """Return the bucket whose proportions are nearest, measured as a ratio of ratios; the larger one of equals.

    sd-scripts compares width / height by difference, which fits wide pictures better than tall ones.
    """
    proportions = math.log(width / height)

    def distance(bucket: Bucket) -> tuple[float, int]:
        off = abs(math.log(bucket.width / bucket.height) - proportions)
        return round(off, 9), -bucket.width * bucket.height

    return min(choices, key=distance)


def own_bucket(width: int, height: int, *, resolution: tuple[int, int], step: int) -> Bucket:
    """Return the bucket of a picture that is not to be enlarged: its own size, shrunk to the resolution's area.

    A side shorter than one step is one step: there is nothing smaller. Errors as in ``ladder``.
    """
    area = resolution[0] * resolution[1]
    if step * step > area:
        raise _too_small(math.isqrt(area), step)
    scale = min(1.0, math.sqrt(area / (width * height)))
    # A hair more, or 512.0 computed as 511.999... would lose a whole step.
    sides = [max(step, int(side * scale + 1e-6) // step * step) for side in (width, height)]
    # Rounding a short side up to one step must not push the area over the limit.
    short = min(sides)
    return Bucket(*(min(side, max(step, area // short // step * step)) if side > short else side for side in sides))


def cover(width: int, height: int, bucket: Bucket) -> Placement:
    """Return how a picture of this size covers the bucket: scaled as little as possible, cropped to the centre."""
    scale = max(bucket.width / width, bucket.height / height)
    resized = max(bucket.width, round(width * scale)), max(bucket.height, round(height * scale))
    left, top = (resized[0] - bucket.width) // 2, (resized[1] - bucket.height) // 2
    crop = left, top, left + bucket.width, top + bucket.height
    return Placement(bucket=bucket, resized=resized, crop=crop, scale=scale)


def as_it_is(bucket: Bucket) -> Placement:
    """Return the placement of a picture that has the bucket's size: nothing is done to it."""
    return cover(bucket.width, bucket.height, bucket)


def place(sizes: Sequence[tuple[int, int]], config: TrainingConfig) -> tuple[Placement, ...]:
    """Return a placement for each picture size (width, height), by the config's bucket settings.

    Raises:
        ConfigError: the resolution and the bucket settings leave no possible size.
    """
    step = config.bucket_reso_steps
    if config.enable_bucket and step % VAE_FACTOR:
        raise _not_for_the_vae("bucket_reso_steps", str(step))
    if not config.enable_bucket and any(side % VAE_FACTOR for side in config.resolution):
        raise _not_for_the_vae("resolution", "x".join(map(str, config.resolution)))
    if config.enable_bucket and not config.bucket_no_upscale:
        choices = ladder(config.resolution, shortest=config.min_bucket_reso, longest=config.max_bucket_reso, step=step)
    else:
        choices = (Bucket(*config.resolution),)

    def bucket(width: int, height: int) -> Bucket:
        if config.enable_bucket and config.bucket_no_upscale:
            return own_bucket(width, height, resolution=config.resolution, step=step)
        return choose(width, height, choices)

    return tuple(cover(width, height, bucket(width, height)) for width, height in sizes)


def drawn_size(resolution: tuple[int, int]) -> tuple[int, int]:
    """Return the (width, height) of what is drawn: with buckets a resolution is an area, and its sides any numbers."""
    width, height = resolution
    return width // VAE_FACTOR * VAE_FACTOR, height // VAE_FACTOR * VAE_FACTOR


def _not_for_the_vae(key: str, value: str) -> ConfigError:
    return ConfigError(
        f"{key} = {value} doesn't divide by {VAE_FACTOR}, the pixels of one latent",
        fix=f"choose multiples of {VAE_FACTOR}; 64 is usual",
        code="config.value",
    )
