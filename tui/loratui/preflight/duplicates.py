"""Finds pictures that are there more than once: the same bytes, nearly the same picture, or its mirror image."""

from collections.abc import Iterable, Iterator, Sequence
from statistics import correlation, fmean

from loratui.preflight.facts import GREYS_PX, THUMB_PX, Pixels
from loratui.preflight.looked import Looked, first, shown
from loratui_protocol.findings import Finding, Severity, with_paths

NEAR_BITS = 6
"""Bits of 64 in which hashes of two copies may differ: other sizes and qualities change up to 4, other pictures 20
and more."""
_NEAR_LEVELS = 16
"""Mean difference of two thumbnails in levels, once both are equally bright: one outline in other colours is another
picture."""
_NEAR_CORRELATION = 0.98
"""Of the small greys: two things of one outline on a plain ground reach 0.97, a copy cropped by a hundredth 0.985."""
_SYMMETRIC_BITS = 2 * NEAR_BITS
"""A picture so near to its own mirror image has no side that could be changed."""
_PLAIN_LEVELS = 12
"""A thumbnail that varies less shows nothing: all plain grounds would be copies of each other."""
_BANDS = NEAR_BITS + 1
"""Two hashes that differ in so few bits are equal in one of the bands: only those are compared."""
_BAND_BITS = -(-64 // _BANDS)


def duplicate_findings(looked: Sequence[Looked]) -> Iterator[Finding]:
    """Yield which pictures are copies of others, among those for training and across to those for regularisation."""
    whole = [each for each in looked if not each.facts.fault and not each.is_mask]
    same = _same_bytes(whole)
    yield from _told(
        [group for group in same if not _crosses(group)],
        "picture.duplicate",
        "the same file under several names",
        "remove all but one; to show a picture more often, raise num_repeats",
    )
    # One of each is enough for the rest, or copies of a near copy would be told twice.
    copies = {id(each) for group in same for each in group[1:]}
    single = [each for each in whole if id(each) not in copies]
    near, mirrored = _alike(single)
    across = [group for group in (*same, *near) if _crosses(group)]
    yield from _told(
        [group for group in near if not _crosses(group)],
        "picture.near_duplicate",
        "nearly the same picture",
        "keep the best one: the LoRA learns what is shown twice twice as much",
    )
    yield from _told(
        mirrored,
        "picture.mirrored",
        "mirror images of each other",
        "keep one; flip_aug = true mirrors all pictures alike",
        severity="info",
    )
    yield from _told(
        across,
        "picture.duplicate_in_reg",
        "both for training and for regularisation",
        "remove it from the regularisation folder: there it teaches the opposite",
    )


def _told(
    groups: Sequence[Sequence[Looked]], code: str, what: str, fix: str, *, severity: Severity = "warning"
) -> Iterator[Finding]:
    if groups:
        named = [" = ".join(_name(each) for each in group[:4]) + (" ..." if len(group) > 4 else "") for group in groups]
        number = "once" if len(groups) == 1 else f"{len(groups)} times"
        found = Finding(
            code=code,
            severity=severity,
            what=f"{what}, {number}: {first(named)}",
            fix=fix,
            path=str(groups[0][0].path),
        )
        yield with_paths(found, [each.name for group in groups for each in group])


def _name(each: Looked) -> str:
    return shown(each.name)


def _crosses(group: Iterable[Looked]) -> bool:
    return len({each.is_reg for each in group}) > 1


def _same_bytes(whole: Iterable[Looked]) -> list[list[Looked]]:
    by_hash: dict[str, list[Looked]] = {}
    for each in whole:
        by_hash.setdefault(each.facts.sha256, []).append(each)
    return [group for group in by_hash.values() if len(group) > 1]


def _alike(single: Sequence[Looked]) -> tuple[list[list[Looked]], list[list[Looked]]]:
    """Return groups of pictures that are nearly the same, and pairs that are once they are mirrored."""
    compared = [(each, each.facts.pixels) for each in single if each.facts.pixels and not _is_plain(each.facts.pixels)]
    hashes = [pixels.phash for _, pixels in compared]
    groups = list(range(len(compared)))

    def root(index: int) -> int:
        while groups[index] != index:
            index = groups[index]
        return index

    for one, other in _near_pairs(hashes, hashes):
        # Of a film's frames most are joined before they are compared.
        if root(one) != root(other) and _is_copy(compared[one][1], compared[other][1]):
            groups[max(root(one), root(other))] = min(root(one), root(other))
    near: dict[int, list[Looked]] = {}
    for index, (each, _) in enumerate(compared):
        near.setdefault(root(index), []).append(each)
    mirrored: dict[int, int] = {}
    paired: set[int] = set()
    for one, other in _near_pairs(hashes, [pixels.mirrored_phash for _, pixels in compared]):
        if (
            # One partner is enough to say so.
            not paired & {one, other}
            and root(one) != root(other)
            and (hashes[one] ^ compared[one][1].mirrored_phash).bit_count() > _SYMMETRIC_BITS
            and _is_copy(compared[one][1], compared[other][1], mirrored=True)
        ):
            mirrored[one] = other
            paired |= {one, other}
    pairs = [[compared[one][0], compared[other][0]] for one, other in sorted(mirrored.items())]
    return [group for group in near.values() if len(group) > 1], pairs


def _near_pairs(hashes: Sequence[int], others: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the indices of a hash and of a later one that differ in few bits, some of them several times."""
    for band in range(_BANDS):
        shift, mask = band * _BAND_BITS, (1 << _BAND_BITS) - 1
        by_part: dict[int, list[int]] = {}
        for index, each in enumerate(others):
            by_part.setdefault(each >> shift & mask, []).append(index)
        for one, each in enumerate(hashes):
            for other in by_part.get(each >> shift & mask, ()):
                if one < other and (each ^ others[other]).bit_count() <= NEAR_BITS:
                    yield one, other


def _is_plain(pixels: Pixels) -> bool:
    return all(max(pixels.thumb[at::3]) - min(pixels.thumb[at::3]) < _PLAIN_LEVELS for at in range(3))


def _is_copy(one: Pixels, other: Pixels, *, mirrored: bool = False) -> bool:
    """Return whether two pictures of like hashes are one, changed at most in brightness and contrast."""
    greys, thumb = other.greys, other.thumb
    if mirrored:
        greys, thumb = _mirrored(greys, GREYS_PX, 1), _mirrored(thumb, THUMB_PX, 3)
    brighter = fmean(one.thumb) - fmean(thumb)
    off = fmean(abs(a - b - brighter) for a, b in zip(one.thumb, thumb, strict=True))
    if off > _NEAR_LEVELS or min(len(set(one.greys)), len(set(greys))) == 1:
        return False
    return correlation(one.greys, greys) >= _NEAR_CORRELATION


def _mirrored(levels: Sequence[int], side_px: int, channels: int) -> tuple[int, ...]:
    pixels = [levels[at : at + channels] for at in range(0, len(levels), channels)]
    rows = (reversed(pixels[start : start + side_px]) for start in range(0, len(pixels), side_px))
    return tuple(level for row in rows for pixel in row for level in pixel)
