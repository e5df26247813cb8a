"""The files that an environment needs on the box: the locks, which are part of this package, and uv."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from loratui.domain.box import BoxFacts
from loratui.domain.environment_choice import EnvironmentChoice, Lock
from loratui.remote.uv_binary import uv_wheel, wheel_for
from loratui_protocol.inputs import EnvironmentSpec

_LOCKS = Path(__file__).with_name("locks")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentFiles:
    """What travels: ``spec`` is complete, and names every file of ``blobs`` by its SHA-256."""

    spec: EnvironmentSpec
    blobs: tuple[Path, ...]


def lock_path(lock: Lock) -> Path:
    """Return the file of a lock."""
    return _LOCKS / f"{lock.value}.txt"


async def environment_files(choice: EnvironmentChoice, facts: BoxFacts, cache_dir: Path) -> EnvironmentFiles:
    """Return the files, uv among them where the box has none; ``cache_dir`` keeps it on this machine.

    Raises:
        HostError: ``host.uv``; uv can't be fetched.
    """
    blobs = [lock_path(lock) for lock in choice.locks]
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in blobs]
    uv = choice.spec.uv
    if not uv:
        # The wheel, not the program: it is half as long, and the agent takes the program out of it.
        blobs.append(await uv_wheel(facts.machine, facts.libc, cache_dir, choice.spec.index_url))
        uv = f"sha256:{wheel_for(facts.machine, facts.libc).sha256}"
    return EnvironmentFiles(spec=replace(choice.spec, uv=uv, lock_sha256s=hashes), blobs=tuple(blobs))
