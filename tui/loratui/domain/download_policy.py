"""Which of a run's files are fetched. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from loratui_protocol.messages import Artifact, ArtifactKind

Which = Literal["all", "final", "none"]
BYTES_PER_MBIT = 125_000
MAX_FILES = 5_000
"""Of one run. A host that announces more wants to fill this machine's disk, or its time."""
_ON_THE_WAY = (ArtifactKind.CHECKPOINT_LORA, ArtifactKind.SAMPLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadPolicy:
    """What the user wants. ``max_mbit_s`` 0: as fast as it goes; ``max_gib`` is for all files of one run together."""

    which: Which = "all"
    max_mbit_s: float = 0.0
    max_gib: float = 20.0

    @property
    def max_bytes_per_s(self) -> float:
        """Return the cap in bytes a second, 0 for none."""
        return self.max_mbit_s * BYTES_PER_MBIT

    def declined(self, artifacts: Iterable[Artifact]) -> dict[str, str]:
        """Return the ids that are not fetched, and why. Results count first, whenever they were announced."""
        declined = {}
        num_files, num_bytes = 0, 0
        for artifact in sorted(artifacts, key=lambda artifact: artifact.kind in _ON_THE_WAY):
            if self.which == "none":
                declined[artifact.id] = "downloads.policy is none"
            elif self.which == "final" and artifact.kind in _ON_THE_WAY:
                declined[artifact.id] = "downloads.policy is final"
            elif num_files == MAX_FILES:
                declined[artifact.id] = f"the run has more than {MAX_FILES} files"
            elif num_bytes + max(0, artifact.size) > self.max_gib * 2**30:
                declined[artifact.id] = f"the run's files are more than downloads.max_gib = {self.max_gib:g}"
            else:
                num_files += 1
                num_bytes += max(0, artifact.size)
        return declined


EVERYTHING = DownloadPolicy()


def read_which(text: str) -> Which:
    """Return the policy of that name.

    Raises:
        ValueError: there is none.
    """
    for which in get_args(Which):
        if text.strip() == which:
            return which  # type: ignore[no-any-return]
    raise ValueError(text)


def read_amount(text: str) -> float:
    """Return a number that is not below zero.

    Raises:
        ValueError: it is none.
    """
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError(text)
    return number
