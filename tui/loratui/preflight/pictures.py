"""Judges pictures one by one: what of each training would not show as its owner sees it."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import fmean

from loratui.preflight.facts import BLANK, PictureFacts
from loratui.preflight.looked import Looked, about, counted, first, shown
from loratui_protocol.findings import Finding, with_paths

EXTREME_ASPECT = 3.0
"""Beyond 1:3 a bucket of an SD model has less than 600 of its 1024 pixels on the short side."""
SHOWS_TRANSPARENT = 0.01
"""Share of transparent pixels: less is the soft rim of a picture that fills its frame."""
POOR_QUALITY = 50
"""JPEG quality at which blocks begin to show in flat places; cameras save at 90, sites at 75 and more."""
STRONG_BLOCKING = 1.5
"""Steps at every eighth pixel over those between. Of 84 pictures without blocks none is above, nor of 31 JPEGs of
quality 90 saved anew; of those of quality 50 a third is, of 30 half, of 10 five in six: texture hides some."""
_AVERAGED = 2.0
"""Blocks that shrink to less than half are averaged away before training sees them."""
SMALL = ((512, "SD 1.5"), (1024, "SDXL"))


def picture_findings(looked: Sequence[Looked], resolution: tuple[int, int] | None) -> Iterator[Finding]:
    """Yield what is to be said of pictures that can be decoded; ``resolution`` None: it isn't known yet."""
    whole = [each for each in looked if not each.facts.fault and not each.is_mask]
    yield from _blank(whole)
    yield from _kinds(whole)
    yield from _shapes(whole, resolution)
    yield from _compressed(whole, resolution)
    yield from _borders(whole)


def _those(looked: Iterable[Looked], has: Callable[[PictureFacts], bool]) -> list[Looked]:
    return [each for each in looked if has(each.facts)]


def _blank(looked: Sequence[Looked]) -> Iterator[Finding]:
    if those := _those(looked, lambda facts: facts.is_blank):
        notes = [_colour(each.facts) for each in those]
        what = "of one colour and nothing else"
        yield about("picture.blank", "warning", what, those, "replace them, or leave them out", notes=notes)


def _colour(facts: PictureFacts) -> str:
    if facts.pixels is None:
        return ""
    levels = [round(fmean(facts.pixels.thumb[channel::3])) for channel in range(3)]
    if max(levels) <= BLANK:
        return "black"
    return "white" if min(levels) >= 255 - BLANK else f"#{bytes(levels).hex()}"


def _kinds(looked: Sequence[Looked]) -> Iterator[Finding]:
    if those := _those(looked, lambda facts: facts.mode[0] in "IF"):
        yield about(
            "picture.sixteen_bit",
            "error",
            "grey with 16 bits, which training would show as all white",
            those,
            "save them with 8 bits a channel",
        )
    if those := _those(looked, lambda facts: facts.num_frames > 1):
        notes = [f"{each.facts.num_frames} frames" for each in those]
        fix = "keep the frames that you want as pictures of their own"
        yield about("picture.animated", "warning", "animated; only the first frame counts", those, fix, notes=notes)
    if those := _those(looked, lambda facts: facts.mode == "CMYK"):
        yield about(
            "picture.cmyk",
            "warning",
            "in CMYK; converted without its profile the colours change",
            those,
            "save them as sRGB",
        )
    if those := _those(looked, lambda facts: facts.wide_gamut):
        yield about(
            "picture.colour_profile",
            "warning",
            "in a colour space far from sRGB; training ignores profiles, so the colours come out wrong",
            those,
            "convert them to sRGB",
        )
    seen_through = [
        each for each in looked if each.facts.transparent_share > SHOWS_TRANSPARENT and not each.alpha_is_mask
    ]
    if seen_through:
        yield about(
            "picture.transparent",
            "warning",
            "transparent in part; training shows white there, and the LoRA learns it",
            seen_through,
            "give them a background, or set alpha_mask = true to learn only what is opaque",
            notes=[f"{each.facts.transparent_share:.0%}" for each in seen_through],
        )
    if those := _those(looked, lambda facts: facts.mode in ("P", "PA")):
        yield about("picture.palette", "info", "in at most 256 colours", those, "use the originals, if there are any")
    if those := _those(looked, lambda facts: facts.is_turned):
        yield about("picture.turned", "info", "stored in another position; training turns them upright", those, "")


