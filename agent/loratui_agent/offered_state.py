"""Where the files of a saved state are read while a client fetches them: the trainer removes old ones meanwhile.

The state that is read last is held by second names for its files, in ``held/`` of the job's folder. That takes no room
until the trainer removes its own, and then that of one state.
"""

import shutil
import threading
from pathlib import Path

from loratui_protocol.state_files import STATE_PARTS, parse_state_file_id, state_folder

_HELD = "held"
_holding = threading.Lock()
"""Pieces of one file are read in several threads."""


def offered_file(folder: Path, artifact_id: str) -> Path | None:
    """Return the file of a part of a state of the job in ``folder``, held from now on until another state is read.

    None: the id is not one of a state. The file may be gone.
    """
    named = parse_state_file_id(artifact_id)
    if named is None:
        return None
    step, part = named
    held = folder / _HELD / state_folder(step)
    with _holding:
        if not held.is_dir():
            _hold(folder / "ckpt" / state_folder(step), held)
    return held / part if held.is_dir() else folder / "ckpt" / state_folder(step) / part


def _hold(source: Path, held: Path) -> None:
    """Give the files of ``source`` a second name, all of them or none: it may be removed at this moment."""
    unfinished = held.parent.with_name(f".{_HELD}.tmp")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        for part in STATE_PARTS:
            (unfinished / part).hardlink_to(source / part)
        # Only now: what is gone already takes nothing along.
        shutil.rmtree(held.parent, ignore_errors=True)
        held.parent.mkdir(mode=0o700)
        unfinished.rename(held)
    except OSError:
        # On a file system that has no links it is read where it is, for as long as it is there.
        shutil.rmtree(unfinished, ignore_errors=True)
