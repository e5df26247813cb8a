"""The wall clock of a machine of the tests, which is set while its processes run: all that inherit ``environment``."""

import os
from pathlib import Path


class SetClock:
    """A clock that is right until it is set; ``path`` says for all processes by how much it is off."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.offset_s = 0.0
        self.set(0.0)
        folder = str(Path(__file__).with_name("with_set_clock"))
        self.environment = {
            "SET_CLOCK": str(path),
            "PYTHONPATH": os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")])),
        }

    def set(self, offset_s: float) -> None:
        """Have the clock be off by so many seconds at once."""
        self.offset_s = offset_s
        new = self._path.with_suffix(".new")
        new.write_text(str(offset_s), "ascii")
        new.replace(self._path)
