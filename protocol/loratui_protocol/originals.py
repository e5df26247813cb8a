"""Which files a run stands for where it was sent smaller copies: the hashes of the originals, beside the copies.

A copy has the name of its original. By the originals' hashes a run is the same one wherever it goes on, whether copies
were made or not.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from loratui_protocol.inputs import is_sha256

FILE = "originals.json"
"""Its name below ``inputs/``, as a manifest lists it."""


def to_bytes(originals: Mapping[str, str]) -> bytes:
    """Return the file: the SHA-256 of the original for each copy's name below ``inputs/``."""
    return json.dumps(dict(sorted(originals.items())), ensure_ascii=True, separators=(",", ":")).encode("ascii")


def originals_of(job_folder: Path) -> dict[Path, str]:
    """Return the SHA-256 of the original by the path of each copy; none where everything came as it was."""
    inputs = job_folder / "inputs"
    try:
        listed = json.loads((inputs / FILE).read_bytes())
    except FileNotFoundError:
        return {}
    return {inputs / name: sha256 for name, sha256 in listed.items() if is_sha256(sha256)}
