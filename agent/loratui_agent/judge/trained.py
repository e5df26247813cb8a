"""What a feature model sees of the training pictures: all of them, as they were trained, a few in memory at once."""

# M training pictures, D width of the features

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from loratui_protocol.dataset import Picture
from loratui_protocol.picture_pixels import whole_picture
from loratui_protocol.picture_sizes import damage

logger = logging.getLogger(__name__)
AT_ONCE = 16
_SIDE_PX = 1024
"""As much as any feature model looks at."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What is seen of the training pictures, (M, D), and those that could not be read, of which nothing is."""

    seen_MD: Tensor
    unreadable: Sequence[Path]


def see_trained(
    pictures: Sequence[Picture],
    see: Callable[[Sequence[Image.Image]], Tensor],
    progress: Callable[[int, int], None],
) -> Trained:
    """Return what ``see`` makes of the pictures that aren't there for regularization."""
    own = [picture.path for picture in pictures if not picture.is_reg]
    seen: list[Tensor] = []
    unreadable: list[Path] = []
    for start in range(0, len(own), AT_ONCE):
        progress(start, len(own))
        opened = []
        for path in own[start : start + AT_ONCE]:
            try:
                opened.append(whole_picture(path, _SIDE_PX))
            except damage():
                logger.exception("%s can't be read", path)
                unreadable.append(path)
        if opened:
            seen.append(see(opened))
    return Trained(torch.cat(seen) if seen else torch.empty(0, 0), unreadable)
