"""Names of files on this machine, chosen here: what the other end suggests is only a wish."""

import re

from loratui_protocol.messages import Artifact, ArtifactKind

MAX_NAME_CHARS = 100
_SUFFIXES = {
    ArtifactKind.LORA: (".safetensors",),
    ArtifactKind.CHECKPOINT_LORA: (".safetensors",),
    ArtifactKind.SAMPLE: (".png",),
    ArtifactKind.THUMBNAIL: (".jpg",),
    ArtifactKind.CONTACT_SHEET: (".png",),
    ArtifactKind.EVALUATION: (".json", ".png"),
    ArtifactKind.JUDGEMENT: (".zip",),
    ArtifactKind.CONFIG: (".toml", ".json"),
    ArtifactKind.STATE: (".safetensors", ".json"),
}
"""What a kind may end in, the usual first: no name makes a file into something that a double click runs."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows gives to devices, whatever their extension."""


class LocalNames:
    """Chooses a name for each file of one folder, no two alike even where case does not count."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def take(self, name: str) -> None:
        """Note a name that a file has already."""
        self._taken.add(name.lower())

    def choose(self, artifact: Artifact) -> str:
        """Return a name that no file had so far."""
        name = wish = _whitelisted(artifact.name, _SUFFIXES[artifact.kind], artifact.kind)
        # Where thousands wish for one name, none of them tries all that went before.
        number = self._next.get(wish.lower(), 2)
        while name.lower() in self._taken:
            name, number = numbered(wish, number), number + 1
        self._next[wish.lower()] = number
        self.take(name)
        return name


def may_be(name: str, kind: ArtifactKind) -> bool:
    """Return whether a file of that name may be of this kind."""
    return name.lower().endswith(_SUFFIXES[kind])


def report_name(run_name: str) -> str:
    """Return what the report of a run is called; the run's name may come from another machine."""
    return f"{_whitelisted(run_name, ('',), 'run')}-report.html"


def run_name(wish: str) -> str:
    """Return what a run that another machine names is called here: one short line, and neither path nor option."""
    line = " ".join(wish.replace("/", " ").replace("\\", " ").split())
    return line[:MAX_NAME_CHARS].lstrip("-. ").rstrip() or "run"


def numbered(name: str, number: int) -> str:
    """Return the name with a number before its suffix: "style-2.safetensors"."""
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}-{number}{dot}{suffix}"


def _whitelisted(wish: str, suffixes: tuple[str, ...], fallback: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]", "_", wish)
    suffix = next((suffix for suffix in suffixes if name.lower().endswith(suffix)), "")
    stem = name[: len(name) - len(suffix)]
    suffix = suffix or suffixes[0]
    # Room is left for a number.
    stem = stem.lstrip(".-").rstrip(".")[: MAX_NAME_CHARS - len(suffix) - 6] or fallback
    return f"_{stem}{suffix}" if _RESERVED.fullmatch(stem) else f"{stem}{suffix}"
