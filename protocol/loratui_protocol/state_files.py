"""A full training state as files: what they are called on a box, on the way and on a laptop, and whether it is whole.

``step-00000120/`` holds weights, optimizer, facts, and a manifest with size and sha256 of those three. Each file
travels as an artifact of its own; the manifest comes last, so a folder that has one has everything.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui_protocol.errors import StorageError

STATE_FORMAT = 3
MANIFEST = "manifest.json"
STATE_PARTS = ("lora.safetensors", "optimizer.safetensors", "state.json", MANIFEST)
MAX_JSON_BYTES = 1 << 20
_ID = re.compile(r"state-(\d{8})-(" + "|".join(map(re.escape, STATE_PARTS)) + ")")
_FOLDER = re.compile(r"step-(\d{8})")
_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """What a verified state says of itself."""

    folder: Path
    step: int
    """Optimizer steps done."""
    saved_ts: float
    """When its manifest was written here, in epoch seconds."""
    seed: int
    """The run's, which the config may have left open."""

    @property
    def paths(self) -> list[Path]:
        """Return all of its files."""
        return [self.folder / part for part in STATE_PARTS]


def state_folder(step: int) -> str:
    """Return the name of the folder of the state after ``step`` steps."""
    return f"step-{step:08d}"


def step_of_folder(name: str) -> int | None:
    """Return the step of a state's folder, None where the name is not one of a state."""
    found = _FOLDER.fullmatch(name)
    return int(found[1]) if found else None


def state_file_id(step: int, part: str) -> str:
    """Return the artifact id of a part."""
    return f"state-{step:08d}-{part}"


def parse_state_file_id(text: str) -> tuple[int, str] | None:
    """Return step and part, None where the id is not one of a state."""
    found = _ID.fullmatch(text)
    return (int(found[1]), found[2]) if found else None


def states_in(folder: Path) -> Iterator[Path]:
    """Yield the folders of states that have a manifest, the newest step first; nothing is verified."""
    found = [path for path in folder.glob("step-*") if step_of_folder(path.name) is not None]
    yield from (path for path in sorted(found, reverse=True) if (path / MANIFEST).is_file())


def read_manifest(path: Path) -> dict[str, tuple[int, str]]:
    """Return (size, sha256) of every part that the manifest lists.

    Raises:
        StorageError: it is damaged, or lists other files than a state has.
    """
    try:
        content = _json(path)
        listed = {name: (entry["size"], entry["sha256"]) for name, entry in content.items()}
        if listed.keys() != set(STATE_PARTS) - {MANIFEST}:
            raise ValueError("it lists other files")
        if not all(type(size) is int and isinstance(sha256, str) for size, sha256 in listed.values()):
            raise TypeError("a size is no number, or a hash no text")
    except _DAMAGE as error:
        raise _damaged(path.parent, error) from error
    return listed


def verified_state(folder: Path) -> SavedState:
    """Return the state in ``folder`` once every byte of it is what its manifest says. Reads all of it.

    Raises:
        StorageError: it is damaged or incomplete (code ``state.damaged``).
    """
    listed = read_manifest(folder / MANIFEST)
    try:
        for name, (size, sha256) in listed.items():
            with (folder / name).open("rb") as file:
                if file.seek(0, 2) != size:
                    raise ValueError(f"{name} has another size")
                file.seek(0)
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    raise ValueError(f"{name} does not match its sha256")
        facts = _json(folder / "state.json")
        step, seed = facts["step"], facts["seed"]
        if facts["format"] != STATE_FORMAT or type(step) is not int or type(seed) is not int:
            raise ValueError("it is of another format")
        if step_of_folder(folder.name) != step:
            raise ValueError(f"it is of step {step}")
        saved_ts = (folder / MANIFEST).stat().st_mtime
    except _DAMAGE as error:
        raise _damaged(folder, error) from error
    return SavedState(folder=folder, step=step, saved_ts=saved_ts, seed=seed)


def _json(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        content = file.read(MAX_JSON_BYTES + 1)
    if len(content) > MAX_JSON_BYTES:
        raise ValueError(f"{path.name} is too long")
    found = json.loads(content)
    if not isinstance(found, dict):
        raise TypeError(f"{path.name} holds no object")
    return found


def _damaged(folder: Path, error: Exception) -> StorageError:
    return StorageError(
        f"the saved state in {folder} can't be used: {error}",
        fix="go on from an earlier one, or start the run anew",
        code="state.damaged",
    )
