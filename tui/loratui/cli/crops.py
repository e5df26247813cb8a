"""``check --crops``: a picture of what is cropped away."""

import sys
from collections.abc import Sequence
from pathlib import Path

from loratui_protocol.buckets import Placement
from loratui_protocol.dataset import Picture
from loratui_protocol.errors import UsageError

_SUFFIXES = (".jpg", ".jpeg")


def check_crops_file(out: Path) -> None:
    """Refuse a file that a sheet can't be written to, before any picture is looked at.

    Raises:
        UsageError: it is none, or has no folder to be in.
    """
    if out.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"--crops {out}: the sheet is a JPEG", fix="end its name with .jpg", code="usage.crops")
    if not out.parent.is_dir():
        raise UsageError(f"--crops {out}: there is no folder {out.parent}", fix="make it first", code="usage.crops")


def show_crops(placed: Sequence[tuple[Picture, Placement]], out: Path) -> None:
    """Draw the pictures that lose most, and say where on stderr; where none does, say that.

    Raises:
        StorageError: the file can't be written.
        UsageError: it would lie among the pictures.
    """
    # What draws takes a while to load.
    from loratui.preflight.crops import MOST_SHOWN, most_cropped, write_crops

    if any(picture.path.parent.resolve() == out.parent.resolve() for picture, _ in placed):
        raise UsageError(
            f"--crops {out}: a sheet among the pictures would be trained on",
            fix="give another folder",
            code="usage.crops",
        )
    cropped = most_cropped(placed)
    if not cropped:
        reason = (
            "no picture loses anything worth seeing" if placed else "crops are those of a config that can be trained"
        )
        print(f"no crops are drawn: {reason}", file=sys.stderr)
        return
    write_crops(cropped, out)
    shown = f"the {MOST_SHOWN} that lose most of {len(cropped)}" if len(cropped) > MOST_SHOWN else f"{len(cropped)}"
    print(f"{out}: what is cropped away of {shown} pictures", file=sys.stderr)
