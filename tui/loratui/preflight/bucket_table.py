"""For each bucket how many pictures it takes, and what becomes of them on the way into it."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from loratui_protocol.buckets import Placement
from loratui_protocol.dataset import Picture
from loratui_protocol.plan import Plan

CROPPED = 0.01
"""Share of a picture: less is a rim of a few pixels, which nearly every picture loses to the steps of buckets."""
ENLARGED = 1.02
"""Times a side: less can't be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketRow:
    """One bucket of one dataset. Shares are 0 to 1, of the area of a picture; enlargements are of its sides."""

    dataset: int
    width: int
    height: int
    num_pictures: int
    """Those for regularisation among them."""
    num_cropped: int
    mean_cropped_share: float
    """Of all pictures in it."""
    most_cropped_share: float
    most_cropped: str
    """The name of the picture that loses most; nothing if none is cropped."""
    num_enlarged: int
    most_enlarged_by: float
    """1: none is enlarged."""
    most_enlarged: str

    @property
    def losses(self) -> str:
        """Return in words what pictures lose, in brackets after a space; nothing where none does."""
        said = []
        if self.num_cropped:
            said.append(f"{self.num_cropped} cropped by up to {self.most_cropped_share:.0%}")
        if self.num_enlarged:
            said.append(f"{self.num_enlarged} enlarged up to {self.most_enlarged_by:.1f} times")
        return f" ({', '.join(said)})" if said else ""


def bucket_table(plan: Plan, pictures: Sequence[Picture]) -> list[BucketRow]:
    """Return a row for each bucket that pictures fall into, those with most pictures first; none that is held out."""
    held_out = set(plan.held_out.indices)
    groups: dict[tuple[int, int, int], list[tuple[Picture, Placement]]] = {}
    for index, (picture, placement) in enumerate(zip(pictures, plan.placements, strict=True)):
        if index not in held_out:
            key = (picture.dataset, placement.bucket.width, placement.bucket.height)
            groups.setdefault(key, []).append((picture, placement))
    rows = [_row(*key, members) for key, members in groups.items()]
    return sorted(rows, key=lambda row: (row.dataset, -row.num_pictures, row.width, row.height))


def _row(dataset: int, width: int, height: int, members: Sequence[tuple[Picture, Placement]]) -> BucketRow:
    cropped, loser = max((placement.cropped_share, picture.name) for picture, placement in members)
    scale, grower = max((placement.scale, picture.name) for picture, placement in members)
    return BucketRow(
        dataset=dataset,
        width=width,
        height=height,
        num_pictures=len(members),
        num_cropped=sum(placement.cropped_share > CROPPED for _, placement in members),
        mean_cropped_share=fmean(placement.cropped_share for _, placement in members),
        most_cropped_share=cropped,
        most_cropped=loser if cropped > CROPPED else "",
        num_enlarged=sum(placement.scale > ENLARGED for _, placement in members),
        most_enlarged_by=max(1.0, scale),
        most_enlarged=grower if scale > ENLARGED else "",
    )
