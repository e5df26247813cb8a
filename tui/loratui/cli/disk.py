"""Whether a run's files will fit on the disks they go to, asked before anything starts."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from loratui.domain import formatting
from loratui_protocol.errors import StorageError


def check_space(needs: Iterable[tuple[Path, int]]) -> None:
    """Refuse a run whose files won't fit; ``needs`` are folders of this machine and the bytes that go there.

    Raises:
        StorageError: with the folder, what is free and what is needed.
    """
    needed: dict[int, tuple[Path, int]] = {}
    for folder, num_bytes in needs:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        device = existing.stat().st_dev
        needed[device] = (existing, needed.get(device, (existing, 0))[1] + num_bytes)
    for folder, num_bytes in needed.values():
        free = shutil.disk_usage(folder).free
        if free < num_bytes:
            raise StorageError(
                f"the disk of {folder} has {formatting.size(free)} free, the run may take "
                f"{formatting.size(num_bytes)}: "
                "nothing was started",
                fix="free some space, write fewer files on the way (save_every_n_steps), lower network_dim, or set "
                "LORATUI_HOME and LORATUI_STATE_DIR to folders on a larger disk",
                code="disk.too_small",
            )
