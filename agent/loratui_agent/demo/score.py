"""Exact judgement of generated pictures: which shape, which colour, which ground, and is the demo concept there.

Colours are the nearest of the eight palette colours; shapes are matched by the overlap of the object's outline with
templates drawn by ``scenes``. On freshly drawn pictures this is right for all but a few in a thousand.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from loratui_agent.demo import scenes
from loratui_agent.demo.concept import Concept

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

COLOUR_NAMES = list(scenes.COLOURS)
_PALETTE = np.array([scenes.COLOURS[name] for name in COLOUR_NAMES], float)
_TEMPLATE_PX = 24
_OBJECT_DISTANCE = 50.0
"""Distance in RGB from the ground's colour beyond which a pixel belongs to the object."""

MIN_HALF_SHARE = 0.5
"""A half of the concept has its colour when most of its pixels are nearer to it than to any other of the eight."""
MIN_OVERLAP = 0.6
"""Intersection over union with the concept's outline that counts as its shape."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a picture shows; ``shape`` and ``colour`` are None when there is no clear object."""

    ground: str
    colour: str | None
    shape: str | None


@dataclass(frozen=True, slots=True)
class Skills:
    """Shares of pictures, 0 to 1, that show what their prompt names."""

    shape: float
    colour: float
    ground: float
    all_three: float
    num_pictures: int


def describe(picture: Image.Image) -> Description:
    """Return the shape, colour and ground that the picture shows."""
    pixels, ground, mask = _segment(picture)
    ground_name = COLOUR_NAMES[int(_nearest(ground))]
    normal = _normal_mask(mask)
    if normal is None:
        return Description(ground_name, None, None)
    colour = COLOUR_NAMES[int(_nearest(np.median(pixels[mask], 0)))]
    overlaps = {shape: _overlap(normal, template) for shape, template in _templates().items()}
    return Description(ground_name, colour, max(overlaps, key=lambda shape: overlaps[shape]))


def base_skills(pictures: Sequence[Image.Image], combinations: Sequence[scenes.Combination]) -> Skills:
    """Return how many pictures show the combination that their prompt asked for."""
    right = np.array(
        [
            [d.shape == shape, d.colour == colour, d.ground == ground]
            for d, (shape, colour, ground) in zip(map(describe, pictures), combinations, strict=True)
        ]
    )
    shape, colour, ground = (float(share) for share in right.mean(0))
    return Skills(shape, colour, ground, float(right.all(1).mean()), len(right))


def shows_concept(picture: Image.Image, concept: Concept) -> bool:
    """Return whether the picture holds the concept: its outline, and both colours on their own sides."""
    pixels, _, mask = _segment(picture)
    normal = _normal_mask(mask)
    if normal is None or _overlap(normal, _templates()[concept.shape]) < MIN_OVERLAP:
        return False
    names = _nearest(pixels)
    ys, xs = np.nonzero(_inside(mask))
    if not len(ys):
        return False
    along = xs if concept.split == "left-right" else ys
    middle = (along.min() + along.max()) / 2
    # The seam is blended by the VAE: pixels within an eighth of the width around it count for neither side.
    seam = (along.max() - along.min()) / 16
    sides = (along < middle - seam, along > middle + seam)
    shares = [
        float((names[ys[side], xs[side]] == COLOUR_NAMES.index(colour)).mean()) if side.any() else 0.0
        for side, colour in zip(sides, concept.colours, strict=True)
    ]
    return min(shares) >= MIN_HALF_SHARE


def _nearest(rgb: Array) -> npt.NDArray[np.intp]:
    nearest: npt.NDArray[np.intp] = np.argmin(((rgb[..., None, :] - _PALETTE) ** 2).sum(-1), -1)
    return nearest


def _segment(picture: Image.Image) -> tuple[Array, Array, Mask]:
    """Return pixels (H, W, 3), the ground's colour (3,) and the object's mask (H, W)."""
    pixels = np.asarray(picture.convert("RGB"), float)
    frame = [pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]]
    ground = np.median(np.concatenate([edge.reshape(-1, 3) for edge in frame]), 0)
    return pixels, ground, np.linalg.norm(pixels - ground, axis=-1) > _OBJECT_DISTANCE


def _inside(mask: Mask) -> Mask:
    """Return the mask without its outermost pixels, whose colour is mixed with the ground's."""
    inside = mask.copy()
    for shift in (1, -1):
        for axis in (0, 1):
            inside &= np.roll(mask, shift, axis)
    return inside


def _normal_mask(mask: Mask) -> Array | None:
    """Crop to the object, keep its proportions, resample to a small square; None when there is no object."""
    ys, xs = np.where(mask.sum(1) >= 2)[0], np.where(mask.sum(0) >= 2)[0]
    if len(ys) < 4 or len(xs) < 4 or mask.sum() < 40:
        return None
    crop = mask[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1].astype(np.uint8) * 255
    side = max(crop.shape)
    box = np.zeros((side, side), np.uint8)
    top, left = (side - crop.shape[0]) // 2, (side - crop.shape[1]) // 2
    box[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    small = Image.fromarray(box).resize((_TEMPLATE_PX, _TEMPLATE_PX), Image.Resampling.BILINEAR)
    return np.asarray(small, float) / 255


def _overlap(first: Array, second: Array) -> float:
    return float(np.minimum(first, second).sum() / np.maximum(first, second).sum())


@lru_cache(maxsize=1)
def _templates() -> dict[str, Array]:
    rng = random.Random(99)
    templates = {}
    for shape in scenes.SHAPES:
        drawn = [scenes.draw_shape(rng, shape, size, (0, 0, 0), (255, 255, 255)) for size in ["small", "", "big"] * 8]
        masks = [_normal_mask(_segment(picture)[2]) for picture in drawn]
        templates[shape] = np.mean([mask for mask in masks if mask is not None], 0)
    return templates
