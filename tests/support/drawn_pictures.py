"""Pictures drawn from a seed: photographs of a kind, and styles that must not be taken for faults."""

import random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

SIDE = 288


def photo(seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """Return a picture with a ground that fades, things of many sizes with edges, texture and a little noise."""
    rng = random.Random(seed)
    width, height = size
    ground = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270))).resize(size)
    channels = [
        ground.point([round(low + (high - low) * level / 255) for level in range(256)])
        for low, high in ((rng.randrange(20, 120), rng.randrange(120, 235)) for _ in range(3))
    ]
    picture = Image.merge("RGB", channels)
    draw = ImageDraw.Draw(picture)
    for _ in range(14):
        left, top = rng.randrange(-width // 8, width), rng.randrange(-height // 8, height)
        wide, high = rng.randrange(width // 20, width // 2), rng.randrange(height // 20, height // 2)
        colour = tuple(rng.randrange(15, 240) for _ in range(3))
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((left, top, left + wide, top + high), fill=colour)
    texture = _noise(rng, (max(1, width // 2), max(1, height // 2)), 24).resize(size)
    return _with(picture, texture, 0.5)


def soft(seed: int) -> Image.Image:
    """Return a picture in a soft style: nothing in it has an edge."""
    return photo(seed).filter(ImageFilter.GaussianBlur(6))


def line_art(seed: int) -> Image.Image:
    """Return black lines on white."""
    rng = random.Random(seed)
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.randrange(8, 16)):
        points = [(rng.randrange(40, SIDE - 40), rng.randrange(40, SIDE - 40)) for _ in range(3)]
        draw.line(points, fill="black", width=3)
    return picture


def night(seed: int) -> Image.Image:
    """Return a picture by night: black nearly everywhere, some lights, and noise."""
    rng = random.Random(seed)
    picture = Image.new("RGB", (SIDE, SIDE), (3, 3, 6))
    draw = ImageDraw.Draw(picture)
    for _ in range(25):
        x, y, radius = rng.randrange(SIDE), rng.randrange(SIDE // 3, SIDE), rng.randrange(2, 18)
        draw.ellipse((x, y, x + radius, y + radius), fill=(255, rng.randrange(150, 250), rng.randrange(60, 160)))
    return _with(picture, _noise(rng, (SIDE, SIDE), 20), 1.0)


def product(seed: int) -> Image.Image:
    """Return a thing on plain white."""
    rng = random.Random(seed)
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    thing = photo(seed, (150, 150))
    mask = Image.new("L", thing.size)
    ImageDraw.Draw(mask).ellipse((rng.randrange(22), rng.randrange(22), 127 + rng.randrange(22), 146), fill=255)
    picture.paste(thing, (rng.randrange(52, 86), rng.randrange(52, 86)), mask)
    return picture


def noisy(picture: Image.Image, sigma: float, seed: int = 0) -> Image.Image:
    """Return the picture with noise of this deviation in levels."""
    return _with(picture, _noise(random.Random(seed), picture.size, sigma), 1.0)


def _noise(rng: random.Random, size: tuple[int, int], sigma: float) -> Image.Image:
    # Pillow's own noise takes no seed.
    levels = [max(0, min(255, round(rng.gauss(128, sigma)))) for _ in range(4096)]
    count = size[0] * size[1]
    return Image.frombytes("L", size, bytes(rng.choices(levels, k=count)))


def _with(picture: Image.Image, noise: Image.Image, share: float) -> Image.Image:
    above = noise.point([max(0, round((level - 128) * share)) for level in range(256)])
    below = noise.point([max(0, round((128 - level) * share)) for level in range(256)])
    brighter = ImageChops.add(picture, Image.merge("RGB", [above] * 3))
    return ImageChops.subtract(brighter, Image.merge("RGB", [below] * 3))
