"""How far the colours of an embedded profile are from sRGB's: training reads the numbers and not the profile."""

import struct

FAR = 0.12
"""Of a primary's coordinates. Display P3, which phones save, is 0.09 away and looks a little paler; Adobe RGB and
ProPhoto, 0.18 and 0.36 away, lose their colours visibly."""
_SRGB = {
    b"rXYZ": (0.4360, 0.2225, 0.0139),
    b"gXYZ": (0.3851, 0.7169, 0.0971),
    b"bXYZ": (0.1431, 0.0606, 0.7139),
}
"""Primaries as an ICC profile has them, adapted to D50."""
_MAX_TAGS = 100


def is_far_from_srgb(profile: bytes) -> bool:
    """Return whether an ICC profile has primaries far from sRGB's; one without primaries, or damaged, has not."""
    try:
        return max(_distances(profile), default=0.0) > FAR
    except struct.error:
        return False


def _distances(profile: bytes) -> list[float]:
    (num_tags,) = struct.unpack_from(">I", profile, 128)
    distances = []
    for index in range(min(num_tags, _MAX_TAGS)):
        name, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        if name in _SRGB:
            # Type and four bytes of nothing, then three fixed-point numbers.
            found = (number / 65536 for number in struct.unpack_from(">3i", profile, offset + 8))
            distances += [abs(own - there) for own, there in zip(found, _SRGB[name], strict=True)]
    return distances
