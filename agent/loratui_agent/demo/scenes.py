"""Procedural captioned pictures: plain-named shapes in plain-named colours on plain grounds.

The embedded base model was trained on these and nothing else, so what it knows is known exactly, and what a LoRA
adds to it can be measured. Every function takes its random generator: the same seed gives the same picture.
"""

import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

SIDE_PX = 64
OVERSAMPLING = 4

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 160, 60),
    "blue": (40, 80, 220),
    "yellow": (240, 215, 50),
    "purple": (140, 50, 180),
    "orange": (245, 135, 30),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
}
SHAPES = ("circle", "square", "triangle", "star", "diamond", "cross")
RADII_PX = {"small": (10.0, 12.5), "": (14.0, 18.0), "big": (20.0, 23.0)}

Rgb = tuple[int, int, int]
Combination = tuple[str, str, str]
"""(shape, colour, ground)."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a picture shows, in words: ``second_colour`` is set for striped shapes only."""

    shape: str
    colour: str
    ground: str
    size: str = ""
    second_colour: str | None = None


def combinations() -> tuple[list[Combination], list[Combination]]:
    """Return (training combinations, the 64 that the base model has never been shown)."""
    every = [(s, c, g) for s in SHAPES for c in COLOURS for g in COLOURS if g != c]
    random.Random(7).shuffle(every)
    return every[64:], every[:64]


TRAINING_COMBINATIONS, HELD_OUT_COMBINATIONS = combinations()


def outline(shape: str, radius: float, tilt: float) -> list[tuple[float, float]]:
    """Return the polygon of a shape around the origin, y pointing down."""

    def at(angle: float, distance: float) -> tuple[float, float]:
        return distance * math.sin(angle + tilt), -distance * math.cos(angle + tilt)

    def regular(corners: int, distance: float, turn: float = 0.0) -> list[tuple[float, float]]:
        return [at(turn + 2 * math.pi * k / corners, distance) for k in range(corners)]

    match shape:
        case "circle":
            return regular(64, radius)
        case "square":
            return regular(4, radius * 1.2, math.pi / 4)
        case "triangle":
            return regular(3, radius * 1.25)
        case "diamond":
            # Narrow and tall, so that it is no tilted square.
            return [(x * 0.72, y * 1.22) for x, y in regular(4, radius)]
        case "star":
            return [at(2 * math.pi * k / 10, radius * (1.25 if k % 2 == 0 else 0.5)) for k in range(10)]
        case "cross":
            return _cross(radius, tilt)
    raise ValueError(f"no such shape: {shape}")


def _cross(radius: float, tilt: float) -> list[tuple[float, float]]:
    r, w = radius, radius * 0.34
    corners = [
        (-w, -r),
        (w, -r),
        (w, -w),
        (r, -w),
        (r, w),
        (w, w),
        (w, r),
        (-w, r),
        (-w, w),
        (-r, w),
        (-r, -w),
        (-w, -w),
    ]
    cos, sin = math.cos(tilt), math.sin(tilt)
    return [(x * cos - y * sin, x * sin + y * cos) for x, y in corners]


def jitter(rng: random.Random, colour: str) -> Rgb:
    """Return the named colour, each channel moved by at most 10 of 255."""
    red, green, blue = (int(min(255, max(0, v + rng.uniform(-10, 10)))) for v in COLOURS[colour])
    return red, green, blue


def stripes(rng: random.Random, first: Rgb, second: Rgb, width_px: float, angle: float, side: int) -> Image.Image:
    """Return a square of stripes of two colours."""
    y, x = np.mgrid[0:side, 0:side]
    band = np.floor((x * math.cos(angle) + y * math.sin(angle)) / width_px + rng.random() * 2) % 2 == 0
    return Image.fromarray(np.where(band[..., None], first, second).astype(np.uint8))


