"""Names of files on this machine, chosen here: what the other end suggests is only a wish."""

import re
from collections.abc import Iterable

from loratui_protocol.messages import Artifact, ArtifactKind

MAX_NAME_CHARS = 100
_SUFFIXES = {
    ArtifactKind.LORA: (".safetensors",),
    ArtifactKind.CHECKPOINT_LORA: (".safetensors",),
    ArtifactKind.SAMPLE: (".png",),
    ArtifactKind.CONTACT_SHEET: (".png",),
    ArtifactKind.EVALUATION: (".json", ".png"),
    ArtifactKind.CONFIG: (".toml", ".json"),
}
"""What a kind may end in, the usual first: no name makes a file into something that a double click runs."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows gives to devices, whatever their extension."""


def local_names(artifacts: Iterable[Artifact]) -> dict[str, str]:
    """Return a file name for each artifact id, no two alike even where case does not count.

    The same artifacts in the same order always get the same names.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for artifact in artifacts:
        stem, suffix = _parts(artifact)
        name, number = f"{stem}{suffix}", 2
        while name.lower() in taken:
            name, number = numbered(f"{stem}{suffix}", number), number + 1
        taken.add(name.lower())
        names[artifact.id] = name
    return names


def numbered(name: str, number: int) -> str:
    """Return the name with a number before its suffix: "style-2.safetensors"."""
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}-{number}{dot}{suffix}"


def _parts(artifact: Artifact) -> tuple[str, str]:
    allowed = _SUFFIXES[artifact.kind]
    name = re.sub(r"[^A-Za-z0-9._-]", "_", artifact.name)
    suffix = next((suffix for suffix in allowed if name.lower().endswith(suffix)), None)
    stem = name[: -len(suffix)] if suffix else name
    suffix = suffix or allowed[0]
    # Room is left for a number.
    stem = stem.lstrip(".-").rstrip(".")[: MAX_NAME_CHARS - len(suffix) - 6] or artifact.kind
    return (f"_{stem}" if _RESERVED.fullmatch(stem) else stem), suffix
