"""What is known of one picture once its file has been read: facts, no judgement."""

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

BLANK = 8
"""Levels of 255: JPEG varies one colour by 2 to 4, and the noise of black frames is averaged to as much."""
GREYS_PX, THUMB_PX = 16, 8
"""Sides of the two thumbnails that are kept of a picture."""


class Fault(StrEnum):
    """Why a file can't be trained on as a picture."""

    EMPTY = "empty"
    TRUNCATED = "truncated"
    OTHER_KIND = "other_kind"
    """Something that training doesn't read; ``why`` says what."""
    TOO_LARGE = "too_large"
    """It declares more pixels than Pillow agrees to decode."""
    UNDECODABLE = "undecodable"
    CRASHED = "crashed"
    """Whoever decoded it was gone before it was done."""
    SLOW = "slow"
    """It took longer than any picture should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """What a reduced copy shows, upright and on white, as training would have it."""

    spread: int
    """Levels between the darkest and the brightest place in the channel that varies most."""
    sharpness: float
    """Mean of the Laplacian over that of the steps, in the sharpest tenth of what has edges; 0: nothing has."""
    noise: float
    """Standard deviation in grey levels, of 255, in the calmest quarter of the copy."""
    grain: float
    """The same of half the size and its calmest sixteenth: of what is coarser than noise."""
    black_share: float
    """Of pixels at the bottom of the range; 0 where they are a background."""
    white_share: float
    borders: tuple[int, int, int, int]
    """Uniform bars: left, top, right, bottom, in pixels of the picture, to within two of the copy."""
    phash: int
    """64 bits of its cosine transform: few of them differ between two copies of a picture."""
    mirrored_phash: int
    """The same of its mirror image."""
    greys: Sequence[int]
    """A thumbnail of ``GREYS_PX`` a side."""
    thumb: Sequence[int]
    """One of ``THUMB_PX`` a side; red, green and blue of each pixel."""
    colours: Sequence[float]
    """Square roots of the shares of 64 colours; their squares sum to 1."""
    edges: Sequence[float]
    """Square roots of the shares of four directions of edge in 4 x 4 places; all 0 where there is no edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFacts:
    """A file with a ``fault`` has only what was known before it showed."""

    fault: Fault | None = None
    why: str = ""
    sha256: str = ""
    kind: str = ""
    """Pillow's name of the format."""
    mode: str = ""
    width: int = 0
    """Of the picture as seen, in pixels."""
    height: int = 0
    is_turned: bool = False
    """Whether EXIF says that it is stored in another position."""
    num_frames: int = 1
    has_alpha: bool = False
    transparent_share: float = 0.0
    wide_gamut: bool = False
    """Whether its profile's colours are far from sRGB's."""
    jpeg_quality: int | None = None
    """As libjpeg counts, 1 to 100, estimated from its tables; None: no JPEG."""
    blocking: float | None = None
    """How much larger the steps at every eighth pixel are than between; None: only a reduced copy was decoded."""
    pixels: Pixels | None = None
    """None: they can't be looked at."""

    @property
    def is_blank(self) -> bool:
        """Return whether it shows nothing: one colour, and what a compressor or a covered lens adds to it."""
        return self.pixels is not None and self.pixels.spread <= BLANK


def _floats(values: Iterable[float]) -> Sequence[float]:
    return array("d", values)


def facts_from(fields_told: dict[str, Any]) -> PictureFacts:
    """Return facts from their fields as JSON has them; what is many numbers is kept in a fifth of a tuple's room."""
    told = dict(fields_told)
    told["fault"] = Fault(told["fault"]) if told["fault"] else None
    if told["pixels"] is not None:
        shown: dict[str, Any] = dict(told["pixels"])
        kinds: dict[str, Callable[[Any], Any]] = {
            "borders": tuple,
            "greys": bytes,
            "thumb": bytes,
            "colours": _floats,
            "edges": _floats,
        }
        told["pixels"] = Pixels(**shown | {name: kind(shown[name]) for name, kind in kinds.items()})
    return PictureFacts(**told)