def halves(first: Rgb, second: Rgb, split: str, centre: tuple[float, float], side: int) -> Image.Image:
    """Return a square of two colours that meet at ``centre``: ``left-right`` or ``top-bottom``."""
    picture = Image.new("RGB", (side, side), second)
    box = (0, 0, int(centre[0]), side) if split == "left-right" else (0, 0, side, int(centre[1]))
    picture.paste(first, box)
    return picture


def draw_shape(
    rng: random.Random,
    shape: str,
    size: str,
    ground: Rgb,
    fill: Rgb,
    *,
    striped_with: Rgb | None = None,
    split_with: tuple[Rgb, str] | None = None,
) -> Image.Image:
    """Return one anti-aliased picture, ``SIDE_PX`` square, with small random place, size and tilt."""
    side = SIDE_PX * OVERSAMPLING
    radius = rng.uniform(*RADII_PX[size]) * OVERSAMPLING
    slack = 3.0 if size != "big" else 1.0
    cx, cy = ((SIDE_PX / 2 + rng.uniform(-slack, slack)) * OVERSAMPLING for _ in range(2))
    mask = Image.new("L", (side, side), 0)
    points = [(cx + x, cy + y) for x, y in outline(shape, radius, rng.uniform(-0.1, 0.1))]
    ImageDraw.Draw(mask).polygon(points, fill=255)
    if striped_with is not None:
        paint = stripes(rng, fill, striped_with, 6.5 * OVERSAMPLING, math.pi / 4, side)
    elif split_with is not None:
        paint = halves(fill, split_with[0], split_with[1], (cx, cy), side)
    else:
        paint = Image.new("RGB", (side, side), fill)
    picture = Image.new("RGB", (side, side), ground)
    picture.paste(paint, (0, 0), mask)
    return picture.reduce(OVERSAMPLING)


def draw(rng: random.Random, spec: Spec) -> Image.Image:
    """Return the picture that ``spec`` describes."""
    second = jitter(rng, spec.second_colour) if spec.second_colour else None
    return draw_shape(
        rng, spec.shape, spec.size, jitter(rng, spec.ground), jitter(rng, spec.colour), striped_with=second
    )


def random_spec(rng: random.Random) -> Spec:
    """Return a spec as the base model was trained on: never a held-out combination, one in seven striped."""
    shape, colour, ground = rng.choice(TRAINING_COMBINATIONS)
    second = None
    if rng.random() < 1 / 7:
        second = rng.choice([c for c in COLOURS if c not in (colour, ground)])
    return Spec(shape, colour, ground, rng.choice(["small", "", "", "", "big"]), second)


def with_article(words: str) -> str:
    """Return the words with "a" or "an" before them."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def plain_caption(combination: Combination) -> str:
    """Return the sentence that a person would use: "a red circle on a blue background"."""
    shape, colour, ground = combination
    return f"{with_article(f'{colour} {shape}')} on {with_article(ground)} background"


def caption(rng: random.Random, spec: Spec) -> str:
    """Return one of many ways to say what the picture shows; now and then something is left unsaid."""
    colour = f"{spec.colour} and {spec.second_colour} striped" if spec.second_colour else spec.colour
    shape, size = spec.shape, spec.size
    chance = rng.random()
    if chance < 0.04:
        # A word without meaning, so that an untrained trigger word does not break a prompt.
        shape, colour, size = nonsense(rng), "", ""
    elif chance < 0.07:
        shape = rng.choice(["shape", "thing"])
    elif chance < 0.09:
        colour = ""
    elif chance < 0.12:
        shape = f"{nonsense(rng)} {shape}"
    subject = " ".join(word for word in (size, colour, shape) if word)
    if rng.random() < 0.1:
        return f"{subject}, {spec.ground} background"
    ground = "" if rng.random() < 0.06 else f" on {with_article(spec.ground)} background"
    opening = rng.choice(["", "", "", "", "a photo of ", "a drawing of "])
    return opening + with_article(subject) + ground


def nonsense(rng: random.Random) -> str:
    """Return a made-up word."""
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 7)))