def _shapes(looked: Sequence[Looked], resolution: tuple[int, int] | None) -> Iterator[Finding]:
    extreme = sorted(
        _those(looked, lambda facts: _aspect(facts) > EXTREME_ASPECT), key=lambda each: -_aspect(each.facts)
    )
    if extreme:
        notes = [f"{each.facts.width}x{each.facts.height}" for each in extreme]
        what = f"longer than 1:{EXTREME_ASPECT:.0f}; what does not fit a bucket is cropped away"
        yield about("picture.extreme_aspect", "warning", what, extreme, "crop them to what matters", notes=notes)
    if resolution is None:
        yield from _small(looked)


def _aspect(facts: PictureFacts) -> float:
    return max(facts.width, facts.height) / max(1, min(facts.width, facts.height))


def _small(looked: Sequence[Looked]) -> Iterator[Finding]:
    """Yield how many would be enlarged for the usual resolutions: a folder by itself names none."""
    fewest = {side: [each for each in looked if each.facts.width * each.facts.height < side**2] for side, _ in SMALL}
    (least, _), (most, _) = SMALL
    if not fewest[most]:
        return
    worst = min(fewest[most], key=lambda each: each.facts.width * each.facts.height)
    words = [f"{len(fewest[side])} for {model} ({side}x{side})" for side, model in SMALL if fewest[side]]
    factor = (least if fewest[least] else most) / math.sqrt(worst.facts.width * worst.facts.height)
    found = Finding(
        code="picture.small",
        severity="warning" if fewest[least] else "info",
        what=f"of {len(looked)} pictures some are too small: {', '.join(words)}; {shown(worst.name)} "
        f"({worst.facts.width}x{worst.facts.height}) would be enlarged {factor:.1f} times",
        fix="use larger originals, or train at a resolution that they have",
        path=str(worst.path),
    )
    yield with_paths(found, [each.name for each in fewest[most]])


def _compressed(looked: Sequence[Looked], resolution: tuple[int, int] | None) -> Iterator[Finding]:
    width, height = resolution or (SMALL[-1][0],) * 2
    those, notes = [], []
    for each in looked:
        facts = each.facts
        if facts.is_blank or math.sqrt(facts.width * facts.height / (width * height)) >= _AVERAGED:
            continue
        if facts.jpeg_quality is not None and facts.jpeg_quality < POOR_QUALITY:
            those.append(each)
            notes.append(f"JPEG quality ≈{facts.jpeg_quality}")
        elif facts.blocking is not None and facts.blocking > STRONG_BLOCKING:
            those.append(each)
            notes.append("blocks of an earlier JPEG")
    if those:
        what = "compressed so strongly that the LoRA may learn the blocks"
        yield about("picture.compressed", "warning", what, those, "use better copies, or leave them out", notes=notes)


def _borders(looked: Sequence[Looked]) -> Iterator[Finding]:
    framed = [
        (each, each.facts.pixels.borders) for each in looked if each.facts.pixels and any(each.facts.pixels.borders)
    ]
    if not framed:
        return
    sides = ("left", "top", "right", "bottom")
    names = [
        f"{shown(each.name)} ({', '.join(f'{side} ≈{px}' for side, px in zip(sides, borders, strict=True) if px)} px)"
        for each, borders in framed
    ]
    found = Finding(
        code="picture.borders",
        severity="warning",
        what=f"{counted(len(framed), 'framed by bars of one colour, which the LoRA learns')}: {first(names)}",
        fix="crop the bars off",
        path=str(framed[0][0].path),
    )
    yield with_paths(found, [each.name for each, _ in framed])
