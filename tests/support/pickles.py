"""Files that run code of theirs when somebody unpickles them; a marker file shows that it happened."""

import io
import pickle  # noqa: TID251  what is made here is what must never be loaded
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

_UNPICKLE = """
import io, pickle, sys, zipfile
content = open(sys.argv[1], "rb").read()
if content.startswith(b"PK"):
    content = zipfile.ZipFile(io.BytesIO(content)).read("archive/data.pkl")
pickle.loads(content)
"""


class _Bomb:
    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self._marker), "w")


def live_pickles(marker: Path) -> dict[str, bytes]:
    """Return the kinds of files that model sites have, each of which makes ``marker`` when it is unpickled."""
    raw = pickle.dumps({"weights": _Bomb(marker)}, protocol=2)
    archive = io.BytesIO()
    # As torch.save writes it.
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        file.writestr("archive/data.pkl", pickle.dumps({"weights": _Bomb(marker)}, protocol=2))
        file.writestr("archive/byteorder", "little")
        file.writestr("archive/data/0", bytes(64))
        file.writestr("archive/version", "3\n")
    return {"raw": raw, "text": pickle.dumps(_Bomb(marker), protocol=0), "zip": archive.getvalue()}


def detonate(path: Path) -> None:
    """Unpickle a file of ``live_pickles`` in a process of its own."""
    subprocess.run([sys.executable, "-W", "ignore", "-c", _UNPICKLE, str(path)], check=True)
