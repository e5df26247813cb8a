"""Which of a run's files are fetched. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from loratui_protocol.messages import Artifact, ArtifactKind

Which = Literal["all", "final", "none"]
BYTES_PER_MBIT = 125_000
MAX_FILES = 5_000
"""Of one run. A host that announces more wants to fill this machine's disk, or its time."""
_ON_THE_WAY = (ArtifactKind.CHECKPOINT_LORA, ArtifactKind.SAMPLE, ArtifactKind.THUMBNAIL)
_NOT_FINAL = (ArtifactKind.CHECKPOINT_LORA, ArtifactKind.SAMPLE)
"""What ``final`` leaves out. Small pictures come anyhow: they show on any line whether a run is worth its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """The file that an artifact has on this machine for good, and all that was ever begun to be fetched into it."""

    name: str
    kind: ArtifactKind | None = None
    """None: it is of a time when nothing was counted."""
    sha256: str = ""
    size: int = 0
    num_versions: int = 0
    num_bytes: int = 0

    def is_for(self, artifact: Artifact) -> bool:
        """Return whether this very version was begun."""
        return (self.sha256, self.size) == (artifact.sha256, artifact.size)


_NOTHING: Mapping[str, LocalFile] = MappingProxyType({})


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

    def is_unwanted(self, artifact: Artifact) -> bool:
        """Return whether the user does not want it at all: others that are declined, they may still come for.

        A limit says how much is fetched unasked, and ``none`` that they fetch it themselves.
        """
        return self.which == "final" and artifact.kind in _NOT_FINAL

    def declined(
        self, missing: Iterable[Artifact], files: Mapping[str, LocalFile] = _NOTHING, *, stands_in: str = ""
    ) -> dict[str, str]:
        """Return the ids of the missing files that are not fetched, and why; ``files`` are those begun so far, by id.

        ``stands_in`` is the id of the checkpoint that is all that a run has left, and so its result.

        Results count first, whenever they were announced. A version that was begun counts for ever: else a host could
        fill the disk through one id that it announces again and again.
        """
        declined = {}
        wanted = list(missing)
        num_files, num_bytes = 0, 0
        for on_the_way in (False, True):
            begun = [file for file in files.values() if file.kind and (file.kind in _ON_THE_WAY) is on_the_way]
            num_files += sum(file.num_versions for file in begun)
            num_bytes += sum(file.num_bytes for file in begun)
            for artifact in (each for each in wanted if (each.kind in _ON_THE_WAY) is on_the_way):
                known = files.get(artifact.id)
                if self.which == "none":
                    declined[artifact.id] = "downloads.policy is none"
                elif self.is_unwanted(artifact) and artifact.id != stands_in:
                    declined[artifact.id] = "downloads.policy is final"
                elif known is not None and known.is_for(artifact):
                    continue
                elif num_files >= MAX_FILES:
                    declined[artifact.id] = f"the run has more than {MAX_FILES} files"
                elif num_bytes + max(0, artifact.size) > self.max_gib * 2**30:
                    declined[artifact.id] = f"the run's files are more than downloads.max_gib = {self.max_gib:g}"
                else:
                    num_files += 1
                    num_bytes += max(0, artifact.size)
        return declined

    def declines_state(self, num_bytes: int, files: Mapping[str, LocalFile] = _NOTHING) -> str:
        """Return why saved states of so many bytes are not kept here, nothing where they are.

        They count last: what was begun of all other files goes before.
        """
        if self.which != "all":
            return f"downloads.policy is {self.which}"
        begun = sum(file.num_bytes for file in files.values())
        if begun + num_bytes > self.max_gib * 2**30:
            return f"the run's files would be more than downloads.max_gib = {self.max_gib:g}"
        return ""


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
