"""What the smaller copies are copies of that a run was sent: hash and size of each original, beside the copies.

A copy has the name of its original, and the pixels that are trained of it. By what is listed here a run is the same one
wherever it goes on, and says and learns the same: where a picture was cut, how large it was.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FILE = "originals.json"
"""Its name below ``inputs/``, as a manifest lists it."""


@dataclass(frozen=True, slots=True)
class Original:
    """A picture or a mask that travelled as a copy. Width and height are the picture's, in pixels as seen."""

    sha256: str
    width: int
    height: int


def to_bytes(originals: Mapping[str, Original]) -> bytes:
    """Return the file; the keys are names below ``inputs/``."""
    rows = {name: [each.sha256, each.width, each.height] for name, each in sorted(originals.items())}
    return json.dumps(rows, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def parse(content: bytes) -> dict[str, Original]:
    """Return what ``to_bytes`` wrote."""
    return {name: Original(*row) for name, row in json.loads(content).items()}


def originals_of(job_folder: Path) -> dict[Path, Original]:
    """Return the originals of a job by the paths of their copies; none where everything came as it was."""
    inputs = job_folder / "inputs"
    try:
        content = (inputs / FILE).read_bytes()
    except FileNotFoundError:
        return {}
    return {inputs / name: each for name, each in parse(content).items()}
